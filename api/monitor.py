"""How the gateway does: figures for programs."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import PlainTextResponse

from api import prometheus
from api.auth import allows, needs, principal_of
from api.errors import documented
from api.idempotent import Figures, Signed
from api.monitor_bodies import MetricsOut, MonitorOut, StatsOut
from api.monitor_view import View
from api.monitoring import Monitor

_NEEDED = [Depends(needs("system.read"))]
router = APIRouter(prefix="/api", tags=["monitor"], route_class=Signed, dependencies=_NEEDED)
scraped = APIRouter(tags=["monitor"], route_class=Figures, dependencies=_NEEDED)


@router.get("/ws-stats", responses=documented())
async def ws_stats(request: Request) -> StatsOut:
    """Connections, messages each way and errors of the WebSocket of this process."""
    return _view(request).stats()


@router.get("/ws-metrics", responses=documented())
async def ws_metrics(request: Request) -> MetricsOut:
    """All figures of the WebSocket of this process, for programs. For Prometheus: `/metrics`."""
    return _view(request).metrics()


@router.get("/ws-monitor", responses=documented())
async def ws_monitor(
    request: Request,
    since: Annotated[int, Query(ge=0, le=2**53, description="History after this moment only: its last `at`.")] = 0,
    limit: Annotated[int, Query(ge=0, le=1000, description="So many connections at most.")] = 100,
) -> MonitorOut:
    """For a page that shows it: figures, connections, ten minutes of history, alerts, log."""
    return _view(request).monitor(since_ms=since, limit=limit)


@scraped.get("/metrics", response_class=PlainTextResponse, responses=documented())
async def metrics(request: Request) -> PlainTextResponse:
    """For Prometheus, in its text format; it comes with an API key of the scope `monitor`."""
    monitor = _monitor(request)
    return PlainTextResponse(
        prometheus.text(monitor, await monitor.figures()),
        headers={"content-type": f"{prometheus.MEDIA_TYPE}; charset=utf-8"},
    )


def _view(request: Request) -> View:
    return View(_monitor(request), sees_addresses=allows(principal_of(request), "audit.read"))


def _monitor(request: Request) -> Monitor:
    monitor: Monitor = request.app.state.monitor
    return monitor
