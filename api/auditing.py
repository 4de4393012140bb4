"""What the routes leave in the audit log: by the permission they demand, so that no route can forget it."""

import asyncio
import logging
from collections.abc import Mapping

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.addresses import address_of
from api.auth import principal_of
from api.deps import platform_of
from core import audit
from core.audit import Happened
from core.bootstrap import Platform
from core.roles import ABOUT_PEOPLE, AUDITED, Permission

_ANCHOR_EVERY_S = 60.0
logger = logging.getLogger(__name__)


def say(request: Request, details: Mapping[str, object], *, subject: str = "") -> None:
    """For a route whose entry is to say more than its path does: words and ids of ours, nothing personal."""
    request.state.audited = subject, details


async def note_doing(request: Request, response: Response, permission: Permission, route: APIRoute) -> None:
    """In the transaction of the change."""
    if permission in AUDITED:
        platform, tx = platform_of(request), request.state.tx
        audit.record(tx, platform.key, _happened(request, route, response), at=await platform.clock.now(tx))


async def note_looking(request: Request, permission: Permission, route: APIRoute) -> None:
    """Before the answer leaves. A program that reads people is known by its key and reads all day: only what it takes
    away as a file is noted."""
    is_person = principal_of(request).kind == "user"
    is_noted = permission in ABOUT_PEOPLE and (is_person or permission == "contacts.export")
    if is_noted or permission == "audit.read":
        platform = platform_of(request)
        async with platform.database.transaction() as tx:
            audit.record(tx, platform.key, _happened(request, route, None), at=await platform.clock.now(tx))


def _happened(request: Request, route: APIRoute, response: Response | None) -> Happened:
    subject, details = getattr(request.state, "audited", ("", {}))
    return Happened(
        actor=principal_of(request).ref,
        action=route.name,
        subject=subject or _subject(request, route, response),
        address=address_of(request),
        request_id=request.state.request_id,
        details=details,
    )


def _subject(request: Request, route: APIRoute, response: Response | None) -> str:
    """`campaign:7` from the path, or the id of what was made; empty for a list."""
    if request.path_params:
        name, value = next(iter(request.path_params.items()))
        kind = _one_of(route.path_format.partition("/{")[0]) if name == "name" else name.removesuffix("_id")
        return f"{kind}:{value}"
    if response is None or response.status_code != 201:
        return ""
    made = orjson.loads(bytes(response.body))
    return f"{_one_of(route.path_format)}:{made['id']}" if "id" in made else ""


def _one_of(path: str) -> str:
    """`sender` for `/api/v3/senders`."""
    return path.rstrip("/").rsplit("/", 1)[-1].removesuffix("s").replace("-", "_")


async def anchor_forever(platform: Platform) -> None:
    """What the audit log had a minute ago, it has for good."""
    while True:
        await asyncio.sleep(_ANCHOR_EVERY_S)
        try:
            async with platform.database.reading() as tx:
                await audit.drop_anchor(tx, platform.settings)
        except Exception:  # the database may be restarting, or the disk be full; the next minute does the same
            logger.exception("audit_not_anchored")
