"""Finding the processes of a running installation, and striking them."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.postgres import Postgres
from bench.seeds import Strike
from cli.local import Local
from cli.processes_leftovers import marked
from core import service_credentials

_RUN_ID = "PREFECT__FLOW_RUN_ID"
_CHILD = {"runner": "flows", "api": "api", "prefect": "prefect"}
_PATIENCE_S = 12.0


class Victims:
    """The processes of one stack. Which flow run sends which campaign is asked of Prefect once per run."""

    def __init__(self, local: Local, postgres: Postgres | None) -> None:
        self._local = local
        self._postgres = postgres
        self._campaign_of: dict[str, int | None] = {}
        self._one_at_a_time = asyncio.Lock()  # two blows at once to a shared process would be one

    async def strike(self, blow: Strike, campaign_id: int) -> dict[str, Any]:
        """Returns what was struck: process ids, and since when the flow process of this campaign ran."""
        done: dict[str, Any] = {"target": blow.target, "stop_s": round(blow.stop_s, 1), "at": round(time.time(), 2)}
        kind = signal.SIGSTOP if blow.stop_s else signal.SIGTERM if blow.is_asked else signal.SIGKILL
        done["signal"] = kind.name
        if blow.target == "postgres":
            return done | await self._strike_postgres()
        pids: list[int] = []
        if "runner" in blow.target or blow.target in ("api", "prefect"):
            async with self._one_at_a_time:
                pid = await asyncio.to_thread(self._local.stack.pid, _CHILD[blow.target.removesuffix("+flow")])
                pids += [pid] if pid else []
        if "flow" in blow.target:
            flow = await self._flow_process(campaign_id)
            if flow is not None:
                pids.append(flow.pid)
                done |= {"flow_since": flow.create_time()}
        done["pids"] = pids
        for pid in pids:
            _signal(pid, kind)
        if blow.stop_s:
            try:
                await asyncio.sleep(blow.stop_s)
            finally:
                for pid in pids:
                    _signal(pid, signal.SIGCONT)
        return done

    async def _strike_postgres(self) -> dict[str, Any]:
        assert self._postgres is not None
        async with self._one_at_a_time:
            pid = self._postgres.pid
            await asyncio.to_thread(self._postgres.kill)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(self._postgres.start)
        return {"pids": [pid]}

    async def _flow_process(self, campaign_id: int) -> psutil.Process | None:
        """The process that runs this campaign's flow; waits a little for one to be there."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            for run_id, pid in (await asyncio.to_thread(flow_runs, self._local.stack.mark)).items():
                if await self._sends(run_id) == campaign_id:
                    try:
                        return psutil.Process(pid)
                    except psutil.NoSuchProcess:
                        continue
            await asyncio.sleep(0.2)
        return None

    async def _sends(self, run_id: str) -> int | None:
        if run_id not in self._campaign_of:
            try:
                user, _, password = (service_credentials.for_prefect(self._local.settings) or "").partition(":")
                async with httpx.AsyncClient(trust_env=False, timeout=5, auth=(user, password)) as http:
                    answer = await http.get(f"{self._local.settings.prefect_api_url}/flow_runs/{run_id}")
                self._campaign_of[run_id] = answer.json()["parameters"].get("campaign_id")
            except (httpx.HTTPError, KeyError, ValueError):
                return None  # struck itself just now; asked again
        return self._campaign_of[run_id]


def flow_runs(mark: str) -> dict[str, int]:
    """Run id → the oldest process that carries it."""
    found: dict[str, int] = {}
    for pid in sorted(marked(mark)):
        try:
            environment = (Path("/proc") / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        for entry in environment.split(b"\0"):
            name, _, value = entry.partition(b"=")
            if name.decode(errors="replace") == _RUN_ID and value:
                found.setdefault(value.decode(), pid)
    return found


def _signal(pid: int, sig: signal.Signals) -> None:
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        return
