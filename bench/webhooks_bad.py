"""What a bad receiver costs the process that posts to it: `python -m bench.webhooks_bad --only` prints it as JSON."""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

import psutil
import uvloop

from bench.webhook_receivers import Receivers
from connectors.posting import Posting
from core.ports import Letter, PostError
from core.webhook_addresses import Rules, ports

_KINDS = ("good", "drip", "gigabyte", "reset", "hang")  # the first to compare with: a connection takes memory too
_AT_ONCE = 64
_HERE = Rules((ip_network("127.0.0.0/8"),), http=True, ports=ports("1-65535"))


async def _post(poster: Posting, url: str) -> int:
    """How many bytes of its answer are kept."""
    try:
        return len((await poster.post(Letter(url, {"webhook-id": "evt_1"}, b"{}"))).body)
    except PostError:
        return 0


async def _grew(process: psutil.Process, before: int, done: asyncio.Event) -> int:
    most = 0
    while not done.is_set():
        most = max(most, process.memory_info().rss - before)
        await asyncio.sleep(0.001)
    return most


async def _measured(good: str, bad: Sequence[str]) -> dict[str, float]:
    """Seconds until the last was over, kilobytes more than before, and of those kept."""
    process = psutil.Process()
    poster = Posting(_HERE)
    await _post(poster, good)  # whatever is made with the first of all is not the bad one's
    gc.collect()
    done = asyncio.Event()
    watching = asyncio.create_task(_grew(process, process.memory_info().rss, done))
    began = time.monotonic()
    kept = await asyncio.gather(*(_post(poster, url) for url in bad))
    seconds = time.monotonic() - began
    done.set()
    found = {"s": seconds, "kb": await watching / 1024, "kept_kb": sum(kept) / 1024}
    await poster.close()
    return found


def _rows() -> dict[str, Any]:
    """Of one and of many at once, each in a process of its own: one that had the memory before needs no more."""
    found: dict[str, Any] = {}
    with Receivers() as receivers:
        for kind in _KINDS:
            for many in (1, _AT_ONCE):
                urls = [receivers.url("good"), *(receivers.url(kind, one) for one in range(many))]
                command = [sys.executable, "-m", "bench.webhooks_bad", "--only", *urls]
                found[f"{kind} {many}"] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.webhooks_bad", description=__doc__)
    parser.add_argument("--only", action="store_true", help="as the bench calls it")
    parser.add_argument("urls", nargs="*", help="of one row: a good receiver, and the bad ones")
    asked = parser.parse_args()
    print(json.dumps(uvloop.run(_measured(asked.urls[0], asked.urls[1:])) if asked.urls else _rows()))


if __name__ == "__main__":
    main()
