"""Periodic runs that fell due while nobody could start them."""

from contextlib import suppress
from datetime import UTC, datetime

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound

_PERIODIC = ["housekeeping"]


async def forget_missed_runs() -> int:
    """Delete those that are due and not started: each does the same as the next, and after a week off they would
    all start at once."""
    missed = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
    )
    forgotten = 0
    async with get_client() as client:
        while runs := await client.read_flow_runs(
            flow_run_filter=missed,
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=_PERIODIC)),
            limit=100,
        ):
            for run in runs:
                with suppress(ObjectNotFound):  # another process forgets them too
                    await client.delete_flow_run(run.id)
            forgotten += len(runs)
    return forgotten
