"""Keys by which programs come in."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, Field

from api import auditing
from api.auth import needs
from api.bodies import Body, Shown
from api.deps import Id, Now, PlatformDep, Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once
from api.pages import Page, PlaceDep, page
from core import apikeys
from core.apikeys import Kind
from core.roles import Scope

router = APIRouter(
    prefix="/api/v3/api-keys", tags=["api-keys"], route_class=Once, dependencies=[Depends(needs("keys.manage"))]
)


class ApiKeyIn(Body):
    """A key to make."""

    name: Annotated[Str, Field(min_length=1, max_length=100)] = Field(examples=["nightly import"])
    kind: Kind = Field(
        default=apikeys.PROGRAM,
        description="service: a part of the installation, known in the audit log by its name; it cannot be an admin.",
    )
    scopes: list[Scope] = Field(
        min_length=1,
        description="read: look. write: contacts, templates, campaigns. send: start and stop sending. "
        "monitor: /metrics and the monitor, nothing else. "
        "admin: all of it, and keys and secrets.",
        examples=[["read", "write"]],
    )
    expires_at: AwareDatetime | None = Field(default=None, description="Null: until revoked.")
    addresses: list[Annotated[Str, Field(max_length=45)]] | None = Field(
        default=None,
        min_length=1,
        max_length=50,
        description="Taken only from these addresses or networks. Null: from everywhere.",
        examples=[["203.0.113.7", "10.0.0.0/8"]],
    )


class ApiKeyOut(Shown):
    """A key, by its prefix."""

    id: int = Field(examples=[2])
    name: str = Field(examples=["nightly import"])
    kind: Kind
    prefix: str = Field(description="The key begins with wq_<prefix>_.", examples=["9f2c01ab77"])
    scopes: list[Scope] = Field(examples=[["read", "write"]])
    addresses: list[str] | None = Field(description="Taken only from these. Null: from everywhere.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute, and a minute late.")


class ApiKeyCreated(ApiKeyOut):
    """With the key itself, this once."""

    key: str = Field(description="Keep it: it is not shown again.", examples=["wq_9f2c01ab77_…"])


@router.post("", status_code=201, responses=documented(409), openapi_extra=DOCUMENTED)
async def create_api_key(body: ApiKeyIn, request: Request, platform: PlatformDep, tx: Tx, now: Now) -> ApiKeyCreated:
    """Make a key. The answer is the only place where it is ever shown."""
    made = await apikeys.create(
        tx,
        platform.key,
        name=body.name,
        scopes=body.scopes,
        expires_at=body.expires_at,
        addresses=body.addresses,
        kind=body.kind,
        at=now,
    )
    said: dict[str, object] = {"kind": made.row.kind, "scopes": made.row.scopes}
    if made.row.expires_at is not None:
        said["expires_at"] = made.row.expires_at.isoformat(timespec="seconds")
    auditing.say(request, said)
    return ApiKeyCreated(**ApiKeyOut.model_validate(made.row).model_dump(), key=made.full)


@router.get("", responses=documented())
async def list_api_keys(
    tx: Tx, place: PlaceDep, kind: Annotated[Kind | None, Query(description="Only these.")] = None
) -> Page[ApiKeyOut]:
    """All keys, also revoked and expired ones."""
    rows = await apikeys.listed(tx, after=place.after, limit=place.limit, kind=kind)
    return page(rows, place, id_of=lambda row: row.id, show=ApiKeyOut.model_validate)


@router.delete("/{api_key_id}", responses=documented(404, 409), openapi_extra=DOCUMENTED)
async def revoke_api_key(api_key_id: Id, tx: Tx, now: Now) -> ApiKeyOut:
    """Revoke a key for good; the next request with it is refused."""
    return ApiKeyOut.model_validate(await apikeys.revoke(tx, api_key_id, at=now))
