"""The message_history edge, in the shape of Meta's specification and as far as the ledger knows."""

from collections.abc import Mapping
from typing import Any

from simulator.accounts import Number
from simulator.errors import GraphError
from simulator.ledger import STATUSES, Ledger

_STATES = {"pending": "PENDING", "200": "DELIVERED"}


async def page(ledger: Ledger, number: Number, query: Mapping[str, str]) -> dict[str, Any]:
    """Accepted messages of a number with their statuses, newest first; `after` is where to go on."""
    try:
        limit = min(100, max(1, int(query.get("limit", 25))))
        before = int(query.get("after", 2**62))
    except ValueError:
        raise GraphError(100, "Invalid paging parameters") from None
    where, arguments = "phone_number_id = ? AND accepted AND seq < ?", [number.id, before]
    message_id = query.get("message_id")
    if message_id is not None:
        if not message_id.startswith("wamid."):
            raise GraphError(100, "Invalid parameter: message_id format is invalid")
        where += " AND wamid = ?"
        arguments.append(message_id)
    requests = await ledger.query(
        f"SELECT seq, wamid FROM requests WHERE {where} ORDER BY seq DESC LIMIT ?", (*arguments, limit)
    )
    if message_id is not None and not requests:
        raise GraphError(100, "The requested message_id was not found in the message history", status=422)
    data = [
        {
            "id": str(row["seq"]),
            "message_id": row["wamid"],
            "events": {"data": await _events(ledger, row["seq"])},
        }
        for row in requests
    ]
    answer: dict[str, Any] = {"data": data}
    if requests:
        answer["paging"] = {"cursors": {"before": data[0]["id"], "after": data[-1]["id"]}}
    return answer


async def _events(ledger: Ledger, seq: int) -> list[dict[str, Any]]:
    rows = await ledger.query("SELECT * FROM statuses WHERE id BETWEEN ? AND ? ORDER BY id", (seq * 8, seq * 8 + 7))
    return [
        {
            "id": str(row["id"]),
            "delivery_status": STATUSES[row["id"] % 8].upper(),
            "timestamp": int(row["at"]),
            "webhook_update_state": "DELIVERED"
            if row["answered_200"]
            else _STATES.get(row["outcome"], "RETRYING" if row["attempts"] else "FAILED"),
            "application": {"id": "300000000000001"},
        }
        for row in rows
    ]
