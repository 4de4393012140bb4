"""The programs in docs/examples, run as they stand."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

from conftest import missing
from connectors.posting import Posting
from core import webhook_signing
from core.ports import Letter
from core.webhook_addresses import Rules, ports

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
HERE = Rules((ip_network("127.0.0.0/8"),), http=True, ports=ports("1-65535"))
BODY = '{"type":"message.received","timestamp":"2026-11-23T19:00:00Z","data":{"text":"سلام"}}'.encode()


@asynccontextmanager
async def running(*secrets: str) -> AsyncIterator[tuple[asyncio.StreamReader, str]]:
    """What it prints, and where it listens."""
    if (node := shutil.which("node")) is None:
        missing("Node.js (Debian and Ubuntu: apt-get install nodejs)")
    process = await asyncio.create_subprocess_exec(
        str(node),
        str(EXAMPLES / "verify-webhook.mjs"),
        env={**os.environ, "WEBHOOK_SECRET": " ".join(secrets), "PORT": "0"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            port = (await process.stdout.readline()).decode().removeprefix("listening on ").strip()
        yield process.stdout, f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        await process.wait()


async def test_the_receiver_in_node_takes_what_we_sign_and_nothing_else() -> None:
    shared, pair, strange = (webhook_signing.new_secret(scheme) for scheme in ("v1", "v1a", "v1"))

    def letter(
        url: str, *secrets: webhook_signing.NewSecret, ago: int = 0, body: bytes = BODY, sent: bytes = b""
    ) -> Letter:
        at = int(time.time()) - ago
        keys = [one.private.encode() for one in secrets]
        return Letter(url, webhook_signing.headers(f"evt_{ago}", "x", at, body, keys, v2=True), sent or body)

    poster = Posting(HERE)
    try:
        async with running(shared.shown, pair.shown) as (printed, url):
            for fine in (
                letter(url, shared),
                letter(url, strange, shared),
                letter(url, pair, ago=250),
                letter(url, shared, pair, ago=-250),
            ):
                assert (await poster.post(fine)).status == 204
            for wrong in (
                letter(url, strange),
                letter(url, shared, ago=400),
                letter(url, pair, ago=-400),
                letter(url, shared, sent=BODY + b" "),
                letter(url, shared, body=b"no json"),
                Letter(url, {}, BODY),
                Letter(url, {**letter(url, shared).headers, "webhook-signature": "v1,x v1a,x v1 ,"}, BODY),
            ):
                assert (await poster.post(wrong)).status == 400
            lines = [(await printed.readline()).decode().strip() for _ in range(10)]
    finally:
        await poster.close()
    # The second one came with the id of the first: it was done already.
    assert lines[:3] == [f'evt_{ago} message.received {{"text":"سلام"}}' for ago in (0, 250, -250)]
    assert lines[3:9] == [
        "refused: no signature fits",
        *["refused: the timestamp is too old or too new"] * 2,
        "refused: no signature fits",
        lines[7],
        "refused: a header is missing",
    ]
    assert "JSON" in lines[7]
    assert lines[9] == "refused: no signature fits"
