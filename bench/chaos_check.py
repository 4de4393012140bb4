"""After everything came to rest: do our books agree with WhatsApp's, with each other, and with what was promised?"""

import asyncio
from collections import Counter
from typing import Any

from sqlalchemy import bindparam, text

from bench.chaos_run import Run, moment
from cli import oracle
from core.database import Tx

MOST_INTENTS = 64
_STOP_GRACE_S = 2.0  # a transaction takes its time stamp when it begins, not when it commits
_SHOWN = 6
_MESSAGES = text(
    "SELECT r.campaign_id, r.state AS recipient_state, r.reason AS recipient_reason, m.*,"
    " (SELECT min(s.created_at) FROM suppressions s JOIN identities i ON i.value_hash = s.identity_hash"
    "  WHERE i.contact_id = r.contact_id) AS stopped_at"
    " FROM recipients r LEFT JOIN messages m ON m.recipient_id = r.id WHERE r.campaign_id IN :ids ORDER BY r.id"
).bindparams(bindparam("ids", expanding=True))
_SINGLES = text(
    "SELECT NULL AS campaign_id, NULL AS recipient_state, NULL AS recipient_reason, m.*,"
    " (SELECT min(s.created_at) FROM suppressions s JOIN identities i ON i.value_hash = s.identity_hash"
    "  WHERE i.contact_id = m.contact_id) AS stopped_at"
    " FROM messages m WHERE m.id IN :ids ORDER BY m.id"
).bindparams(bindparam("ids", expanding=True))
_OF_MESSAGE = {"intent": "sending", "in_doubt": "sending"}

Row = dict[str, Any]


async def check(run: Run) -> Row:
    """The result line of a seed. `contradictions` is empty where the promise was kept."""
    url = run.world.local.simulator_url
    async with run.world.database.reading() as tx:
        rows = [dict(row) for row in (await tx.execute(_MESSAGES, {"ids": run.campaigns})).mappings()]
        singles = [dict(row) for row in (await tx.execute(_SINGLES, {"ids": run.singles})).mappings()]
        aside = await _set_aside(tx, run.number_id)
    outcomes = Counter(row["recipient_state"] for row in rows)
    for row in singles:
        row["recipient_state"] = _OF_MESSAGE.get(row["state"], row["state"])
    rows += singles
    requests, statuses = await asyncio.gather(
        *(
            asyncio.to_thread(oracle.ledger, url, kind, callback_prefix="", phone_number_id=run.number_id)
            for kind in ("requests", "statuses")
        )
    )
    verdict = oracle.compare(
        [oracle.Book(row["client_id"], row["recipient_state"]) for row in rows], requests, statuses
    )
    offenders = {
        *(*verdict.twice, *verdict.sent_without_effect, *verdict.failed_with_effect),
        *(*verdict.unfinished, *verdict.unknown_though_told),
    }
    contradictions = {name: number for name, number in verdict.contradictions().items() if number}
    for name, found in _own_rules(run, rows, requests).items():
        if found:
            contradictions[name] = len(found)
            offenders |= set(found)
    if aside:
        contradictions["webhooks set aside"] = len(aside)
    if not run.is_at_rest:
        contradictions.setdefault("campaign not at rest", 1)
    if too_many := [hit for hit in run.hits if hit.get("intents", 0) > MOST_INTENTS]:
        contradictions[f"more than {MOST_INTENTS} unsettled intents"] = len(too_many)
    result = {
        "seed": run.plan.seed,
        "database": "postgresql" if run.plan.postgres else "sqlite",
        "contradictions": contradictions,
        "recipients": verdict.recipients - len(singles),
        "singles": dict(Counter(row["state"] for row in singles)),
        "effects": verdict.effects,
        "outcomes": dict(outcomes),
        "unknown_with_effect": verdict.unknown_with_effect,
        "unknown_without_effect": verdict.unknown_without_effect,
        "late_proofs": sum(bool(row["late"]) for row in rows),
        "most_intents": max((hit.get("intents", 0) for hit in run.hits), default=0),
        "requests": len(requests),
        "faults_applied": dict(Counter(row["fault"] for row in requests if row["fault"])),
        "seconds": round(run.seconds, 1),
        "hits": run.hits,
        "plan": run.plan.shown(),
    }
    if contradictions:
        result["evidence"] = await _evidence(run, rows, requests, statuses, sorted(offenders)[:_SHOWN], aside)
    return result


