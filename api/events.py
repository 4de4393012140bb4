"""The log of what happened, in order and without a gap."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from api.auth import needs
from api.bodies import Shown
from api.deps import Tx
from api.errors import documented
from api.idempotent import Once
from core import bus
from core.errors import WaqtorError

router = APIRouter(prefix="/api/v3/events", tags=["events"], route_class=Once)


class LogPruned(WaqtorError):
    """What was asked for has been forgotten."""

    code = "log_pruned"


class EventOut(Shown):
    """Something that happened. Ids only: what they stand for is found under its own address."""

    seq: int = Field(description="Without a gap, in the order in which events may be seen.", examples=[1042])
    type: str = Field(examples=["campaign.launched"])
    topic: str = Field(examples=["campaign:7"])
    data: dict[str, Any] = Field(examples=[{"campaign_id": 7, "what": "launched", "reason": ""}])
    at: datetime


class EventsOut(Shown):
    """Part of the log."""

    data: list[EventOut]
    head: int = Field(description="The newest `seq` there is.", examples=[1042])
    pruned: int = Field(description="The newest `seq` that has been forgotten; 0 for none.", examples=[0])


@router.get("", dependencies=[Depends(needs("events.read"))], responses=documented(410))
async def list_events(
    tx: Tx,
    since: Annotated[int, Query(ge=0, le=2**63 - 1, description="The last `seq` you have dealt with.")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> EventsOut:
    """What happened after `since`. Ask again with the `seq` of the last one; an empty list means you are up to date."""
    events = await bus.since(tx, since, limit=limit)
    reach = await bus.reach(tx)  # after the events: what is pruned in between is then told, not missed
    if since < reach.pruned:
        raise LogPruned(
            f"Events up to {reach.pruned} have been forgotten; {since} is behind that.",
            field="since",
            hint=f"Load what you need from the lists, then follow from since={reach.pruned}.",
        )
    return EventsOut(data=[EventOut.model_validate(one) for one in events], head=reach.head, pruned=reach.pruned)
