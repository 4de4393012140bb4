"""`/ws-monitor.html`: one file that loads nothing, and asks for its figures as who is signed in."""

import hashlib
import re
from base64 import b64encode
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from api.idempotent import Open

router = APIRouter(include_in_schema=False, route_class=Open)

_FILE = Path(__file__).parent / "static" / "ws-monitor.html"
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@router.get("/ws-monitor.html")
async def ws_monitor_page() -> HTMLResponse:
    """For everybody: there are no figures in it."""
    html, policy = _page()
    return HTMLResponse(html, headers={"Content-Security-Policy": policy})


@cache
def _page() -> tuple[str, str]:
    """The page, and what a browser is to run of it: this very script and style, and nothing else."""
    html = _FILE.read_text(encoding="utf-8")
    allowed = {"script": "", "style": ""}
    for kind, inline in _INLINE.findall(html):
        allowed[kind] += f" 'sha256-{b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"
    policy = (
        f"default-src 'none'; script-src{allowed['script']}; style-src{allowed['style']}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html, policy
