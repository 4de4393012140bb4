"""`waqtor up`: one dead child comes back by itself, and the others stay."""

import signal

import pytest

from cli.local import Local

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("child", ["api", "simulator", "flows", "prefect"])
def test_a_killed_child_serves_again_and_the_others_stay(local: Local, child: str) -> None:
    others = {name: local.stack.pid(name) for name in local.stack.children if name != child}
    killed = local.stack.signal(child, signal.SIGKILL)
    local.stack.wait_serving(child, timeout_s=20, not_pid=killed)
    assert {name: local.stack.pid(name) for name in others} == others
