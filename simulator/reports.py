"""What the ledger tells: requests, statuses, summaries, chats, and whether anything is still due."""

from typing import Any

from aiohttp import web

from simulator.errors import ControlError
from simulator.ledger import STATUSES
from simulator.world import World


class Reports:
    """The reading half of the control API. All answers include everything that happened before the call."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def requests(self, request: web.Request) -> Any:
        """Messages requests in order; go on with `after` = the last seq."""
        where, arguments = _scope(request, "r")
        after, limit = _page(request)
        rows = await self.world.ledger.query(
            f"SELECT * FROM requests r WHERE {where} AND r.seq > ? ORDER BY r.seq LIMIT ?",
            (*arguments, after, limit),
        )
        flags = ("accepted", "effect", "answer_written")
        data = [{**dict(row), **{flag: bool(row[flag]) for flag in flags}} for row in rows]
        return {"data": data, "next_after": data[-1]["seq"] if len(data) == limit else None}

    async def statuses(self, request: web.Request) -> Any:
        """Statuses that happened, in the order of their messages; go on with `after` = the last id."""
        where, arguments = _scope(request, "r")
        after, limit = _page(request)
        if wamid := request.query.get("wamid"):
            where, arguments = f"{where} AND r.wamid = ?", [*arguments, wamid]
        rows = await self.world.ledger.query(
            "SELECT s.id, s.at, s.error, s.attempts, s.answered_200, s.outcome, r.wamid, r.callback,"
            ' r.phone_number_id, r."to" FROM statuses s JOIN requests r ON r.seq = s.id / 8'
            f" WHERE {where} AND s.id > ? ORDER BY s.id LIMIT ?",
            (*arguments, after, limit),
        )
        data = [
            {**dict(row), "status": STATUSES[row["id"] % 8], "answered_200": bool(row["answered_200"])} for row in rows
        ]
        return {"data": data, "next_after": data[-1]["id"] if len(data) == limit else None}

    async def inbounds(self, request: web.Request) -> Any:
        """What contacts sent, in order."""
        return await self._listed(request, "inbounds")

    async def posts(self, request: web.Request) -> Any:
        """Each attempt to reach a webhook, in order."""
        return await self._listed(request, "posts")

    async def _listed(self, request: web.Request, table: str) -> Any:
        after, limit = _page(request)
        number = request.query.get("phone_number_id")
        where, arguments = ("phone_number_id = ? AND", [number]) if number else ("", [])
        rows = await self.world.ledger.query(
            f"SELECT * FROM {table} WHERE {where} id > ? ORDER BY id LIMIT ?", (*arguments, after, limit)
        )
        data = [dict(row) for row in rows]
        for row in data:
            if "answered_200" in row:
                row["answered_200"] = bool(row["answered_200"])
        return {"data": data, "next_after": data[-1]["id"] if len(data) == limit else None}

    async def summary(self, request: web.Request) -> Any:
        """Counts over a number or a prefix of callback data."""
        where, arguments = _scope(request, "r")
        counts = (
            await self.world.ledger.query(
                "SELECT count(*) AS requests, coalesce(sum(accepted), 0) AS accepted,"
                " coalesce(sum(effect), 0) AS"
                ' effects, count(DISTINCT CASE WHEN effect THEN "to" END) AS unique_recipients,'
                " coalesce(sum(answer_written), 0) AS answers_written,"
                f" coalesce(sum(error IS NOT NULL AND NOT accepted), 0) AS refused"
                f" FROM requests r WHERE {where}",
                arguments,
            )
        )[0]
        twice = await self.world.ledger.query(
            f'SELECT count(*) AS n FROM (SELECT 1 FROM requests r WHERE {where} AND effect GROUP BY "to"'
            " HAVING count(*) > 1)",
            arguments,
        )
        rows = await self.world.ledger.query(
            "SELECT s.id % 8 AS rank, count(*) AS n, sum(s.answered_200) AS answered,"
            " sum(s.outcome = 'lost') AS lost,"
            " sum(s.outcome = 'no webhook') AS unsent FROM statuses s JOIN requests r ON r.seq = s.id / 8"
            f" WHERE {where} GROUP BY 1",
            arguments,
        )
        happened, answered = sum(row["n"] for row in rows), sum(row["answered"] for row in rows)
        lost, unsent = sum(row["lost"] for row in rows), sum(row["unsent"] for row in rows)
        return {
            **dict(counts),
            "recipients_with_2_or_more": twice[0]["n"],
            "statuses": {STATUSES[row["rank"]]: row["n"] for row in rows},
            "webhooks": {
                "answered": answered,
                "lost": lost,
                "no_webhook": unsent,
                "pending": happened - answered - lost - unsent,
            },
            "due": _due(self.world, request.query.get("phone_number_id")),
        }

    async def idle(self, request: web.Request) -> Any:
        """What is still to come: receipts and replies not yet happened, posted or answered 200."""
        due = _due(self.world, request.query.get("phone_number_id"))
        return {
            "idle": not any(due.values()),
            **due,
            "posts_in_flight": self.world.poster.in_flight,
            "next_due_s": self.world.clock.next_due_s(),
        }

    async def state(self, request: web.Request) -> Any:
        """One look at everything the page shows above the chats."""
        clock = self.world.clock
        return {
            "profile": self.world.profile.name,
            "seed": self.world.config.seed,
            "clock": {"now": clock.now(), "speed": clock.speed, "frozen": clock.frozen},
            "summary": await self.summary(request),
            "faults": [fault.shown() for fault in self.world.faults.all()],
            "numbers": [
                {
                    "id": number.id,
                    "phone": number.phone,
                    "name": number.name,
                    "webhook": bool(number.webhook_url),
                    "statuses_due": number.statuses_due,
                    "inbounds_due": number.inbounds_due,
                }
                for number in self.world.accounts.numbers.values()
            ],
        }

    async def chats(self, request: web.Request) -> Any:
        """Contacts with messages, the latest first; `q` searches numbers and what was said."""
        limit = _page(request)[1] if "limit" in request.query else 100
        q = request.query.get("q", "").strip()
        like = f"%{q}%"
        rows = await self.world.ledger.query(
            "SELECT contact, phone_number_id, text, max(at) AS at, incoming FROM ("
            ' SELECT "to" AS contact, phone_number_id, text, at, 0 AS incoming FROM (SELECT * FROM requests'
            ' WHERE accepted AND ("to" LIKE :like OR text LIKE :like) ORDER BY seq DESC LIMIT 3000)'
            " UNION ALL SELECT contact, phone_number_id, text, at, 1 FROM (SELECT * FROM inbounds"
            " WHERE contact LIKE :like OR text LIKE :like ORDER BY id DESC LIMIT 3000))"
            " GROUP BY contact, phone_number_id ORDER BY at DESC LIMIT :limit",
            {"like": like, "limit": limit},
        )
        return {"data": [{**dict(row), "name": self.world.contacts.get(row["contact"]).name} for row in rows]}

    async def thread(self, request: web.Request, contact: str) -> Any:
        """The last messages with one contact, oldest first, each with how far it got."""
        number = request.query.get("phone_number_id") or next(iter(self.world.accounts.numbers))
        sent = await self.world.ledger.query(
            "SELECT r.seq, r.at, r.text, r.type, r.template, r.wamid, r.accepted, r.error, r.fault, r.effect,"
            " max(s.id % 8) AS rank FROM requests r"
            " LEFT JOIN statuses s ON s.id BETWEEN r.seq * 8 AND r.seq * 8 + 7"
            ' WHERE r."to" = ? AND r.phone_number_id = ? GROUP BY r.seq ORDER BY r.seq DESC LIMIT 200',
            (contact, number),
        )
        said = await self.world.ledger.query(
            "SELECT id, at, text, kind, wamid, answered_200, attempts, outcome FROM inbounds"
            " WHERE contact = ? AND phone_number_id = ? ORDER BY id DESC LIMIT 200",
            (contact, number),
        )
        messages = [{**dict(r), "from": "business", "status": _reached(r["rank"])} for r in sent]
        messages += [{**dict(r), "from": "contact"} for r in said]
        messages.sort(key=lambda message: float(message["at"]))
        return {
            "contact": self.world.contacts.get(contact).shown(),
            "phone_number_id": number,
            "messages": messages,
        }


def _reached(rank: int | None) -> str:
    return "accepted" if rank is None else STATUSES[rank]


def _due(world: World, number_id: str | None) -> dict[str, int]:
    numbers = world.accounts.numbers
    if number_id and number_id not in numbers:
        raise ControlError("no such phone number id", field="phone_number_id", status=404, code="not_found")
    counted = [numbers[number_id]] if number_id else list(numbers.values())
    return {
        "statuses_due": sum(number.statuses_due for number in counted),
        "inbounds_due": sum(number.inbounds_due for number in counted),
    }


def _scope(request: web.Request, table: str) -> tuple[str, list[Any]]:
    where, arguments = ["1"], []
    if number := request.query.get("phone_number_id"):
        where.append(f"{table}.phone_number_id = ?")
        arguments.append(number)
    if prefix := request.query.get("callback_prefix"):
        where.append(f"{table}.callback >= ? AND {table}.callback < ?")
        arguments += [prefix, prefix + "\U0010ffff"]
    if to := request.query.get("to"):
        where.append(f'{table}."to" = ?')
        arguments.append(to.strip().lstrip("+"))
    return " AND ".join(where), arguments


def _page(request: web.Request) -> tuple[int, int]:
    try:
        after, limit = int(request.query.get("after", 0)), int(request.query.get("limit", 1000))
    except ValueError:
        raise ControlError("after and limit are whole numbers", field="after") from None
    if not 0 <= after < 2**63 or not 1 <= limit <= 10_000:
        raise ControlError("limit goes from 1 to 10000", field="limit")
    return after, limit
