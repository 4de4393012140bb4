"""However a command that runs until it is stopped is asked to stop, it ends as by Ctrl-C."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Every way of being asked to end raises KeyboardInterrupt; the yielded function makes us deaf to them."""
    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def hush() -> None:
        for sig in asked:
            signal.signal(sig, signal.SIG_IGN)

    before = {sig: signal.signal(sig, interrupt) for sig in asked}
    try:
        yield hush
    finally:
        for sig, handler in before.items():
            signal.signal(sig, handler)
