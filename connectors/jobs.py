"""Asks Prefect for a flow run over its REST API. Prefect itself is not imported: the API process stays light."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Literal
from urllib.parse import quote

import aiohttp
import orjson
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_delay, wait_random_exponential

from core.ports import Job, JobsUnavailable

_PAGE = 100
_MARK = "waqtor_schedules"  # a variable, seen in Prefect's UI
_State = Literal["scheduled", "started", "cancelled", "over"]
_STATES: Mapping[str, _State] = {
    "SCHEDULED": "scheduled",
    "PENDING": "started",
    "RUNNING": "started",
    "PAUSED": "started",
    "CANCELLING": "cancelled",
    "CANCELLED": "cancelled",
}


class _Busy(Exception):
    """A 503: normal where Prefect runs on SQLite and another writer holds it."""


class _NotThere(JobsUnavailable):
    """A 404: the deployment, the run or the variable is not there."""


class PrefectJobs:
    """`deployment` is `flow/deployment`. Repeating with the same key gives the same run, also across restarts.

    `patience_s` is about how long a busy Prefect is asked in all; `auth` is `user:password`.
    """

    def __init__(self, api_url: str, *, auth: str | None = None, patience_s: float = 10.0) -> None:
        self._api = api_url.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if auth:
            self._headers["Authorization"] = "Basic " + b64encode(auth.encode()).decode()
        self._patience_s = patience_s
        self._session: aiohttp.ClientSession | None = None

    async def start(self, deployment: str, parameters: Mapping[str, object], *, key: str, about: str) -> None:
        found = await self._deployment(deployment)
        waiting = {
            "deployments": {"id": {"any_": [found]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}, "tags": {"all_": [about]}},
        }
        if not await self._ask("POST", "/flow_runs/count", waiting):
            await self._create(found, parameters, key=key, about=about, state={"type": "SCHEDULED"})

    async def schedule(
        self, deployment: str, parameters: Mapping[str, object], *, key: str, about: str, due_at: datetime
    ) -> Job:
        found = await self._deployment(deployment)
        return _job(await self._create(found, parameters, key=key, about=about, state=_at(due_at)))

    async def find(self, ids: Sequence[str]) -> Mapping[str, Job]:
        jobs: dict[str, Job] = {}
        for place in range(0, len(ids), _PAGE):
            asked = {"flow_runs": {"id": {"any_": list(ids[place : place + _PAGE])}}, "limit": _PAGE}
            for run in await self._ask("POST", "/flow_runs/filter", asked):
                job = _job(run)
                jobs[job.id] = job
        return jobs

    async def move(self, job_id: str, *, due_at: datetime) -> None:
        await self._ask("POST", f"/flow_runs/{job_id}/set_state", {"state": _at(due_at)})

    async def cancel(self, job_id: str, *, why: str) -> None:
        state = {"type": "CANCELLED", "name": "Cancelled", "message": why}
        await self._ask("POST", f"/flow_runs/{job_id}/set_state", {"state": state})

    async def mark(self, deployment: str) -> str | None:
        try:
            variable = await self._ask("GET", f"/variables/name/{_MARK}")
            return f"{await self._deployment(deployment)}:{variable.get('value')}"
        except _NotThere:
            return None

    async def leave_mark(self, deployment: str) -> str:
        value = token_hex(8)
        try:
            await self._ask("PATCH", f"/variables/name/{_MARK}", {"value": value})
        except _NotThere:
            await self._ask("POST", "/variables/", {"name": _MARK, "value": value})
        return f"{await self._deployment(deployment)}:{value}"

    async def _deployment(self, deployment: str) -> str:
        flow, _, name = deployment.partition("/")
        found = await self._ask("GET", f"/deployments/name/{quote(flow, safe='')}/{quote(name or flow, safe='')}")
        return str(found.get("id"))

    async def _create(
        self, deployment_id: str, parameters: Mapping[str, object], *, key: str, about: str, state: Mapping[str, object]
    ) -> Any:
        run = {"state": state, "parameters": dict(parameters), "idempotency_key": key, "tags": [about]}
        return await self._ask("POST", f"/deployments/{deployment_id}/create_flow_run", run)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """What it answers; raises `JobsUnavailable`, `_NotThere` for a 404."""
        sent = None if body is None else orjson.dumps(body)
        try:
            return await self._patiently(method, f"{self._api}{path}", sent)
        except RetryError:
            failure = JobsUnavailable(f"Prefect stayed busy for {self._patience_s:g} s")
        except (aiohttp.ClientError, OSError) as broken:
            failure = JobsUnavailable(f"Prefect cannot be reached ({type(broken).__name__})")
        raise failure

    async def _patiently(self, method: str, url: str, body: bytes | None) -> Any:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(_Busy),
            stop=stop_after_delay(self._patience_s / 2),
            wait=wait_random_exponential(multiplier=self._patience_s / 40, max=self._patience_s / 5),
        ):
            with attempt:
                return await self._once(method, url, body)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _once(self, method: str, url: str, body: bytes | None) -> Any:
        if self._session is None or self._session.closed:
            timeout = aiohttp.ClientTimeout(total=self._patience_s / 2)
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        async with self._session.request(method, url, data=body, allow_redirects=False) as response:
            answer = await response.read()
        if response.status == 503:
            raise _Busy
        if not 200 <= response.status < 300:
            refused = _NotThere if response.status == 404 else JobsUnavailable
            raise refused(f"Prefect answered {response.status} to {method}")
        if response.status == 204:
            return None
        try:
            document = orjson.loads(answer)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict | list | int):
            raise JobsUnavailable(f"Prefect answered {method} with something unexpected")
        return document


def _at(due_at: datetime) -> dict[str, object]:
    return {"type": "SCHEDULED", "state_details": {"scheduled_time": due_at.astimezone(UTC).isoformat()}}


def _job(run: Mapping[str, Any]) -> Job:
    due_at = run.get("next_scheduled_start_time")
    return Job(
        id=str(run.get("id")),
        state=_STATES.get(str(run.get("state_type")), "over"),
        due_at=datetime.fromisoformat(due_at) if isinstance(due_at, str) else None,
    )
