"""The way in for people: a landing page, and the API's reference from its OpenAPI. No script, no foreign host."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from api.idempotent import Open

router = APIRouter(include_in_schema=False, route_class=Open)

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #128c7e }
body { font: 15px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1.5rem }
a { color: var(--accent) } code, pre { font: 13px/1.45 ui-monospace, monospace }
pre { background: var(--soft); padding: .7rem; overflow: auto; border-radius: 6px }
details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; padding: .4rem .8rem }
summary { cursor: pointer } .m { display: inline-block; width: 4.2rem; font-weight: 700; color: var(--accent) }
table { border-collapse: collapse; width: 100% } td, th { border-top: 1px solid var(--line); padding: .25rem .5rem;
text-align: left; vertical-align: top } h2 { margin-top: 2rem; border-bottom: 1px solid var(--line) }
"""
_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"}


@router.get("/")
async def landing(request: Request) -> HTMLResponse:
    body = f"""<h1>WaQtor</h1><p>A self-hosted WhatsApp automation platform. This process answers its API.</p><ul>
    <li><a href="/docs">Reference of the API</a></li><li><a href="/openapi.json">OpenAPI</a></li>
    <li><a href="/readyz">Is it ready?</a></li></ul>
    <p>Make a key with <code>waqtor keys create my-laptop</code>, then:</p>
    <pre>curl -H "Authorization: Bearer $WAQTOR_API_KEY" {escape(str(request.base_url))}api/v3/campaigns</pre>"""
    return _html("WaQtor", body)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    return _html("WaQtor API", "\n".join(_reference(request.app.openapi())))


def _html(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style><body>{body}</body></html>',
        headers=_HEADERS,
    )


def _reference(spec: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h1>{escape(spec['info']['title'])}</h1><p>{_text(spec['info']['description'])}</p>"
    yield '<p><a href="/openapi.json">openapi.json</a></p>'
    for tag in spec["tags"]:
        yield f"<h2 id={escape(tag['name'])!r}>{escape(tag['name'])}</h2><p>{_text(tag['description'])}</p>"
        for path, methods in spec["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation.get("tags", ()):
                    yield _operation(spec, path, method, operation)


def _operation(spec: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [f"<p>{_text(operation.get('description', ''))}</p>"]
    if parameters := operation.get("parameters"):
        rows = "".join(
            f"<tr><td><code>{escape(one['name'])}</code>{' *' if one.get('required') else ''}</td>"
            f"<td>{escape(one['in'])}</td><td>{_text(one.get('description', ''))}</td></tr>"
            for one in parameters
        )
        parts.append(f"<table><tr><th>Parameter</th><th>In</th><th></th></tr>{rows}</table>")
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body, <code>{escape(kind)}</code>:</p>{_fields(spec, media.get('schema', {}))}")
        if kind == "application/json":
            parts.append(f"<pre>{escape(_example(spec, media.get('schema', {})))}</pre>")
    for status, response in operation["responses"].items():
        line = f"<p><b>{escape(status)}</b> {_text(response.get('description', ''))}</p>"
        schema = response.get("content", {}).get("application/json", {}).get("schema")
        if status < "300" and schema:
            line += f"{_fields(spec, schema)}<pre>{escape(_example(spec, schema))}</pre>"
        parts.append(line)
    return (
        f"<details><summary><span class=m>{method.upper()}</span> <code>{escape(path)}</code> "
        f"{escape(operation.get('summary', ''))}</summary>{''.join(parts)}</details>"
    )


def _fields(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    schema = _resolved(spec, schema)
    needed = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{' *' if name in needed else ''}</td><td>{escape(_kind(one))}</td>"
        f"<td>{_text(one.get('description', ''))}</td></tr>"
        for name, one in schema.get("properties", {}).items()
    )
    return f"<table>{rows}</table>" if rows else ""


def _kind(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    return str(schema.get("format") or schema.get("type") or schema.get("$ref", "").rsplit("/", 1)[-1])


def _resolved(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
    if "$ref" in schema:
        found: Mapping[str, Any] = spec["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
        return found
    return schema


def _example(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    return json.dumps(_value(spec, schema), ensure_ascii=False, indent=2)


def _value(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    if "examples" in schema:
        return schema["examples"][0]
    if "default" in schema:
        return schema["default"]
    schema = _resolved(spec, schema)
    if "properties" in schema:
        return {name: _value(spec, one) for name, one in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_value(spec, schema.get("items", {}))]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("format") == "date-time":
        return "2026-01-31T09:00:00Z"
    return {"string": "…", "integer": 1, "number": 1.0, "boolean": True, "object": {}}.get(schema.get("type", ""))


def _text(plain: str) -> str:
    """Paragraphs and `code`, as our descriptions use them."""
    pieces = escape(plain).split("`")
    return "".join(f"<code>{piece}</code>" if place % 2 else piece for place, piece in enumerate(pieces))
