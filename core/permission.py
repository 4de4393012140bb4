"""May this person be written to? Looked at for every intent, with the contact's row locked; and by the preflight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core import bulk, consents, messages
from core.content import Content, Template
from core.database import Tx, is_postgres
from core.ports import Capabilities
from core.settings import Settings

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Person:
    """What stands between us and a contact. `recent`: a conversation is open, and will be when a message
    arrives, so no new one is counted. `window`: free text may go. `this_week`: marketing messages that reached or may
    have reached them in the last seven days."""

    is_suppressed: bool
    has_agreed: bool
    recent: bool
    window: bool
    this_week: int


@dataclass(frozen=True, slots=True)
class Rules:
    """Of one campaign, on one connector. `arrives_within`: we count by when we meant to send, WhatsApp and the person
    by what arrived, up to so much later; what is to hold by their count too keeps so much room."""

    purpose: str
    weekly_cap: int | None
    arrives_within: timedelta
    free_form_anytime: bool

    @classmethod
    def of(cls, purpose: str, settings: Settings, capabilities: Capabilities) -> "Rules":
        return cls(
            purpose=purpose,
            weekly_cap=settings.marketing_per_week,
            arrives_within=settings.arrives_within,
            free_form_anytime=capabilities.free_form_anytime,
        )

    @property
    def caps_the_week(self) -> bool:
        return self.weekly_cap is not None and consents.is_needed(self.purpose)

    def bar(self, person: Person | None, content: Content) -> str | None:
        """Why not; the weightiest reason first. None: nothing is in the way."""
        if person is None:
            return "erased"
        if person.is_suppressed:
            return "opted_out"
        if consents.is_needed(self.purpose) and not person.has_agreed:
            return "unverified"
        if self.caps_the_week and person.this_week >= (self.weekly_cap or 0):
            return "weekly_cap"
        if not self.free_form_anytime and not isinstance(content, Template) and not person.window:
            return "window_closed"
        return None

    def evidence(self, reason: str) -> Mapping[str, object]:
        """What the rule was when it barred; the rows behind it are looked up when somebody asks (core/why.py)."""
        match reason:
            case "unverified":
                return {"purpose": self.purpose}
            case "weekly_cap":
                return {"cap": self.weekly_cap, "days": WEEK.days}
            case "window_closed":
                return {"hours": messages.SERVICE_WINDOW.total_seconds() / 3600}
            case _:
                return {}


async def look_at(
    tx: Tx, sender_id: int, contact_ids: Sequence[int], rules: Rules, *, now: datetime
) -> dict[int, Person]:
    """After their rows are locked, what stands here stands until the intents commit."""
    stamp = "CAST(:{} AS timestamptz)".format if is_postgres(tx) else ":{}".format
    rows = await bulk.run(
        tx,
        f"""
        SELECT c.id, {consents.stopped("c.id")}, {_agreed(rules)}, {_this_week(rules, stamp("week"))},
            chats.last_out_at > {stamp("opened")}, chats.last_in_at > {stamp("opened")},
            chats.last_in_at > {stamp("since")}
        FROM contacts c LEFT JOIN chats
            ON chats.sender_id = :sender AND chats.contact_id = c.id {bulk.few(tx, "chats.contact_id", bulk.in_ids(tx))}
        WHERE c.id {bulk.in_ids(tx)}
        """,
        sender=sender_id,
        purpose=rules.purpose,
        since=now - messages.SERVICE_WINDOW,
        opened=now + rules.arrives_within - messages.SERVICE_WINDOW,
        week=now - WEEK - rules.arrives_within,
        ids=bulk.ids(contact_ids),
    )
    return {
        contact_id: Person(
            is_suppressed=bool(stopped),
            has_agreed=bool(agreed),
            recent=bool(wrote or heard),
            window=bool(is_open),
            this_week=this_week,
        )
        for contact_id, stopped, agreed, this_week, wrote, heard, is_open in rows
    }


def _agreed(rules: Rules) -> str:
    return consents.agreed("c.id") if consents.is_needed(rules.purpose) else "true"


def _this_week(rules: Rules, week: str) -> str:
    if not rules.caps_the_week:
        return "0"
    return f"""(
        SELECT count(*) FROM messages m LEFT JOIN recipients r ON r.id = m.recipient_id
        LEFT JOIN campaigns p ON p.id = r.campaign_id
        WHERE m.contact_id = c.id AND m.direction = 'out' AND m.at > {week}
        AND m.state NOT IN ('queued', 'failed')
        AND COALESCE(m.purpose, p.purpose) NOT IN ('service', 'utility', 'authentication')
    )"""
