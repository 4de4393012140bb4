"""What the wizard of a campaign has been told so far, and how the API is told of it."""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

import streamlit as st

from ui import formats, session
from waqtor.campaigns import Campaign, Canary, Preflight

_KEPT = "wq-draft"
EVERYBODY = 'created > "1970-01-01"'
_LIMITS = ("max_failed_percent", "max_opted_out_percent", "max_blocked_percent")
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


@dataclass
class Draft:
    """`id` from when it is saved. `key` makes the first save happen once, however often it is pressed."""

    id: int | None = None
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    step: int = 0
    name: str = ""
    kind: str = "all"
    tag: str = ""
    segment: int | None = None
    filter: str = ""
    template_id: int | None = None
    purpose: str = "marketing"
    others: Sequence[int] = ()
    holdout: float = 0.0
    sender_id: int | None = None
    when: str = "now"
    day: date = field(default_factory=lambda: formats.today().date() + timedelta(days=1))
    at: time = time(9)
    every: str = "week"
    weekday: str = "SUN"
    month_day: int = 1
    again: bool = False
    timezone: str = "UTC"
    is_quiet: bool = False
    quiet_from: time = time(21)
    quiet_to: time = time(9)
    is_canary: bool = False
    canary_percent: float = 2.0
    canary_count: int | None = None
    canary_limits: Mapping[str, Any] = field(default_factory=dict)
    canary_minutes: int = 60
    canary_asks: bool = False
    seen: Preflight | None = None
    """What the last look found; any other step throws it away."""
    saved: Mapping[str, Any] = field(default_factory=dict)
    """As the campaign has it. What is as it was is not told again: a program may have said more than the steps show."""
    has_more: bool = False
    """It has weights or words of several messages that the steps do not show."""

    @property
    def audience(self) -> dict[str, Any]:
        """As REST takes it."""
        match self.kind:
            case "tag":
                return {"tag": self.tag}
            case "segment":
                return {"segment": self.segment}
            case "filter":
                return {"filter": self.filter}
        return {"all": True}

    @property
    def chosen(self) -> "int | str | Mapping[str, Any] | None":
        """What is counted; None while nothing is chosen."""
        match self.kind:
            case "tag":
                return {"field": "tag", "op": "=", "value": self.tag} if self.tag else None
            case "segment":
                return self.segment
            case "filter":
                return self.filter or None
        return EVERYBODY

    @property
    def cron(self) -> str:
        clock = f"{self.at.minute} {self.at.hour}"
        match self.every:
            case "day":
                return f"{clock} * * *"
            case "month":
                return f"{clock} {self.month_day} * *"
        return f"{clock} * * {self.weekday}"

    @property
    def schedule(self) -> dict[str, Any]:
        if self.when == "once":
            return {"at": datetime.combine(self.day, self.at), "timezone": self.timezone}
        return {"cron": self.cron, "timezone": self.timezone}

    @property
    def address(self) -> dict[str, str]:
        """What the page's address says of when: a campaign has a schedule only once it has one for good."""
        if self.when == "now":
            return {}
        kept = ("day", "at") if self.when == "once" else ("every", "weekday", "month_day", "at", "again")
        return {"when": self.when, **{name: str(getattr(self, name)) for name in kept}}

    def told(self) -> dict[str, Any]:
        """All that a saved campaign has of it."""
        names = (None, *self.others)
        return {
            "name": self.name,
            "sender_id": self.sender_id,
            "template_id": self.template_id,
            "audience": self.audience,
            "purpose": self.purpose,
            "timezone": self.timezone,
            "quiet_hours": {"from": f"{self.quiet_from:%H:%M}", "to": f"{self.quiet_to:%H:%M}"}
            if self.is_quiet
            else None,
            "variants": [_variant("ABCDE"[at], template) for at, template in enumerate(names)] if self.others else [],
            "holdout_percent": self.holdout or None,
            "canary": {
                **self.canary_limits,
                **({"percent": self.canary_percent} if self.canary_count is None else {"count": self.canary_count}),
                "hold_minutes": self.canary_minutes,
                "after_hold": "ask" if self.canary_asks else "go_on",
            }
            if self.is_canary
            else None,
        }


