"""What an installation is, what waits in it and what sends: for who looks after it."""

from datetime import datetime
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from sqlalchemy import select

from api.auth import needs
from api.bodies import Shown
from api.deps import Now, PlatformDep, Tx
from api.errors import documented
from api.idempotent import Signed
from api.monitoring import Monitor
from core import campaigns
from core.models import Campaign

router = APIRouter(
    prefix="/api/v3/system", tags=["system"], route_class=Signed, dependencies=[Depends(needs("system.read"))]
)

SHOWN = (
    *("default_country", "max_upload_bytes", "send_concurrency", "max_attempts", "silence_window_s"),
    *("sweep_interval_s", "suspect_after_messages", "suspect_after_s", "schedule_grace_s", "marketing_per_week"),
    *("event_retention_days", "inbox_retention_days", "idempotency_days", "notification_retention_days"),
    *("live_connections", "requests_per_s", "log_level"),
)
"""Settings that say nothing of where things are, and open nothing."""
_MOST_RUNS = 50


class Queues(Shown):
    """What waits, 10,000 of each at most."""

    outbox: int = Field(description="Single messages that wait to leave.", examples=[0])
    unsettled: int = Field(description="Messages under way or in doubt.", examples=[0])
    inbox: int = Field(description="Webhooks that wait to be applied.", examples=[0])
    inbox_lag_s: float = Field(description="How long the oldest of them has waited.", examples=[0])


class RunOut(Shown):
    """A campaign under way."""

    campaign_id: int = Field(examples=[7])
    name: str = Field(examples=["Spring"])
    state: str = Field(examples=["running"])
    is_held: bool = Field(description="A run of Prefect is at it now. Where none is, the sweep starts one.")
    held_until: datetime | None = Field(description="When the run counts as dead unless it says that it lives.")


class SystemOut(Shown):
    """This installation."""

    version: str = Field(examples=["3.0.0"])
    database: str = Field(description="sqlite or postgresql", examples=["sqlite"])
    uptime_s: float = Field(description="Of the API process that answers.", examples=[86400.5])
    prefect_url: str = Field(description="Its pages, as this machine reaches them.", examples=["http://127.0.0.1:4200"])
    queues: Queues
    campaigns: dict[str, int] = Field(description="Under way, by state.", examples=[{"running": 1}])
    senders: dict[str, int] = Field(description="By state.", examples=[{"active": 2}])
    runs: list[RunOut] = Field(description="The newest 50 campaigns under way.")
    settings: dict[str, Any] = Field(
        description="In force; those that name no place and no secret.", examples=[{"default_country": "SA"}]
    )


@router.get("", responses=documented())
async def show_system(request: Request, platform: PlatformDep, tx: Tx, now: Now) -> SystemOut:
    """What this installation is, what waits, which campaigns are under way and whether a run is at each."""
    monitor: Monitor = request.app.state.monitor
    figures = await monitor.figures()
    query = select(Campaign).where(Campaign.state.in_(campaigns.UNDER_WAY)).order_by(Campaign.id.desc())
    settings = platform.settings
    return SystemOut(
        version=version("waqtor-platform"),
        database=settings.database.partition("+")[0],
        uptime_s=round(monitor.uptime_s, 1),
        prefect_url=settings.prefect_api_url.removesuffix("/api"),
        queues=Queues.model_validate(figures),
        campaigns=dict(figures.campaigns),
        senders=dict(figures.senders),
        runs=[_run(one, now) for one in await tx.scalars(query.limit(_MOST_RUNS))],
        settings={name: getattr(settings, name) for name in SHOWN},
    )


def _run(campaign: Campaign, now: datetime) -> RunOut:
    until = campaign.run_until
    return RunOut(
        campaign_id=campaign.id,
        name=campaign.name,
        state=campaign.state,
        is_held=until is not None and until > now,
        held_until=until,
    )
