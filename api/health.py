"""Whether the process lives, and whether it can work. For those who watch it; says nothing about anybody."""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from pydantic import Field
from sqlalchemy import text

from api import errors
from api.bodies import Shown
from api.deps import PlatformDep
from core import inbox, schema, senders
from core.errors import SchemaBehind

router = APIRouter(tags=["health"])


class Alive(Shown):
    """The process answers."""

    ok: bool = True


class Ready(Shown):
    """Whether each part that requests need is there."""

    ok: bool
    database: str = Field(description="ok or away", examples=["ok"])
    revision: str = Field(description="Of the database's schema: ok, behind or unknown", examples=["ok"])
    redis: str = Field(
        description="none, ok or away; away is no reason not to be ready: each process then keeps to its own limits.",
        examples=["none"],
    )
    instance: str = Field(description="ok, or conflict: another process has taken our place.", examples=["ok"])
    suspect_senders: list[int] = Field(description="They send, and no receipts come back.", examples=[[]])
    inbox_lag_s: float | None = Field(description="How long the oldest webhook has waited to be applied.", examples=[0])
    inbox_set_aside: int | None = Field(
        description="Webhooks that could not be applied. `waqtor inbox again` has them applied anew.", examples=[0]
    )


@router.get("/healthz")
async def healthz() -> Alive:
    """200 as long as the process lives."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Ready, "description": "Not ready."}})
async def readyz(request: Request, platform: PlatformDep, response: Response) -> Ready:
    """200 when the database answers and has the schema of this program; 503 with the reason otherwise,
    and while the process ends."""
    database, found, lag, aside = "away", "unknown", None, None
    suspects: Sequence[int] = ()
    try:
        async with platform.database.reading() as tx:
            await tx.execute(text("SELECT 1"))
            database = "ok"
            oldest = await inbox.oldest_waiting(tx)
            aside = sum((await inbox.set_aside(tx)).values())
            suspects = await senders.in_state(tx, senders.SUSPECT)
            lag = (await platform.clock.now(tx) - oldest).total_seconds() if oldest else 0.0
        await schema.require_current(platform.database)
        found = "ok"
    except SchemaBehind:
        found = "behind"
    except Exception as error:
        if not errors.is_away(error):
            raise
    state = request.app.state
    is_held = state.place.is_held
    is_ready = database == "ok" and found == "ok" and is_held and not state.live.entrance.is_closing
    response.status_code = 200 if is_ready else 503
    return Ready(
        ok=is_ready,
        database=database,
        revision=found,
        redis=state.cluster.state,
        instance="ok" if is_held else "conflict",
        suspect_senders=list(suspects),
        inbox_lag_s=lag,
        inbox_set_aside=aside,
    )
