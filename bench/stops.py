"""How soon a STOP counts while a campaign runs at full speed. `python -m bench.stops --help`.

Signed webhooks with a STOP go to the API one after the other, each from somebody whose turn has not come. Measured is
from the API's 200 until another connection sees the suppression; and that no intent for the person came after it.
"""

import argparse
import asyncio
import hashlib
import hmac
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from sqlalchemy import text

from bench import child
from bench.campaign import Bench, running
from bench.meter import machine
from bench.peers import phone
from core import keys
from core.database import connect
from simulator.config import ACCOUNT_ID, APP_SECRET

_EVERY_S = 0.05
_GOAL_S = 1.0


def _stop(number_id: str, who: str, name: str) -> bytes:
    said = {"from": who, "id": name, "timestamp": str(int(time.time())), "type": "text", "text": {"body": "STOP"}}
    value = {"metadata": {"phone_number_id": number_id}, "messages": [said]}
    return orjson.dumps({"entry": [{"id": ACCOUNT_ID, "changes": [{"field": "messages", "value": value}]}]})


async def stops(bench: Bench, sender_id: int, number_id: str, campaign_id: int) -> dict[str, Any]:
    """From the last person backwards, as long as the campaign runs."""
    settings = bench.local.settings
    database, key = connect(settings), keys.load(settings.key_file)
    url = f"{settings.api_url}/webhooks/cloud/{sender_id}"
    answered: list[float] = []
    counted: list[float] = []
    try:
        async with aiohttp.ClientSession() as session:
            for number in reversed(range(bench.count)):
                who = phone(number)
                body = _stop(number_id, who.removeprefix("+"), f"in.{number}")
                signature = hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
                began = time.monotonic()
                async with session.post(
                    url, data=body, headers={"X-Hub-Signature-256": f"sha256={signature}"}
                ) as answer:
                    answer.raise_for_status()
                heard = time.monotonic()
                seen = text("SELECT 1 FROM suppressions WHERE identity_hash = :hash")
                while True:
                    async with database.reading() as tx:
                        if (await tx.execute(seen, {"hash": key.hash("phone", who)})).first():
                            break
                    await asyncio.sleep(0.002)
                async with database.reading() as tx:
                    left = text("SELECT 1 FROM recipients WHERE campaign_id = :id AND state = 'queued' LIMIT 1")
                    if (await tx.execute(left, {"id": campaign_id})).first() is None:
                        break  # the campaign is over: from here on there is no load
                answered.append(heard - began)
                counted.append(time.monotonic() - heard)
                await asyncio.sleep(_EVERY_S)
        async with database.reading() as tx:
            after = await tx.execute(
                text(
                    "SELECT count(*) FROM messages m JOIN identities i ON i.contact_id = m.contact_id"
                    " JOIN suppressions s ON s.identity_hash = i.value_hash"
                    " WHERE m.direction = 'out' AND m.at > s.created_at"
                )
            )
            return {"answered": answered, "counted": counted, "after": after.scalar_one()}
    finally:
        await database.close()


def measure(count: int, database: str) -> dict[str, Any]:
    with running(count=count, postgres=database == "postgresql", profile="bench") as bench, bench.local.http() as http:
        number_id = bench.next_number()
        sender = bench.local.sender(name="stops", phone_number_id=number_id, waba_id=ACCOUNT_ID, rate=10_000)
        asked = {"name": "bench", "sender_id": sender["id"], "template_id": 1, "audience": {"all": True}}
        campaign = http.post("/api/v3/campaigns", json=asked).raise_for_status().json()
        path = f"/api/v3/campaigns/{campaign['id']}"
        http.post(f"{path}/launch").raise_for_status()
        while not http.get(path).json()["progress"]["sent"]:
            time.sleep(0.02)
        began = time.monotonic()
        found = asyncio.run(stops(bench, sender["id"], number_id, campaign["id"]))
        seconds = time.monotonic() - began
        while http.get(path).json()["state"] == "running":
            time.sleep(0.2)
        return found | {"database": database, "seconds": seconds}


def _spread(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    return " / ".join(
        f"{one * 1000:,.0f}" for one in (ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1])
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.stops", description=__doc__)
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--database", choices=list(child.DATABASES), default="both")
    parser.add_argument("--out", type=Path, default=Path("bench/results/stops.md"))
    asked = parser.parse_args(arguments)
    facts = machine()
    found = [measure(asked.count, database) for database in child.DATABASES[asked.database]]
    lines = [
        f"# STOP while a campaign to {asked.count:,} people runs at full speed",
        "",
        f"{facts}. A webhook with a STOP after the other, {_EVERY_S * 1000:.0f} ms apart, from people whose turn has "
        "not come. Milliseconds p50 / p99 / max: until the API answered 200, and from there until another connection "
        f"saw the suppression (goal: under {_GOAL_S:.0f} s).",
        "",
    ]
    lines += child.table(
        ["database", "stops", "during s", "until 200", "200 until suppressed", "intents after it"],
        [
            [
                one["database"],
                len(one["counted"]),
                f"{one['seconds']:.1f}",
                _spread(one["answered"]),
                _spread(one["counted"]),
                one["after"],
            ]
            for one in found
        ],
    )
    child.keep(asked.out, "\n".join(lines) + "\n")
    return int(any(one["after"] or max(one["counted"]) > _GOAL_S for one in found))


if __name__ == "__main__":
    sys.exit(main())
