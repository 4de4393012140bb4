"""How long people wait for the dashboard. `python -m bench.dashboard --help`.

Two installations stand side by side, with few people and with many; the same page is opened in one and then in the
other, in a real browser, so that a busy moment of the machine hits both."""

import argparse
import asyncio
import contextlib
import itertools
import math
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from playwright.async_api import Browser, Error, Page

from bench import child, dashboard_town, dashboard_windows
from bench.dashboard_windows import WALK, WIDTH, opened, pressed, window
from bench.meter import machine
from cli.local import free_port
from cli.processes import Stack, children
from core.settings import Settings

FEW = 100
_THINKS_S = (2.0, 6.0)
_PROCESSES = ("dashboard", "api")


@dataclass
class Town:
    settings: Settings
    emails: Sequence[str]

    @contextmanager
    def served(self) -> Iterator[Stack]:
        """By new processes."""
        with Stack(self.settings, [one for one in children(self.settings) if one.name in _PROCESSES]) as stack:
            stack.wait_ready()
            yield stack

    def cookie(self, number: int = 0) -> str:
        return dashboard_town.entered(self.settings.api_url, self.emails[number])

    @property
    def url(self) -> str:
        return self.settings.public_dashboard_url


@dataclass
class Found:
    first: dict[str, list[float]] = field(default_factory=dict)
    pages: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    clicks: list[float] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    took_s: float = 0.0
    used: Mapping[str, float] = field(default_factory=dict)
    memory_mb: float = 0.0


@contextmanager
def town(database: str, count: int, people: int) -> Iterator[Town]:
    with child.installation("dashboard", database) as bare:
        ports = {"api_port": free_port(), "dashboard_port": free_port()}
        settings = bare.model_copy(update=ports)
        for name in ports:
            settings.model_fields_set.add(name)
        made = Town(settings, dashboard_town.prepare(settings, count, people))
        with made.served():
            dashboard_town.furnish(settings.api_url, made.emails[0])
        yield made


# ---- what is measured ---------------------------------------------------------------------------------------


async def first_page(browser: Browser, place: Town, times: int) -> dict[str, list[float]]:
    """Cold: the processes have served nobody, the browser has nothing kept. Warm: the same browser once more. Between
    them: another browser, of a server that has served."""
    found: dict[str, list[float]] = {"cold": [], "new browser": [], "warm": []}
    for _ in range(times):
        with place.served():
            async with window(browser, place.url, place.cookie()) as page:
                found["cold"].append(await opened(page))
            for _ in range(2):
                async with window(browser, place.url, place.cookie()) as page:
                    found["new browser"].append(await opened(page))
                    for _ in range(2):
                        found["warm"].append(await opened(page))
    return found


async def pages(browser: Browser, places: Mapping[int, Town], rounds: int) -> dict[str, dict[int, list[float]]]:
    """Through all pages by clicks, in one town and the other in turns. The first round does not count."""
    found: dict[str, dict[int, list[float]]] = {step.name: {count: [] for count in places} for step in WALK}
    async with contextlib.AsyncExitStack() as stack:
        shown = {}
        for count, place in places.items():
            shown[count] = await stack.enter_async_context(window(browser, place.url, place.cookie()))
            await opened(shown[count])
        for number in range(rounds + 1):
            for step in WALK:
                for count in sorted(places, reverse=bool(number % 2)):
                    took = await pressed(shown[count], step)
                    if number:
                        found[step.name][count].append(took)
    return found


async def side_by_side(browser: Browser, place: Town, stack: Stack, seconds: float, found: Found) -> None:
    """Everybody in a window and with an account of their own, thinking between two clicks. Each has seen every page
    once: twenty browsers that unpack Streamlit's programs at one time on these cores are no server's load."""
    async with contextlib.AsyncExitStack() as windows:
        shown = [
            await windows.enter_async_context(window(browser, place.url, place.cookie(number)))
            for number in range(len(place.emails))
        ]
        for page in shown:
            await opened(page)
            for step in WALK:
                await pressed(page, step)
        until, dice = time.monotonic() + seconds, random.Random(7)

        async def goes_about(page: Page) -> None:
            await asyncio.sleep(dice.uniform(0, _THINKS_S[1]))
            for step in itertools.cycle(WALK):
                if time.monotonic() > until:
                    return
                try:
                    found.clicks.append(await pressed(page, step))
                except Error:
                    found.late.append(step.name)
                await asyncio.sleep(dice.uniform(*_THINKS_S))

        before, began = _used(stack), time.monotonic()
        await asyncio.gather(*map(goes_about, shown))
        found.took_s = time.monotonic() - began
        found.used = {name: (used - before[name]) / found.took_s for name, used in _used(stack).items()}
        found.memory_mb = psutil.Process(stack.pid("dashboard")).memory_info().rss / 2**20


