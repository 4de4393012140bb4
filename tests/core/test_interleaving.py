"""Everything at once, in an order drawn by lot: whatever happens whenever, at rest the books agree with WhatsApp's."""

import asyncio
import itertools
import os
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from conftest import with_settings
from core import settling
from core.bootstrap import Platform
from core.runs import Run
from fakes import FakeClock
from interleaving import World

EXAMPLES = int(os.environ.get("WAQTOR_INTERLEAVINGS", "12"))
NewPlatform = Callable[[FakeClock], AbstractAsyncContextManager[Platform]]
_QUICK = {
    "send_by_s": 0.5,
    "request_timeout_s": 0.5,
    "lease_margin_s": 0.5,
    "lease_s": 2,
    "claim_s": 0.5,
    "silence_window_s": 2,
    "batch_s": 0.5,
}
_OFTEN = {
    "claim": 5,
    "intend": 7,
    "hand_over": 12,
    "settle": 7,
    "die": 1,
    "hear": 3,
    "apply": 3,
    "stop": 3,
    "start": 1,
    "launch": 2,
    "plan": 3,
    "pause": 1,
    "resume": 2,
    "cancel": 1,
    "finish": 2,
    "look": 4,
    "go_on": 1,
    "retry": 2,
    "resend": 2,
    "merge": 3,
    "unmerge": 2,
    "switch": 1,
    "move_sender": 1,
    "let_time_pass": 3,
}
_BESIDE = {
    "another": 1,
    "stop": 2,
    "start": 4,
    "pause": 2,
    "resume": 3,
    "cancel": 0.5,
    "finish": 2,
    "look": 2,
    "go_on": 1,
    "retry": 4,
    "resend": 3,
    "merge": 5,
    "unmerge": 4,
    "switch": 1,
    "move_sender": 2,
    "let_time_pass": 1,
}  # while runs claim, send and settle by themselves
DEEDS = st.tuples(
    st.sampled_from([name for name, times in _OFTEN.items() for _ in range(times)]), st.integers(0, 2**32)
)


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # with Phase.shrink it takes minutes to say less of the same
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(deeds=st.lists(DEEDS, min_size=60, max_size=120))
async def test_whatever_happens_in_whatever_order_the_books_are_true(
    new_platform: NewPlatform, deeds: list[tuple[str, int]]
) -> None:
    clock = FakeClock()
    async with new_platform(clock) as platform:
        world = World(platform, clock)
        await world.begin()
        try:
            await world.do("launch", 0)
            for name, seed in deeds:
                await world.do(name, seed)
            await world.come_to_rest()
            await world.check()
        except AssertionError:
            print("\n".join(world.history))
            raise


@pytest.mark.parametrize("seed", range(2))
async def test_while_runs_really_send_the_books_are_true(new_platform: NewPlatform, seed: int) -> None:
    clock = FakeClock()
    async with new_platform(clock) as platform:
        world = World(with_settings(platform, **_QUICK), clock, people=30)
        await world.begin()
        workers = [
            asyncio.create_task(work)
            for work in (*(_runs(world) for _ in range(4)), _again(world, "apply"), _again(world, "hear"))
        ]
        chance = random.Random(seed)
        names, weights = list(_BESIDE), list(_BESIDE.values())
        for _ in range(4):
            await world.do("another", chance.getrandbits(32))
            drawn = [
                [(name, chance.getrandbits(32)) for name in chance.choices(names, weights, k=25)] for _ in range(4)
            ]
            await asyncio.gather(*(_operator(world, deeds) for deeds in drawn))
        async with asyncio.timeout(200):  # some 10 s on a quiet machine
            while not await world.is_at_rest():
                await world.let_everything_go()
                clock.advance(seconds=10)
                await settling.reconcile(world.platform)
                await asyncio.sleep(0.05)
        for worker in workers:
            worker.cancel()
        stopped = await asyncio.gather(*workers, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in stopped), stopped
        await world.check()
        assert len(world.whatsapp.reached) > 20
        # A webhook and a run may want the same two people crosswise; the webhook is then taken again.
        assert {one.partition(":")[0] for one in world.broken} <= {"apply"}


async def _operator(world: World, deeds: list[tuple[str, int]]) -> None:
    for name, seed in deeds:
        await world.do(name, seed)
        await asyncio.sleep(seed % 7 / 500)


async def _again(world: World, name: str) -> None:
    for seed in itertools.count():
        await world.do(name, seed)
        await asyncio.sleep(0.003)


async def _runs(world: World) -> None:
    """One run after the other, as the sweep starts them."""
    for number in itertools.count():
        run = await Run.opened(world.platform, world.campaign_ids[number % len(world.campaign_ids)])
        if run is not None:
            try:
                await run.plan()
                while (await run.send_batch()).why == "time_up":
                    pass
            finally:
                await run.close()
        await asyncio.sleep(0.01)
