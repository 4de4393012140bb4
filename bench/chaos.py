"""Kill processes while campaigns run, then compare our books with WhatsApp's. `python -m bench.chaos --help`."""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson

from bench.chaos_check import check
from bench.chaos_report import progress_line, summary
from bench.chaos_run import Run, World, settle_down
from bench.client import Client
from bench.postgres import Postgres
from bench.seeds import LEASE_S, Seed, drawn
from bench.victims import Victims
from bench.watch import Watch
from cli.local import Local
from core.database import connect

# Everything that waits in real life waits a tenth as long here; the order of the limits is the shipped one.
SCALED: dict[str, Any] = {
    "lease_s": LEASE_S,
    "send_by_s": 1,
    "request_timeout_s": 3,
    "lease_margin_s": 1,
    "silence_window_s": 6,
    "sweep_interval_s": 8,
    "batch_s": 3,
}
_ROUNDS_PER_STACK = 4
_APART_S = 1.0  # launches; each starts a process, which takes seconds of one core


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    for asking in (signal.SIGINT, signal.SIGTERM):  # also where a shell started it deaf to Ctrl-C
        signal.signal(asking, signal.default_int_handler)
    out: Path = asked.out
    wanted = [asked.seed] if asked.seed is not None else range(asked.first, asked.first + asked.seeds)
    done = {} if asked.seed is not None else _read(out)
    plans = [
        drawn(seed, postgres={"sqlite": False, "postgresql": True}.get(asked.database))
        for seed in wanted
        if seed not in done
    ]
    until = time.monotonic() + asked.minutes * 60
    out.parent.mkdir(parents=True, exist_ok=True)
    for is_postgres, block in _blocks(plans, lanes=asked.lanes):
        if time.monotonic() > until:
            print("time is up; run it again to go on")
            break
        with _stack(postgres=is_postgres, keep=asked.keep) as (local, postgres):
            for number, batch in enumerate(block, 1):
                for result in asyncio.run(_round(local, postgres, batch, number=number, timeout_s=asked.timeout)):
                    done[result["seed"]] = result
                    with out.open("ab") as file:
                        file.write(orjson.dumps(result, default=str) + b"\n")
                    print(progress_line(result), flush=True)
    results = [done[seed] for seed in wanted if seed in done]
    text = summary(results)
    print("\n" + text)
    if asked.seed is None:
        out.with_suffix(".md").write_text(text)
    return int(any(result["contradictions"] for result in results) or len(results) < len(wanted))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one, also when it is in the results already")
    parser.add_argument("--lanes", type=int, default=8, help="campaigns at once")
    parser.add_argument("--database", choices=("both", "sqlite", "postgresql"), default="both")
    parser.add_argument("--timeout", type=float, default=240, help="seconds in which a seed has to come to rest")
    parser.add_argument("--minutes", type=float, default=90, help="begin no new installation after this long")
    parser.add_argument("--out", type=Path, default=Path("bench/results/chaos.jsonl"))
    parser.add_argument("--keep", action="store_true", help="leave data and logs behind, and say where")
    return parser


def _read(out: Path) -> dict[int, dict[str, Any]]:
    """What an earlier call found, by seed."""
    if not out.exists():
        return {}
    return {line["seed"]: line for line in map(orjson.loads, out.read_bytes().splitlines())}


def _blocks(plans: list[Seed], *, lanes: int) -> Iterator[tuple[bool, list[list[Seed]]]]:
    """Rounds of `lanes` seeds; a few rounds of one database, then a few of the other."""
    rounds = {
        kind: [some[i : i + lanes] for i in range(0, len(some), lanes)]
        for kind in (False, True)
        for some in [[plan for plan in plans if plan.postgres is kind]]
    }
    while any(rounds.values()):
        for kind, left in rounds.items():
            if left:
                yield kind, left[:_ROUNDS_PER_STACK]
                del left[:_ROUNDS_PER_STACK]


@contextmanager
def _stack(*, postgres: bool, keep: bool) -> Iterator[tuple[Local, Postgres | None]]:
    folder = Path(tempfile.mkdtemp(prefix="wq-chaos-"))
    with ExitStack() as stack:
        if keep:
            print(f"data and logs: {folder}")
        else:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = stack.enter_context(Postgres(Path(f"{folder}-pg"))) if postgres else None
        changes = SCALED | ({"database_url": server.create("waqtor")} if server else {})
        yield stack.enter_context(Local(folder / "data", profile="chaos", **changes)), server


async def _round(
    local: Local, postgres: Postgres | None, plans: list[Seed], *, number: int, timeout_s: float
) -> list[dict[str, Any]]:
    """All seeds of a round at once; what strikes a shared process strikes them all."""
    database, client = connect(local.settings), Client(local)
    watch = Watch(database)
    looking = asyncio.create_task(watch.look_forever())
    try:
        template = await client.ask(
            "POST",
            "/api/v3/templates",
            json={"name": f"round-{number}", "body": "Hello {name}", "cloud_name": "spring_offer"},
        )
        world = World(local, database, client, Victims(local, postgres), watch, template["id"], number)
        runs = [Run(world, plan, wait_s=place * _APART_S) for place, plan in enumerate(plans)]
        for run in runs:
            await run.prepare()
        ended = await asyncio.gather(*(run.go(timeout_s=timeout_s) for run in runs), return_exceptions=True)
        for name in local.stack.children:
            await asyncio.to_thread(local.stack.wait_serving, name, timeout_s=90)
        missing = await settle_down(world, timeout_s=60)
        results = []
        for run, end in zip(runs, ended, strict=True):
            result = await check(run)
            if isinstance(end, BaseException):
                result["contradictions"]["the bench broke"] = 1
                result["error"] = repr(end)
            if missing:
                result["contradictions"]["WhatsApp could not tell us all"] = 1
                result["missing"] = missing
            if result["contradictions"]:
                result["logs"] = {name: local.stack.log(name, lines=60) for name in ("flows", "api")}
            results.append(result)
        return results
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        await client.close()
        await database.close()


if __name__ == "__main__":
    sys.exit(main())
