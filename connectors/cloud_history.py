"""Finds a message in Meta's message history, where a network error hid whether it was accepted.

The history names no recipient and no callback data. A wamid, however, is base64 around the person's number
and a direction, so number, direction and time can be matched. That is evidence, not proof: a second message to
the same person in the same minute looks the same, and then nothing is said. A missing entry never proves absence.
"""

import base64
import binascii
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the history. `cursor` is None on the last; `too_old`: nothing on it reaches our time."""

    candidates: list[Found]
    cursor: str | None
    too_old: bool


def read(page: dict[str, Any], *, digits: str, since: datetime) -> Page:
    """The entries that may be the outgoing message to this number, handed over at `since`."""
    data = page.get("data")
    entries = [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
    earliest, latest = since.timestamp() - BEFORE_S, since.timestamp() + AFTER_S
    candidates, newest = [], 0.0
    for entry in entries:
        wamid, events = entry.get("message_id"), _events(entry)
        times = [float(e["timestamp"]) for e in events if type(e.get("timestamp")) in (int, float)]
        newest = max(newest, *times, 0.0)
        if not isinstance(wamid, str) or number_in(wamid) != digits or not times:
            continue
        if earliest <= min(times) <= latest:
            failed = any(e.get("delivery_status") == "FAILED" for e in events)
            candidates.append(Found(Lookup.FAILED if failed else Lookup.ACCEPTED, wamid))
    return Page(candidates, _cursor(page) if entries else None, 0 < newest < earliest)


def _cursor(page: dict[str, Any]) -> str | None:
    paging = page.get("paging")
    cursors = paging.get("cursors") if isinstance(paging, dict) else None
    after = cursors.get("after") if isinstance(cursors, dict) else None
    return after if isinstance(after, str) and after else None


def _events(entry: dict[str, Any]) -> list[dict[str, Any]]:
    events = entry.get("events")
    data = events.get("data") if isinstance(events, dict) else None
    return [event for event in data if isinstance(event, dict)] if isinstance(data, list) else []
