"""One campaign through all processes, measured, beside a bare loop and pywa. `python -m bench.campaign --help`."""

import argparse
import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from bench import campaign_report
from bench.meter import Meter, machine
from bench.peers import phone
from bench.postgres import Postgres
from cli.local import VERIFY_TOKEN, Local
from core.database import connect
from simulator.config import ACCOUNT_ID, APP_SECRET, TOKEN

_PATIENCE_S = 300


@dataclass(slots=True)
class Bench:
    """A running installation with its contacts, and what the simulator posts the peers' statuses to."""

    local: Local
    postgres: Postgres | None
    sink_url: str
    count: int
    numbers: int = 0

    def next_number(self) -> str:
        self.numbers += 1
        return f"1{self.numbers:014d}"

    def import_contacts(self) -> float:
        lines = "".join(f"{phone(n)},Person {n}\n" for n in range(self.count))
        began = time.monotonic()
        with self.local.http() as http:
            http.timeout = 300
            file = {"file": ("people.csv", "phone,name\n" + lines)}
            agreed = {"source": "form", "wording": "yes", "given_at": "2026-01-01"}
            fields = {"consent": json.dumps(agreed)}
            job = http.post("/api/v3/contacts/import", files=file, data=fields).raise_for_status().json()
            while job["state"] == "running":
                time.sleep(0.2)
                job = http.get(f"/api/v3/imports/{job['id']}").raise_for_status().json()
            http.post(
                "/api/v3/templates", json={"name": "offer", "body": "Hello {name}", "cloud_name": "spring_offer"}
            ).raise_for_status()
        return time.monotonic() - began

    def ours(self, *, rate: float, until_told: bool = True) -> dict[str, Any]:
        """Create, launch, wait until finished and (`until_told`) all statuses are settled."""
        number_id = self.next_number()
        sender = self.local.sender(name=f"sender {number_id}", phone_number_id=number_id, waba_id=ACCOUNT_ID, rate=rate)
        with self.local.http() as http, Meter(self.local, postgres_pid=_pid(self.postgres)) as meter:
            asked = {
                "name": "bench",
                "sender_id": sender["id"],
                "template_id": 1,
                "audience": {"all": True},
            }
            campaign = http.post("/api/v3/campaigns", json=asked).raise_for_status().json()
            path = f"/api/v3/campaigns/{campaign['id']}"
            before, began = meter.read(), time.time()
            http.post(f"{path}/launch").raise_for_status()
            at_first: dict[str, float] = {}
            while (state := http.get(path).raise_for_status().json())["state"] != "finished":
                if not at_first and state["progress"]["sent"]:
                    at_first = meter.read()
                if time.time() - began > _PATIENCE_S:
                    raise TimeoutError(f"not finished: {state}")
                time.sleep(1.0 if at_first else 0.1)  # as often as the SDK asks
            if until_told:
                self._wait_idle(number_id)
            after = meter.read()
        moments = asyncio.run(self._moments(campaign["id"], began))
        posts = self._post_seconds(number_id)
        return {
            **moments,
            "launch_to_first_s": moments["first"] - began,
            "whole_rate": self.count / (moments["last"] - began),
            "rate": moments["settled"] / (moments["last"] - moments["first"]),
            "cpu_start_s": {name: at_first[name] - before[name] for name in after},
            "cpu_ms": {name: 1000 * (after[name] - at_first[name]) / self.count for name in after},
            "answer_s": posts,
            "progress": state["progress"],
        }

    def peer(self, what: str, concurrency: int) -> dict[str, Any]:
        """One of `bench.peers` against the same simulator, its statuses going to the sink."""
        number_id = self.next_number()
        self.local.simulator(
            "POST",
            "accounts",
            phone_number_id=number_id,
            token=TOKEN,
            app_secret=APP_SECRET,
            verify_token=VERIFY_TOKEN,
            callback_url=self.sink_url,
        )
        command = [sys.executable, "-m", "bench.peers", what, "--url", self.local.simulator_url]
        command += ["--number-id", number_id, "--count", str(self.count), "--concurrency", str(concurrency)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PATIENCE_S)
        self._wait_idle(number_id)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if found["accepted"] != self.count:
            raise RuntimeError(f"{what}: only {found['accepted']} of {self.count} were accepted")
        return found | {"rate": self.count / found["seconds"], "cpu_ms": 1000 * found["cpu_s"] / self.count}

    def _wait_idle(self, number_id: str) -> None:
        until = time.monotonic() + _PATIENCE_S
        while not self.local.simulator("GET", f"idle?phone_number_id={number_id}")["idle"]:
            if time.monotonic() > until:
                raise TimeoutError("the simulator still has statuses to tell")
            time.sleep(0.2)

    async def _moments(self, campaign_id: int, began: float) -> dict[str, Any]:
        """First intent, last answer, and the time from a webhook's arrival to the commit that applied it."""
        database = connect(self.local.settings)
        try:
            for _ in range(100):
                async with database.reading() as tx:
                    waiting = (await tx.execute(text("SELECT count(*) FROM inbox WHERE applied_at IS NULL"))).scalar()
                if not waiting:
                    break
                await asyncio.sleep(0.1)
            async with database.reading() as tx:
                row = (
                    await tx.execute(
                        text(
                            "SELECT min(m.at), max(m.settled_at), count(m.settled_at),"
                            " sum(CASE WHEN m.receipt >= 2 THEN 1 ELSE 0 END)"
                            " FROM messages m JOIN recipients r ON r.id = m.recipient_id"
                            " WHERE r.campaign_id = :campaign"
                        ),
                        {"campaign": campaign_id},
                    )
                ).one()
                hooks = (
                    await tx.execute(
                        text(
                            "SELECT received_at, applied_at FROM inbox WHERE applied_at IS NOT NULL"
                            " ORDER BY applied_at, id"
                        )
                    )
                ).all()
        finally:
            await database.close()
        arrivals = [pair for pair in ((_unix(a), _unix(b)) for a, b in hooks) if pair[0] >= began]
        return {
            "first": _unix(row[0]),
            "last": _unix(row[1]),
            "settled": row[2],
            "delivered": row[3],
            "settle_s": _spread(campaign_report.lags(arrivals)),
        }

    def _post_seconds(self, number_id: str) -> dict[str, float]:
        """How long WhatsApp waited for the answer to a webhook."""
        seconds: list[float] = []
        after = 0
        while True:
            page = self.local.simulator("GET", f"ledger/posts?phone_number_id={number_id}&limit=10000&after={after}")
            seconds += [row["seconds"] for row in page["data"]]
            if page["next_after"] is None:
                return _spread(seconds)
            after = page["next_after"]


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values) or [0.0]
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[int(len(ordered) * 0.99)], "max": ordered[-1]}


