"""Finds a message in Meta's message history, where a network error hid whether it was accepted.

The history names no recipient and no callback data. A wamid, however, is base64 around the person's number
and a direction, so number, direction and time can be matched. That is evidence, not proof: a second message to
the same person in the same minute looks the same, and then nothing is said. A missing entry never proves absence.
"""

import base64
import binascii
from datetime import datetime
from typing import Any

from core.ports import Found, Lookup

BEFORE_S = 5
AFTER_S = 60
UNKNOWN = Found(Lookup.UNKNOWN)


def number_in(wamid: str) -> str | None:
    """The digits in an outgoing wamid: 1C 18 <length> <digits> 15 02 00 11 …; None for any other layout."""
    try:
        raw = base64.b64decode(wamid.removeprefix("wamid."), validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) < 7 or raw[:2] != b"\x1c\x18":
        return None
    end = 3 + raw[2]
    digits = raw[3:end]
    if not digits.isdigit() or raw[end : end + 4] != b"\x15\x02\x00\x11":
        return None
    return digits.decode("ascii")


def found_in(page: object, *, digits: str, since: datetime) -> list[Found]:
    """The entries of one page that may be the message."""
    entries = page.get("data") if isinstance(page, dict) else None
    earliest, latest = since.timestamp() - BEFORE_S, since.timestamp() + AFTER_S
    matches = []
    for entry in entries if isinstance(entries, list) else ():
        wamid = entry.get("message_id") if isinstance(entry, dict) else None
        if not isinstance(wamid, str) or number_in(wamid) != digits:
            continue
        events = _events(entry)
        times = [e["timestamp"] for e in events if type(e.get("timestamp")) in (int, float)]
        if times and earliest <= min(times) <= latest:
            failed = any(e.get("delivery_status") == "FAILED" for e in events)
            matches.append(Found(Lookup.FAILED if failed else Lookup.ACCEPTED, wamid))
    return matches


def next_cursor(page: object) -> str | None:
    """None on the last page."""
    paging = page.get("paging") if isinstance(page, dict) else None
    if not isinstance(paging, dict) or not paging.get("next"):
        return None
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    return after if isinstance(after, str) else None


def _events(entry: dict[str, Any]) -> list[dict[str, Any]]:
    events = entry.get("events")
    data = events.get("data") if isinstance(events, dict) else None
    return [event for event in data if isinstance(event, dict)] if isinstance(data, list) else []
