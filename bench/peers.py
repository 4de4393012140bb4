"""The two programs we compare with, each in its own process: `python -m bench.peers aiohttp|pywa|sink`.

`aiohttp` is the limit: a bare loop that posts finished bodies and keeps no books. `pywa` is what a Python
developer would write. Both print one JSON line: seconds, CPU seconds, how many were accepted.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import orjson
from aiohttp import web

from connectors.cloud_content import body_of
from core.content import Template
from core.ports import Address, Outgoing
from simulator.config import TOKEN

Post = Callable[[int], Awaitable[bool]]


def phone(number: int) -> str:
    return f"+9665{number:08d}"


def body(number: int) -> bytes:
    """What our connector posts for the same campaign."""
    template = Template(name="spring_offer", language="en", parameters=[f"Person {number}"], text="")
    outgoing = Outgoing(
        client_id=f"3EB0{number:018X}", to=Address("phone", phone(number)), content=template, send_by=0.0
    )
    return orjson.dumps(body_of(outgoing))


async def bare(url: str, number_id: str, count: int, concurrency: int) -> int:
    bodies = [body(number) for number in range(count)]
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def post(number: int) -> bool:
            async with session.post(f"{url}/v23.0/{number_id}/messages", data=bodies[number]) as answer:
                await answer.read()
                return answer.status == 200

        return await _all(post, count, concurrency)


async def pywa(url: str, number_id: str, count: int, concurrency: int) -> int:
    from pywa_async import WhatsApp
    from pywa_async.types.templates import BodyText, TemplateLanguage

    whatsapp = WhatsApp(phone_id=number_id, token=TOKEN)
    whatsapp.api._session.base_url = f"{url}/v23.0"

    async def post(number: int) -> bool:
        sent = await whatsapp.send_template(
            to=phone(number),
            name="spring_offer",
            language=TemplateLanguage.ENGLISH,
            params=[BodyText.params(f"Person {number}")],
            tracker=f"pywa:{number}",
        )
        return bool(sent.id)

    try:
        return await _all(post, count, concurrency)
    finally:
        await whatsapp.api._session.aclose()


async def _all(post: Post, count: int, concurrency: int) -> int:
    """`concurrency` workers over one range; prints what it took."""
    numbers, accepted = iter(range(count)), 0

    async def work() -> None:
        nonlocal accepted
        for number in numbers:
            is_accepted = await post(number)  # before the sum is read: the others add to it meanwhile
            accepted += is_accepted

    began, cpu = time.monotonic(), _cpu_s()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    result = {"seconds": time.monotonic() - began, "cpu_s": _cpu_s() - cpu, "accepted": accepted}
    print(json.dumps(result), flush=True)
    return 0


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def sink(port: int) -> int:
    """Answers every webhook with 200 until it is ended."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.sleep(3600)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.peers")
    parser.add_argument("what", choices=("aiohttp", "pywa", "sink"))
    parser.add_argument("--url", default="")
    parser.add_argument("--number-id", default="")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    if asked.what == "sink":
        return asyncio.run(sink(asked.port))
    if asked.what == "aiohttp":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(bare(asked.url, asked.number_id, asked.count, asked.concurrency))
    return asyncio.run(pywa(asked.url, asked.number_id, asked.count, asked.concurrency))


if __name__ == "__main__":
    sys.exit(main())
