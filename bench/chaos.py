"""Kill processes while campaigns run, then compare our books with WhatsApp's. `python -m bench.chaos --help`."""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench import child
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
    "plan_at_once": 5,  # so that sending begins, and kills strike, while there are still people to plan
}
_SEEDS_PER_STACK = 50
_APART_S = 1.0  # launches; each starts a process, which takes seconds of one core


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    for asking in (signal.SIGINT, signal.SIGTERM):  # also where a shell started it deaf to Ctrl-C
        signal.signal(asking, signal.default_int_handler)
    out: Path = asked.out
    wanted = [asked.seed] if asked.seed is not None else range(asked.first, asked.first + asked.seeds)
    done = {} if asked.seed is not None else {one["seed"]: one for one in child.lines(out)}
    plans = [
        drawn(seed, postgres={"sqlite": False, "postgresql": True}.get(asked.database))
        for seed in wanted
        if seed not in done
    ]
    until = time.monotonic() + asked.minutes * 60

    def keep(result: dict[str, Any]) -> None:
        done[result["seed"]] = result
        child.add_line(out, result)
        print(progress_line(result), flush=True)

    for is_postgres, block in _blocks(plans):
        if time.monotonic() > until:
            print("time is up; run it again to go on")
            break
        with stack("chaos", postgres=is_postgres, keep=asked.keep) as (local, postgres):
            asyncio.run(_run_all(local, postgres, block, lanes=asked.lanes, timeout_s=asked.timeout, keep=keep))
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


def _blocks(plans: list[Seed]) -> Iterator[tuple[bool, list[Seed]]]:
    """Some seeds on one database, then some on the other."""
    waiting = {kind: [plan for plan in plans if plan.postgres is kind] for kind in (False, True)}
    while any(waiting.values()):
        for kind, some in waiting.items():
            if some:
                yield kind, some[:_SEEDS_PER_STACK]
                del some[:_SEEDS_PER_STACK]


@contextmanager
def stack(name: str, *, postgres: bool, keep: bool, **changes: Any) -> Iterator[tuple[Local, Postgres | None]]:
    """A whole installation that waits a tenth as long, with these settings besides."""
    folder = Path(tempfile.mkdtemp(prefix=f"wq-{name}-"))
    with ExitStack() as stack:
        if keep:
            print(f"data and logs: {folder}")
        else:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = stack.enter_context(Postgres(Path(f"{folder}-pg"))) if postgres else None
        changes = SCALED | changes | ({"database_url": server.create("waqtor")} if server else {})
        yield stack.enter_context(Local(folder / "data", profile="chaos", **changes)), server


async def _run_all(
    local: Local,
    postgres: Postgres | None,
    plans: list[Seed],
    *,
    lanes: int,
    timeout_s: float,
    keep: Callable[[dict[str, Any]], None],
) -> None:
    """`lanes` seeds at a time; what strikes a shared process strikes all that run just then."""
    database, client = connect(local.settings), Client(local)
    watch = Watch(database)
    looking = asyncio.create_task(watch.look_forever())
    try:
        template = {"name": "chaos", "body": "Hello {name}", "cloud_name": "spring_offer"}
        made = await client.ask("POST", "/api/v3/templates", json=template)
        world = World(local, database, client, Victims(local, postgres), watch, made["id"])
        waiting = iter(plans)

        async def lane(place: int) -> None:
            await asyncio.sleep(place * _APART_S)
            for plan in waiting:
                keep(await _one(Run(world, plan), timeout_s=timeout_s))

        await asyncio.gather(*(lane(place) for place in range(lanes)))
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        await client.close()
        await database.close()


async def _checked(run: Run) -> dict[str, Any]:
    """Another seed may strike the database while this one is looked at."""
    for _ in range(60):
        try:
            return await check(run)
        except Exception as error:  # noqa: BLE001
            failure = error
            await asyncio.sleep(1)
    raise failure


async def _one(run: Run, *, timeout_s: float) -> dict[str, Any]:
    broke = ""
    try:
        await run.prepare()
        await run.go(timeout_s=timeout_s)
    except Exception as error:  # noqa: BLE001  the bench's own failure is a result as well
        broke = repr(error)
    missing = await settle_down(run, timeout_s=90)
    result = await _checked(run)
    if broke:
        result["contradictions"]["the bench broke"] = 1
        result["error"] = broke
    if missing:
        result["contradictions"]["WhatsApp could not tell us all"] = 1
        result["missing"] = missing
    if result["contradictions"]:
        result["logs"] = {name: run.world.local.stack.log(name, lines=60) for name in ("flows", "api")}
    return result


if __name__ == "__main__":
    sys.exit(main())
