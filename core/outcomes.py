"""What came of a campaign: the funnel, and each person's outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, func, select

from core.campaigns import HOLDOUT, UNFINISHED
from core.database import Tx
from core.models import CampaignVariant, Contact, Identity, Message, Recipient

BLOCKED = ("user_stopped_marketing", "capped_by_whatsapp", "experiment")
"""Reasons by which WhatsApp says that it keeps our marketing from a person."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`sent` counts everyone WhatsApp has the message for; `delivered` and `read` are among them. `held_out` got
    nothing so that others can be compared with them, and are not among the `skipped`. `blocked` are among those that
    failed or wait: WhatsApp keeps our marketing from them."""

    total: int
    queued: int
    sending: int
    sent: int
    delivered: int
    read: int
    replied: int
    failed: Mapping[str, int]
    skipped: Mapping[str, int]
    unknown: Mapping[str, int]
    held_out: int
    blocked: int


NOTHING = Progress(0, 0, 0, 0, 0, 0, 0, {}, {}, {}, 0, 0)


async def progress(tx: Tx, campaign_id: int, *, occurrence: int | None = None) -> Progress:
    """The funnel of an occurrence, or of all together; failures, skips and unknowns by their reason."""
    return (await funnels(tx, of_occurrence(campaign_id, occurrence))).get(None) or NOTHING


def of_occurrence(campaign_id: int, occurrence: int | None) -> list[ColumnElement[bool]]:
    """Conditions on `Recipient`: those of one occurrence, or of all together."""
    theirs = [Recipient.campaign_id == campaign_id]
    return theirs if occurrence is None else [*theirs, Recipient.occurrence == occurrence]


async def funnels(
    tx: Tx, theirs: Sequence[ColumnElement[bool]], *, by: ColumnElement[int | None] | None = None
) -> Mapping[int | None, Progress]:
    """One for each value of `by`; without it one under None."""
    kinds = [] if by is None else [by]
    tallies: dict[int | None, _Tally] = {}
    for *kind, state, reason, receipt, number, replied in await tx.execute(
        select(
            *kinds, Recipient.state, Recipient.reason, Recipient.receipt, func.count(), func.count(Recipient.replied_at)
        )
        .where(*theirs)
        .group_by(*kinds, Recipient.state, Recipient.reason, Recipient.receipt)
    ):
        tallies.setdefault(kind[0] if kind else None, _Tally()).add(state, reason, receipt, number, replied)
    return {kind: tally.progress() for kind, tally in tallies.items()}


@dataclass(slots=True)
class _Tally:
    states: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*UNFINISHED, "sent"), 0))
    reasons: dict[str, dict[str, int]] = field(
        default_factory=lambda: {state: {} for state in ("failed", "skipped", "unknown")}
    )
    total: int = 0
    delivered: int = 0
    read: int = 0
    replied: int = 0
    blocked: int = 0

    def add(self, state: str, reason: str | None, receipt: int, number: int, replied: int) -> None:
        self.total += number
        self.replied += replied
        if state in self.reasons:
            said = self.reasons[state]
            said[reason or state] = said.get(reason or state, 0) + number
        else:
            self.states[state] += number
        self.delivered += number if receipt >= 2 else 0
        self.read += number if receipt >= 3 else 0
        self.blocked += number if reason in BLOCKED else 0

    def progress(self) -> Progress:
        skipped = dict(self.reasons["skipped"])
        return Progress(
            total=self.total,
            queued=self.states["queued"] + self.states["claimed"],
            sending=self.states["sending"],
            sent=self.states["sent"],
            delivered=self.delivered,
            read=self.read,
            replied=self.replied,
            failed=self.reasons["failed"],
            held_out=skipped.pop(HOLDOUT, 0),
            skipped=skipped,
            unknown=self.reasons["unknown"],
            blocked=self.blocked,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one person; `message` is None for who was never written to, `variant` where there are none."""

    recipient: Recipient
    name: str
    phone: str | None
    message: Message | None
    variant: str | None


async def listed(
    tx: Tx,
    campaign_id: int,
    *,
    after: int,
    limit: int,
    state: str | None = None,
    reason: str | None = None,
    occurrence: int | None = None,
    variant: int | None = None,
) -> Sequence[Outcome]:
    its = (CampaignVariant.campaign_id == Recipient.campaign_id) & (CampaignVariant.number == Recipient.variant)
    numbers = select(Identity.value).where(Identity.contact_id == Recipient.contact_id, Identity.kind == "phone")
    phone = numbers.order_by(Identity.id).limit(1).scalar_subquery()
    query = (
        select(Recipient, func.coalesce(Contact.name, ""), phone, Message, CampaignVariant.name)
        .outerjoin(Contact, Contact.id == Recipient.contact_id)
        .outerjoin(Message, Message.recipient_id == Recipient.id)
        .outerjoin(CampaignVariant, its)
        .where(*of_occurrence(campaign_id, occurrence), Recipient.id > after)
        .order_by(Recipient.id)
        .limit(limit)
    )
    if state is not None:
        query = query.where(Recipient.state == state)
    if reason is not None:
        query = query.where(Recipient.reason == reason)
    if variant is not None:
        query = query.where(Recipient.variant == variant)
    return [Outcome(*row) for row in await tx.execute(query)]
