"""What a restart brings back: settings, set contacts, service windows, and receipts still owed."""

import orjson

from simulator import rules
from simulator.accounts import Number
from simulator.contacts import STOP_WORDS
from simulator.ledger import STATUSES, Inbound, Request
from simulator.world import Flight, World

# Receipts of older messages are not owed any more, as with Meta.
OWED_FOR_S = 2 * 86400.0


async def restore(world: World) -> None:
    """Bring the world to where its state file says it was."""
    ledger = world.ledger
    for settings in ledger.settings("number").values():
        wanted = orjson.loads(settings)
        if wanted["phone_number_id"] in world.accounts.numbers and world.config.callback_url:
            wanted["callback_url"] = world.config.callback_url
        world.accounts.put(wanted)
    for account_id, settings in ledger.settings("account").items():
        account, kept = world.accounts.account(account_id), orjson.loads(settings)
        account.override_callback_url, account.subscribed = kept["override_callback_url"], kept["subscribed"]
    for account_id, settings in ledger.settings("templates").items():
        account = world.accounts.account(account_id)
        account.templates.clear()
        for t in orjson.loads(settings):
            account.add_template(t["name"], t["language"], t["category"], t["status"], t["components"])
    for number, settings in ledger.settings("contact").items():
        world.contacts.get(number).override(orjson.loads(settings))
    await world.keep_clock()
    await _remember(world)
    await _owe(world)
    await _owe_inbounds(world)


async def _remember(world: World) -> None:
    """Counts and windows that the rules and the draws depend on."""
    rows = await world.ledger.query(
        "SELECT \"to\", sum(key LIKE '#%') AS sends, sum(effect) AS received FROM requests WHERE accepted GROUP BY 1"
    )
    for row in rows:
        contact = world.contacts.get(row["to"])
        contact.sends, contact.received = row["sends"], row["received"]
        if contact.block_after is not None and contact.received >= contact.block_after:
            contact.blocks = True
    rows = await world.ledger.query(
        "SELECT DISTINCT contact, kind FROM inbounds WHERE kind = 'preference' OR text IN (?, ?)",
        tuple(STOP_WORDS.values()),
    )
    for row in rows:
        contact = world.contacts.get(row["contact"])
        if row["kind"] == "preference":
            contact.stops_marketing_after = None
        else:
            contact.stop_after = None
    since = world.clock.now() - rules.DAY_S
    rows = await world.ledger.query(
        "SELECT contact, phone_number_id, max(at) AS at FROM inbounds WHERE kind != 'preference' AND at > ?"
        " GROUP BY 1, 2",
        (since,),
    )
    for row in rows:
        if number := world.accounts.numbers.get(row["phone_number_id"]):
            number.windows[row["contact"]] = row["at"]
    rows = await world.ledger.query("SELECT * FROM inbounds WHERE kind = 'preference' ORDER BY id")
    for row in rows:
        if number := world.accounts.numbers.get(row["phone_number_id"]):
            stopped = number.marketing_stopped
            (stopped.add if row["text"] == "stop" else stopped.discard)(row["contact"])
    rows = await world.ledger.query(
        'SELECT "to", phone_number_id, min(at) AS at FROM requests'
        " WHERE accepted AND template != '' AND at > ?"
        " GROUP BY 1, 2 ORDER BY 3",
        (since,),
    )
    for row in rows:
        if number := world.accounts.numbers.get(row["phone_number_id"]):
            number.conversations[row["to"]] = row["at"]


async def _owe(world: World) -> None:
    """Draw the receipts of recent messages again, the same as before, and deliver those not answered yet."""
    since = world.clock.now() - OWED_FOR_S
    causes = await world.ledger.query("SELECT cause FROM inbounds WHERE cause IS NOT NULL AND at > ?", (since,))
    answered = {row["cause"] for row in causes}
    rows = await world.ledger.query(
        "SELECT r.*, coalesce(sum(CASE WHEN s.answered_200 OR s.outcome IN ('lost', 'no webhook') THEN"
        " 1 << (s.id & 7) END), 0) AS settled FROM requests r"
        " LEFT JOIN statuses s ON s.id BETWEEN r.seq * 8 AND r.seq * 8 + 7"
        " WHERE r.accepted AND r.at > ? GROUP BY r.seq ORDER BY r.seq",
        (since,),
    )
    for row in rows:
        number = world.accounts.numbers.get(row["phone_number_id"])
        if number is None:
            continue
        request = Request(
            row["seq"], row["at"], number.id, row["to"], row["callback"], row["wamid"], row["type"],
            row["template"], row["text"], row["key"], row["version"], True, bool(row["effect"]), row["error"],
            row["fault"], bool(row["answer_written"]),
        )  # fmt: skip
        _resume(world, number, request, row["settled"], answered=row["seq"] in answered)


def _resume(world: World, number: Number, request: Request, settled: int, *, answered: bool) -> None:
    contact = world.contacts.get(request.to)
    receipts = world.contacts.receipts(contact, request.key)
    category, button = "service", ""
    for (name, _), template in number.account.templates.items():
        if name == request.template:
            category, button = template.category.lower(), template.quick_reply
    flight = Flight(number, contact, request, receipts, category, button, request.error or 0)
    done = {status for rank, status in enumerate(STATUSES) if settled >> rank & 1}
    world.resume(flight, done, answered=answered)


async def _owe_inbounds(world: World) -> None:
    """Tell the webhooks what contacts sent and nobody answered 200."""
    rows = await world.ledger.query(
        "SELECT * FROM inbounds WHERE NOT answered_200 AND outcome NOT IN ('lost', 'no webhook') AND at > ?",
        (world.clock.now() - OWED_FOR_S,),
    )
    for row in rows:
        if number := world.accounts.numbers.get(row["phone_number_id"]):
            world.post_inbound(number, Inbound(*tuple(row)), orjson.loads(row["content"]))