def _own_rules(run: Run, rows: list[Row], requests: list[Row]) -> dict[str, list[str]]:
    """What the oracle cannot know, as client ids by the rule they break."""
    known = {row["client_id"] for row in rows}
    strangers = [
        name
        for row in requests
        if row["effect"] and (name := row["callback"].removeprefix(oracle.CALLBACK_PREFIX)) not in known
    ]
    disagree, paused, stopped = [], [], []
    for row in rows:
        if row["client_id"] is None:
            continue
        expected = _OF_MESSAGE.get(row["state"], row["state"])
        is_cancelled = row["state"] == "queued" and row["recipient_reason"] == "cancelled"
        if expected != row["recipient_state"] and not is_cancelled and row["recipient_state"] != "skipped":
            disagree.append(row["client_id"])
        at = moment(row["at"])
        if row["campaign_id"] == run.campaigns[0] and any(since < at < till for since, till in run.pauses):
            paused.append(row["client_id"])
        was_intended = row["lease_token"] is not None  # a single message may have been refused before
        if was_intended and row["stopped_at"] and (at - moment(row["stopped_at"])).total_seconds() > _STOP_GRACE_S:
            stopped.append(row["client_id"])
    return {
        "effects nobody knows of": strangers,
        "recipient and message disagree": disagree,
        "intents while paused": paused,
        "intents after STOP": stopped,
    }


async def _set_aside(tx: Tx, number_id: str) -> list[Row]:
    """Webhooks of this number that could not be applied: a receipt in them is lost to us."""
    rows = await tx.execute(text("SELECT id, error, body FROM inbox WHERE error IS NOT NULL"))
    return [{"id": row.id, "error": row.error} for row in rows if number_id.encode() in bytes(row.body)]


async def _evidence(
    run: Run, rows: list[Row], requests: list[Row], statuses: list[Row], names: list[str], aside: list[Row]
) -> Row:
    """For each offender all that either side wrote down."""
    by_name = {row["client_id"]: row for row in rows}
    async with run.world.database.reading() as tx:
        campaigns = (
            await tx.execute(
                text("SELECT * FROM campaigns WHERE id IN :ids").bindparams(bindparam("ids", expanding=True)),
                {"ids": run.campaigns},
            )
        ).mappings()
        told = [dict(row) for row in campaigns]
        events = [tuple(row) for row in await tx.execute(text("SELECT id, type, data, at FROM events ORDER BY id"))]
    return {
        "campaigns": [{name: str(value) for name, value in row.items()} for row in told],
        "set_aside": aside,
        "rows": [
            {
                "message": {key: str(value) for key, value in by_name.get(name, {}).items()},
                "requests": [row for row in requests if row["callback"].endswith(name)],
                "statuses": [row for row in statuses if row["callback"].endswith(name)],
                "events": [
                    [str(part)[:300] for part in event]
                    for event in events
                    if event[1].startswith("messages.") and _names(event[2], by_name.get(name, {}).get("id"))
                ],
            }
            for name in names
            if name
        ],
        "without_message": [
            {key: str(value) for key, value in row.items()}
            for row in rows
            if row["client_id"] is None and row["recipient_state"] in ("queued", "claimed", "sending")
        ][:_SHOWN],
    }


def _names(data: Any, message_id: int | None) -> bool:
    """Whether an event names this message; its ids are lists of numbers."""
    import orjson

    document = orjson.loads(data) if isinstance(data, (str, bytes)) else data
    return message_id is not None and any(message_id in ids for ids in document.values() if isinstance(ids, list))