def _used(stack: Stack) -> dict[str, float]:
    """Processor seconds so far."""
    found = {name: _of(psutil.Process(stack.pid(name))) for name in _PROCESSES}
    drawing = [one for one in psutil.Process().children(recursive=True) if "chrom" in one.name()]
    return found | {"browser": sum(_of(one) for one in drawing)}


def _of(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


def measure(database: str, asked: argparse.Namespace) -> Found:
    with ExitStack() as stack:
        places = {count: stack.enter_context(town(database, count, asked.sessions)) for count in (FEW, asked.count)}
        return asyncio.run(_measured(places, asked))


async def _measured(places: Mapping[int, Town], asked: argparse.Namespace) -> Found:
    found, many = Found(), places[asked.count]
    async with dashboard_windows.chromium() as browser:
        if asked.first:
            found.first = await first_page(browser, many, asked.first)
        if asked.rounds:
            with places[FEW].served(), many.served():
                found.pages = await pages(browser, places, asked.rounds)
        if asked.seconds:
            with many.served() as stack:
                await side_by_side(browser, many, stack, asked.seconds, found)
    return found


# ---- what is written ----------------------------------------------------------------------------------------


def written(database: str, found: Found, count: int) -> list[str]:
    lines = [f"## {database}", ""]
    if found.first:
        goals = {"cold": "2,000", "warm": "1,000"}
        rows = [(name, goals.get(name, ""), len(times), *_spread(times)) for name, times in found.first.items()]
        lines += [*child.table(("first page", "goal", "times", "min", "median", "p95", "max"), rows), ""]
    if found.pages:
        heads = ("page", "times", f"{FEW}: min", "median", "p95", "max", f"{count:,}: min", "median", "p95", "max")
        rows = [
            (name, len(times[count]), *_spread(times[FEW]), *_spread(times[count]), _ratio(times, count))
            for name, times in found.pages.items()
        ]
        lines += [*child.table((*heads, "p95 to p95 (goal 1.5)"), rows), ""]
    if found.clicks:
        used_by = [*found.used, "dashboard MB"]
        heads = ("clicks", "a second", "min", "median", "p95", "max", *used_by)
        rate = f"{len(found.clicks) / found.took_s:.1f}"
        used = (f"{used:.2f} cores" for used in found.used.values())
        clicked = [(len(found.clicks), rate, *_spread(found.clicks), *used, f"{found.memory_mb:.0f}")]
        lines += [*child.table(heads, clicked), ""]
        lines += [f"Clicks after which the page did not stand within 20 s: {len(found.late)}{_at(found.late)}.", ""]
    return lines


def _at(names: Sequence[str]) -> str:
    told = ", ".join(f"{name} {count}" for name, count in Counter(names).items())
    return f" ({told})" if told else ""


def _spread(times: Sequence[float]) -> tuple[str, ...]:
    ordered = sorted(times)
    shown = ordered[0], statistics.median(ordered), _p95(ordered), ordered[-1]
    return tuple(f"{one:,.0f}" for one in shown)


def _ratio(times: Mapping[int, Sequence[float]], count: int) -> str:
    return f"{_p95(sorted(times[count])) / _p95(sorted(times[FEW])):.2f}"


def _p95(ordered: Sequence[float]) -> float:
    return ordered[math.ceil(len(ordered) * 0.95) - 1]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="contacts, and recipients of a campaign")
    parser.add_argument("--first", type=int, default=6, help="how often the processes are started anew; 0: not at all")
    parser.add_argument("--rounds", type=int, default=30, help="how often each page is opened in each; 0: not at all")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120, help="of clicking side by side; 0: not at all")
    parser.add_argument("--database", choices=list(child.DATABASES), default="both")
    parser.add_argument("--out", type=Path, default=Path("bench/results/dashboard.md"))
    asked = parser.parse_args(arguments)
    low, high = _THINKS_S
    about = (
        f"{machine()}. Milliseconds until all of a page stands, in Chromium {WIDTH} pixels wide, on the same cores; "
        f"{asked.count:,} contacts and recipients. Side by side: {asked.sessions} windows, each of somebody else, "
        f"{low:g} to {high:g} s between two clicks."
    )
    lines = ["# The dashboard", "", about, ""]
    for database in child.DATABASES[asked.database]:
        began = os.getloadavg()[0]
        found = measure(database, asked)
        lines += [
            *written(database, found, asked.count),
            f"Load average {began:.1f} before, {os.getloadavg()[0]:.1f} after.",
            "",
        ]
    child.keep(asked.out, "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
