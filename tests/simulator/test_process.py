"""The command: starts, serves, is killed, starts again and still knows."""

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def process(*arguments):
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulator", "--port", "0", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        line = (await asyncio.wait_for(child.stdout.readline(), 20)).decode()
        assert " on http://127.0.0.1:" in line, line + (await child.stderr.read()).decode()
        yield child, line.split(" on ")[1].strip()
    finally:
        if child.returncode is None:
            child.terminate()
        await asyncio.wait_for(child.communicate(), 20)


async def requests(session, url):
    async with session.get(f"{url}/_sim/ledger/requests") as answer:
        return orjson.loads(await answer.read())["data"]


async def test_killed_at_once_it_still_knows_what_it_answered_50_ms_ago(tmp_path):
    state = str(tmp_path / "state.sqlite")
    message = {"messaging_product": "whatsapp", "to": "491701234567", "text": {"body": "hi"}}
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer sim-token"}) as session:
        async with process("--profile", "bench", "--state", state) as (child, url):
            async with session.post(f"{url}/v23.0/100000000000001/messages", json=message) as answer:
                wamid = (await answer.json())["messages"][0]["id"]
            await asyncio.sleep(0.3)
            child.kill()
        async with process("--profile", "bench", "--state", state) as (child, url):
            [row] = await requests(session, url)
            assert (row["wamid"], row["effect"], row["answer_written"]) == (wamid, True, True)
            async with session.post(f"{url}/v23.0/100000000000001/messages", json=message) as answer:
                assert (await answer.json())["messages"][0]["id"] != wamid
    assert child.returncode == 0, "a polite end is a clean one"


@pytest.mark.parametrize("arguments", [("--profile", "nowhere"), ("--speed", "0")])
async def test_wrong_arguments_end_it_with_a_reason(arguments):
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulator", *arguments), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(child.communicate(), 20)
    assert child.returncode != 0
    assert arguments[0] in said.decode()
    assert "Traceback" not in said.decode()
