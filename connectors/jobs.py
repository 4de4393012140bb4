"""Asks Prefect for a flow run over its REST API. Prefect itself is not imported: the API process stays light."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from tenacity import AsyncRetrying, RetryError, retry_if_exception_type, stop_after_delay, wait_random_exponential

from core.ports import JobsUnavailable


class _Busy(Exception):
    """A 503: normal where Prefect runs on SQLite and another writer holds it."""


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
        flow, _, name = deployment.partition("/")
        find = f"{self._api}/deployments/name/{quote(flow, safe='')}/{quote(name or flow, safe='')}"
        run = {
            "state": {"type": "SCHEDULED"},
            "parameters": dict(parameters),
            "idempotency_key": key,
            "tags": [about],
        }
        failure: JobsUnavailable
        try:
            found = await self._ask("GET", find)
            waiting = {
                "deployments": {"id": {"any_": [found.get("id")]}},
                "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}, "tags": {"all_": [about]}},
            }
            if await self._ask("POST", f"{self._api}/flow_runs/count", orjson.dumps(waiting)):
                return
            create = f"{self._api}/deployments/{found.get('id')}/create_flow_run"
            await self._ask("POST", create, orjson.dumps(run))
            return
        except RetryError:
            failure = JobsUnavailable(f"Prefect stayed busy for {self._patience_s:g} s")
        except (aiohttp.ClientError, OSError) as broken:
            failure = JobsUnavailable(f"Prefect cannot be reached ({type(broken).__name__})")
        raise failure

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(self, method: str, url: str, body: bytes | None = None) -> Any:
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
            raise JobsUnavailable(f"Prefect answered {response.status} to {method}")
        try:
            document = orjson.loads(answer)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict | int):
            raise JobsUnavailable(f"Prefect answered {method} with something unexpected")
        return document