def _unix(stored: Any) -> float:
    from bench.chaos_run import moment

    return moment(stored).timestamp()


def _pid(postgres: Postgres | None) -> int | None:
    return postgres.pid if postgres else None


@contextmanager
def running(*, count: int, postgres: bool, profile: str) -> Iterator[Bench]:
    """An installation at its shipped settings."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="wq-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = stack.enter_context(Postgres(Path(f"{folder}-pg"))) if postgres else None
        changes = {"database_url": server.create("waqtor")} if server else {}
        local = stack.enter_context(Local(folder / "data", profile=profile, **changes))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        sink = subprocess.Popen([sys.executable, "-m", "bench.peers", "sink", "--port", str(port)])
        stack.callback(sink.wait)
        stack.callback(sink.terminate)
        bench = Bench(local, server, f"http://127.0.0.1:{port}/", count)
        print(f"  contacts imported in {bench.import_contacts():.1f} s", flush=True)
        yield bench


def measure(*, count: int, rounds: int, databases: Sequence[str], concurrency: int) -> dict[str, Any]:
    """Ours, the bare loop and pywa in turn, for each database; then one sender at Meta's top rate."""
    found: dict[str, Any] = {"machine": machine(), "count": count, "concurrency": concurrency, "rounds": {}}
    for database in databases:
        print(database, flush=True)
        with running(count=count, postgres=database == "postgresql", profile="bench") as bench:
            if "pywa_concurrency" not in found:
                trial = Bench(bench.local, None, bench.sink_url, max(500, count // 10), numbers=900)
                rates = {many: trial.peer("pywa", many)["rate"] for many in (16, 64, 128)}
                found["pywa_concurrency"] = max(rates, key=lambda many: rates[many])
                found["pywa_rates"] = rates
            for number in range(rounds):
                one = {"ours": bench.ours(rate=10_000), "bare": bench.peer("aiohttp", concurrency)}
                one["pywa"] = bench.peer("pywa", found["pywa_concurrency"])
                found["rounds"].setdefault(database, []).append(one)
                print(f"  round {number + 1}: " + campaign_report.one_line(one), flush=True)
    found["top"] = {}
    for database in databases:
        print(f"one sender at 1,000 messages/s, {database}", flush=True)
        with running(count=count, postgres=database == "postgresql", profile="top") as bench:
            # Some phones are off for minutes: not until everybody's receipts have come.
            found["top"][database] = [bench.ours(rate=1000, until_told=False) for _ in range(rounds)]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.campaign", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--database", choices=("both", "sqlite", "postgresql"), default="both")
    parser.add_argument("--out", type=Path, default=Path("bench/results/campaign.md"))
    asked = parser.parse_args(arguments)
    databases = ("sqlite", "postgresql") if asked.database == "both" else (asked.database,)
    found = measure(count=asked.count, rounds=asked.rounds, databases=databases, concurrency=asked.concurrency)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.with_suffix(".json").write_text(json.dumps(found, indent=1, default=str))
    asked.out.write_text(campaign_report.written(found))
    print(campaign_report.written(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
