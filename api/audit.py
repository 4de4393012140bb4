"""Who did what, for those who look into it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from api.auth import needs
from api.bodies import Shown
from api.deps import PlatformDep, Str, Tx
from api.errors import documented
from api.idempotent import Signed
from api.pages import Page, PlaceDep, page
from core import audit

router = APIRouter(
    prefix="/api/v3/audit", tags=["audit"], route_class=Signed, dependencies=[Depends(needs("audit.read"))]
)


class AuditEntryOut(Shown):
    """One thing that somebody did."""

    seq: int = Field(examples=[41])
    at: datetime
    actor: str = Field(description="user:3, api_key:2, terminal or nobody.", examples=["user:3"])
    action: str = Field(description="The route's operation, or what happened.", examples=["launch_campaign"])
    subject: str = Field(examples=["campaign:7"])
    address: str = Field(description="The network it came from.", examples=["203.0.113.0/24"])
    request_id: str
    details: dict[str, Any] = Field(examples=[{"role": "admin"}])
    hash: str


class VerdictOut(Shown):
    """Whether the log is as it was written."""

    state: Literal["whole", "altered", "truncated"]
    entries: int = Field(description="How many are as they were written, from the first on.", examples=[41])
    at: int | None = Field(description="From this entry on it cannot be trusted.")
    why: str


@router.get("", responses=documented())
async def list_audit(
    tx: Tx,
    place: PlaceDep,
    actor: Annotated[Str | None, Query(max_length=40, examples=["user:3"], description="Only what they did.")] = None,
    subject: Annotated[Str | None, Query(max_length=80, examples=["campaign:7"], description="Only about it.")] = None,
) -> Page[AuditEntryOut]:
    """The audit log, newest first. Looking at it is an entry too."""
    rows = await audit.listed(tx, before=place.after or None, limit=place.limit, actor=actor, subject=subject)
    return page(rows, place, id_of=lambda row: row.seq, show=AuditEntryOut.model_validate)


@router.get("/verdict", responses=documented())
async def verify_audit(platform: PlatformDep, tx: Tx) -> VerdictOut:
    """Read the whole log and say whether anything was altered or cut off. `waqtor audit verify` does the same."""
    return VerdictOut.model_validate(await audit.verify(tx, platform.key, audit.anchored(platform.settings)))
