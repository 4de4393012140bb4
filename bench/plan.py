"""Planning the recipients of a very large campaign: how fast, and in how much memory. `python -m bench.plan --help`."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text

from bench import child
from bench.meter import machine
from connectors import choose
from core import campaigns, keys, schema, senders, templates
from core.bootstrap import build
from core.database import Tx, connect, is_postgres
from core.runs import Run
from core.settings import PLAN_AT_ONCE, Settings
from simulator.config import ACCOUNT_ID, APP_SECRET, NUMBER_ID, TOKEN

_SUPPRESSED_EVERY = 100
_LOTS: dict[str, Any] = {"variants": [{"name": "A"}, {"name": "B"}], "holdout_percent": 10.0}


async def prepare(settings: Settings, count: int, *, is_divided: bool) -> int:
    """`count` people straight into the tables, one in a hundred of them suppressed; a campaign, launched."""
    keys.init(settings.key_file)
    database = connect(settings)
    await schema.upgrade(database)
    platform = await build(settings, connectors=choose.CloudConnectors(settings), jobs=choose.jobs(settings))
    async with database.transaction() as tx:
        now = await platform.clock.now(tx)
        await _people(tx, count)
        sender = await senders.create(
            tx,
            platform.key,
            name="plan",
            phone_number_id=NUMBER_ID,
            waba_id=ACCOUNT_ID,
            access_token=TOKEN,
            app_secret=APP_SECRET,
            verify_token="bench",
            rate=1000,
            at=now,
        )
        template = await templates.create(tx, name="offer", body="Hello {name}", cloud_name="spring_offer", at=now)
        made = await campaigns.create(
            tx,
            name="plan",
            sender_id=sender.id,
            template_id=template.id,
            audience={"all": True},
            purpose="service",
            **(_LOTS if is_divided else {}),
            at=now,
        )
        await campaigns.launch(tx, made.id, at=now)
    if database.is_postgres:
        async with database.transaction() as tx:
            await tx.execute(text("ANALYZE"))
    await platform.close()
    await database.close()
    return made.id


async def _people(tx: Tx, count: int) -> None:
    if is_postgres(tx):
        numbers, pad = f"generate_series(1, {count}) AS n", "lpad(n::text, 8, '0')"
        attributes, digest = "'{}'::jsonb", "md5(n::text)"
    else:
        numbers = f"(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) SELECT n FROM s)"
        pad, attributes, digest = "printf('%08d', n)", "'{}'", "printf('%032x', n * 2654435761)"
    at = "CURRENT_TIMESTAMP"
    for statement in (
        f"INSERT INTO contacts (id, name, attributes, created_at, updated_at)"
        f" SELECT n, 'Person ' || n, {attributes}, {at}, {at} FROM {numbers}",
        f"INSERT INTO identities (id, contact_id, kind, value, value_hash, created_at)"
        f" SELECT n, n, 'phone', '+9665' || {pad}, {digest}, {at} FROM {numbers}",
        f"INSERT INTO suppressions (identity_hash, reason, created_at)"
        f" SELECT value_hash, 'bench', {at} FROM identities WHERE id % {_SUPPRESSED_EVERY} = 0",
    ):
        await tx.execute(text(statement))


async def plan(settings: Settings, campaign_id: int) -> dict[str, Any]:
    """What the flow run does, by the same code and with the same modules loaded, its memory watched."""
    import flows.campaigns  # noqa: F401

    platform = await build(settings, connectors=choose.CloudConnectors(settings), jobs=choose.jobs(settings))
    run = await Run.opened(platform, campaign_id)
    assert run is not None
    with child.watched() as used:
        await run.plan()
    async with platform.database.reading() as tx:
        states = (await tx.execute(text("SELECT state, count(*) FROM recipients GROUP BY 1"))).all()
    await platform.close()
    return used.facts() | {"states": {row[0]: row[1] for row in states}}


def measure(count: int, database: str, *, is_divided: bool) -> dict[str, Any]:
    """In a process of its own, so that the preparation's memory is not counted."""
    with child.installation("plan", database) as settings:
        began = time.monotonic()
        campaign_id = asyncio.run(prepare(settings, count, is_divided=is_divided))
        print(f"{database}: {count} contacts made in {time.monotonic() - began:.0f} s", flush=True)
        found = child.run("bench.plan", str(settings.data_dir), settings.database_url, str(campaign_id))
    return found | {"database": database, "rate": count / found["seconds"]}


def written(count: int, facts: str, found: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"# Planning {count:,} recipients",
        "",
        f"{facts}. One process, the code of the flow run, shipped settings ({PLAN_AT_ONCE:,} a transaction); "
        f"one person in {_SUPPRESSED_EVERY} is suppressed.",
        "",
    ]
    lines += child.table(
        ["database", "recipients/s (goal 20,000)", "seconds", "CPU s", "MB before, most (goal 300)", "by quarter"],
        [
            [
                one["database"],
                f"{one['rate']:,.0f}",
                f"{one['seconds']:.1f}",
                f"{one['cpu_s']:.1f}",
                f"{one['rss_before_mb']:.0f}, {one['rss_most_mb']:.0f}",
                one["rss_quarters_mb"],
            ]
            for one in found
        ],
    )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.plan", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--database", choices=list(child.DATABASES), default="both")
    parser.add_argument("--divided", action="store_true", help="with variants and a holdout")
    parser.add_argument("--out", type=Path, default=Path("bench/results/plan.md"))
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.only:
        folder, url, campaign_id = asked.only
        print(json.dumps(asyncio.run(plan(Settings(data_dir=Path(folder), database_url=url), int(campaign_id)))))
        return 0
    facts = machine()
    databases = child.DATABASES[asked.database]
    found = [measure(asked.count, database, is_divided=asked.divided) for database in databases]
    child.keep(asked.out, written(asked.count, facts, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