def current() -> Draft | None:
    found: Draft | None = st.session_state.get(_KEPT)
    return found


def keep(draft: Draft) -> Draft:
    """The widgets of the one before are forgotten with it."""
    for key in [key for key in st.session_state if str(key).startswith("wqd-")]:
        del st.session_state[key]
    st.session_state[_KEPT] = draft
    return draft


def drop() -> None:
    st.session_state.pop(_KEPT, None)


def save(draft: Draft) -> int:
    """Its id. Only what was said otherwise here is told."""
    told = draft.told()
    campaigns = session.client().campaigns
    if draft.id is None:
        made = campaigns.create(
            draft.name,
            sender_id=told["sender_id"],
            template_id=told["template_id"],
            tag=draft.tag if draft.kind == "tag" else None,
            segment=draft.segment if draft.kind == "segment" else None,
            filter=draft.filter if draft.kind == "filter" else None,
            purpose=draft.purpose,
            timezone=draft.timezone,
            idempotency_key=draft.key,
        )
        draft.id = made.id
    if changed := {
        name: value for name, value in told.items() if name not in draft.saved or draft.saved[name] != value
    }:
        campaigns.change(draft.id, changed)
        draft.saved = told
    return draft.id


def read(campaign: Campaign, address: Mapping[str, str]) -> Draft:
    """Of one that was saved before."""
    audience, quiet = campaign.audience, campaign.quiet_hours
    kind = next((one for one in ("tag", "segment", "filter") if audience.get(one)), "all")
    draft = Draft(
        id=campaign.id,
        name=campaign.name,
        kind=kind,
        tag=audience.get("tag") or "",
        segment=audience.get("segment"),
        filter=_text(audience.get("filter")),
        template_id=campaign.template_id,
        purpose=campaign.purpose,
        others=[one.template_id for one in campaign.variants[1:] if one.template_id],
        holdout=campaign.holdout_percent or 0.0,
        sender_id=campaign.sender_id,
        timezone=campaign.timezone or "UTC",
        is_quiet=quiet is not None,
    )
    if quiet:
        draft.quiet_from, draft.quiet_to = time.fromisoformat(quiet["from"]), time.fromisoformat(quiet["to"])
    _read_canary(draft, campaign.canary)
    draft.has_more = any(
        one.weight != 1 or one.defaults or (at > 0 and one.template_id is None)
        for at, one in enumerate(campaign.variants)
    )
    draft.saved = draft.told()
    _read_when(draft, address)
    return draft


def _read_canary(draft: Draft, canary: Canary | None) -> None:
    if canary is not None:
        draft.is_canary = True
        draft.canary_percent = canary.percent or draft.canary_percent
        draft.canary_count = canary.count
        draft.canary_limits = canary.model_dump(include=set(_LIMITS))
        draft.canary_minutes = int(canary.hold_minutes)
        draft.canary_asks = canary.after_hold == "ask"


def _read_when(draft: Draft, address: Mapping[str, str]) -> None:
    """What the address lacks, or says as nobody would have written it, stays as it is."""
    with suppress(ValueError):
        draft.at = time.fromisoformat(address.get("at", ""))
    with suppress(ValueError):
        draft.day = date.fromisoformat(address.get("day", ""))
    if (day := address.get("month_day", "")).isdecimal() and 1 <= int(day) <= 28:
        draft.month_day = int(day)
    draft.when = _one_of(address.get("when"), ("once", "again"), draft.when)
    draft.every = _one_of(address.get("every"), ("day", "week", "month"), draft.every)
    draft.weekday = _one_of(address.get("weekday"), DAYS, draft.weekday)
    draft.again = address.get("again") == "True"


def _one_of(said: str | None, known: Sequence[str], otherwise: str) -> str:
    return said if said is not None and said in known else otherwise


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def _variant(name: str, template_id: int | None) -> dict[str, Any]:
    return {"name": name} if template_id is None else {"name": name, "template_id": template_id}
