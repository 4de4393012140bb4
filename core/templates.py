"""Messages with `{name}` variables, as in 2.3.0."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select

from core.content import Template as TemplateContent
from core.content import Text
from core.database import Tx
from core.errors import Conflict, Invalid, NotFound
from core.events import TemplateSaved, publish
from core.models import Template

_VARIABLE = re.compile(r"\{([^\W\d]\w{0,49})\}")
_BRACE = re.compile(r"[{}]")
_MAX_BODY = 1024  # Meta's limit of a template's body


class MissingVariable(Exception):
    """A person has no value for a variable that has no default; `args[0]` is its name."""


def variables(body: str) -> list[str]:
    """The variables in order of first use. A brace that belongs to none is a mistake worth telling."""
    if stray := _BRACE.search(_VARIABLE.sub("", body)):
        raise Invalid(
            f"There is a {stray.group()!r} that does not belong to a variable.",
            field="body",
            hint="Variables are written {name}: letters, digits and _, not starting with a digit.",
        )
    return list(dict.fromkeys(_VARIABLE.findall(body)))


def render(template: Template, values: Mapping[str, str]) -> Text | TemplateContent:
    """The message for one person; raises `MissingVariable`."""
    parameters: dict[str, str] = {}

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        value = values.get(name) or template.defaults.get(name)
        if not value:
            raise MissingVariable(name)
        parameters[name] = value
        return value

    text = _VARIABLE.sub(fill, template.body)
    if template.cloud_name is None:
        return Text.model_construct(body=text)
    return TemplateContent.model_construct(
        name=template.cloud_name, language=template.language, parameters=tuple(parameters.values()), text=text
    )


async def create(
    tx: Tx,
    *,
    name: str,
    body: str,
    language: str = "en",
    defaults: Mapping[str, str] | None = None,
    cloud_name: str | None = None,
    at: datetime,
) -> Template:
    if not body.strip() or len(body) > _MAX_BODY:
        raise Invalid(f"A template has 1 to {_MAX_BODY} characters; this has {len(body)}.", field="body")
    used = variables(body)
    if unknown := sorted(set(defaults or {}) - set(used)):
        raise Invalid(
            f"There is a default for {unknown[0]!r}, but the body has no such variable.",
            field="defaults",
            hint=f"Variables of the body: {', '.join(used) or 'none'}.",
        )
    if (await tx.execute(select(Template.id).where(Template.name == name))).first():
        raise Conflict(f"There is a template named {name!r} already.", field="name")
    template = Template(
        name=name, body=body, language=language, defaults=dict(defaults or {}), cloud_name=cloud_name, created_at=at
    )
    tx.add(template)
    await tx.flush()
    await publish(tx, TemplateSaved(template_id=template.id), at=at)
    return template


async def get(tx: Tx, template_id: int) -> Template:
    template = await tx.get(Template, template_id)
    if template is None:
        raise NotFound(f"There is no template {template_id}.", field="template_id")
    return template


async def listed(tx: Tx, *, after: int, limit: int) -> Sequence[Template]:
    rows = await tx.execute(select(Template).where(Template.id > after).order_by(Template.id).limit(limit))
    return rows.scalars().all()
