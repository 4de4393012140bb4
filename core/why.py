"""Why was this person written to in this campaign, or why not? The answer and the rows that prove it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from core import audiences, campaigns, contacts, occurrences, senders, variants
from core.database import Tx
from core.errors import NotFound
from core.keys import MasterKey
from core.models import (
    Campaign,
    Consent,
    Contact,
    Identity,
    Message,
    Occurrence,
    Recipient,
    Sender,
    SenderHour,
    Suppression,
)
from core.pacing import DAY_HOURS
from core.reasons import explained

NOT_IN_IT = "not_in_audience"
_HAD_IT = "had_it_before"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One row or rule behind an answer. `kind` is rule, variant, message, consent, suppression, sender, limit or
    audience."""

    kind: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """`outcome` is the recipient's state, or `not_in_audience`. `reason` is a code, `because` says it in words."""

    outcome: str
    reason: str | None
    because: str
    occurrence: int
    evidence: Sequence[Evidence]


async def whose(tx: Tx, key: MasterKey, phone: str) -> int:
    """The contact with this number, E.164; raises `NotFound`."""
    same = (Identity.kind == "phone", Identity.value_hash == key.hash("phone", phone))
    contact_id: int | None = (await tx.execute(select(Identity.contact_id).where(*same))).scalar()
    if contact_id is None:
        raise NotFound("Nobody here has this number.", field="phone")
    return contact_id


async def ask(
    tx: Tx, campaign_id: int, contact_id: int, *, occurrence: int | None = None, now: datetime
) -> Sequence[Answer]:
    """Of this occurrence, or one answer for each that the person was planned for; at least one."""
    campaign = await campaigns.get(tx, campaign_id)
    theirs = [Recipient.campaign_id == campaign_id, Recipient.contact_id == contact_id]
    if occurrence is not None:
        theirs.append(Recipient.occurrence == occurrence)
    recipients = (await tx.execute(select(Recipient).where(*theirs).order_by(Recipient.occurrence))).scalars().all()
    if not recipients:
        return [await _not_in_it(tx, campaign, contact_id, campaign.occurrence if occurrence is None else occurrence)]
    return [await _of_recipient(tx, campaign, one, now=now) for one in recipients]


async def _of_recipient(tx: Tx, campaign: Campaign, recipient: Recipient, *, now: datetime) -> Answer:
    evidence: list[Evidence] = []
    message = (await tx.execute(select(Message).where(Message.recipient_id == recipient.id))).scalar()
    reason = recipient.reason
    if recipient.state in ("queued", "claimed") and reason != "quiet_hours":
        sender = await senders.get(tx, campaign.sender_id)
        reason = _held_up(campaign, sender) or _first(campaign, recipient) or reason
        if campaign.canary_verdict is not None and campaign.state == campaigns.PAUSED:
            evidence.append(Evidence("rule", {"canary": campaign.canary_verdict}))
        evidence += await _limits(tx, sender, now=now)
    if recipient.variant is not None and recipient.state != "skipped":
        names = {one.number: one.name for one in await variants.of_one(tx, campaign.id)}
        evidence.append(Evidence("variant", {"name": names[recipient.variant]}))
    if reason == campaigns.HOLDOUT:
        evidence.append(Evidence("rule", {"holdout_percent": campaign.holdout_percent}))
    if recipient.evidence:
        evidence.append(Evidence("rule", recipient.evidence))
    if message is not None:
        evidence.append(_message(message))
    if recipient.state == "skipped":
        evidence += await _consent(tx, recipient.contact_id, campaign.purpose)
    return Answer(
        outcome=recipient.state,
        reason=reason,
        because=_because(recipient.state, reason, message),
        occurrence=recipient.occurrence,
        evidence=evidence,
    )


def _because(state: str, reason: str | None, message: Message | None) -> str:
    if reason is not None:
        return explained(reason)
    if state == "sent":
        proof = "a receipt" if message is not None and message.receipt > 0 else "WhatsApp's answer"
        return f"Sent: {proof} proves it."
    if state == "sending":
        return "It is being handed over; the answer has not come yet."
    return "It waits for its turn."


def _held_up(campaign: Campaign, sender: Sender) -> str | None:
    if campaign.state == campaigns.PAUSED:
        return "campaign_paused"
    if sender.state != senders.ACTIVE:
        return f"sender_{sender.state}"
    return None


def _first(campaign: Campaign, recipient: Recipient) -> str | None:
    """Others go before this one."""
    if campaign.wave is None or recipient.wave == campaign.wave:
        return None
    return "canary_first"


def _message(message: Message) -> Evidence:
    return Evidence(
        "message",
        {
            "id": message.id,
            "state": message.state,
            "reason": message.reason,
            "provider_id": message.provider_id,
            "attempts": message.attempts,
            "receipt": message.receipt,
            "handed_over_at": message.at,
            "settled_at": message.settled_at,
            "delivered_at": message.delivered_at,
            "read_at": message.read_at,
            "late": message.late,
        },
    )


async def _consent(tx: Tx, contact_id: int, purpose: str) -> list[Evidence]:
    """What the ledger and the list of those who stopped say of this person. Never the identity itself."""
    mine = select(Identity.value_hash).where(Identity.contact_id == contact_id)
    stopped = await tx.execute(select(Suppression).where(Suppression.identity_hash.in_(mine)))
    said = await tx.execute(
        select(Consent)
        .where(Consent.identity_hash.in_(mine), Consent.purpose.in_((purpose, "marketing")))
        .order_by(Consent.id)
    )
    return [Evidence("suppression", {"reason": one.reason, "at": one.created_at}) for one in stopped.scalars()] + [
        Evidence(
            "consent",
            {
                "id": one.id,
                "purpose": one.purpose,
                "action": one.action,
                "source": one.source,
                "wording": one.wording,
                "given_at": one.given_at,
                "recorded_at": one.recorded_at,
            },
        )
        for one in said.scalars()
    ]


async def _limits(tx: Tx, sender: Sender, *, now: datetime) -> list[Evidence]:
    used = (
        await tx.execute(
            select(
                func.coalesce(func.sum(SenderHour.messages), 0), func.coalesce(func.sum(SenderHour.conversations), 0)
            ).where(SenderHour.sender_id == sender.id, SenderHour.hour >= int(now.timestamp() // 3600) - DAY_HOURS)
        )
    ).one()
    facts = {
        "sender_id": sender.id,
        "state": sender.state,
        "state_reason": sender.state_reason,
        "rate": sender.rate,
        "daily_cap": sender.daily_cap,
        "messages_today": int(used[0]),
        "conversation_cap": sender.conversation_cap,
        "conversations_today": int(used[1]),
        "rests_s": max(0.0, round(sender.next_slot - now.timestamp(), 1)),
    }
    return [Evidence("limit", facts)]


async def _not_in_it(tx: Tx, campaign: Campaign, contact_id: int, number: int) -> Answer:
    contact: Contact = await contacts.get(tx, contact_id)
    occurrence = await occurrences.get(tx, campaign.id, number) if number else None
    if (
        occurrence is not None
        and not occurrence.include_earlier
        and (had := await _earlier(tx, contact_id, occurrence))
    ):
        return Answer(NOT_IN_IT, _HAD_IT, explained(_HAD_IT), number, had)
    audience = (occurrence and occurrence.audience) or campaign.audience
    facts: dict[str, Any] = {"audience": audience, "campaign_state": campaign.state}
    if occurrence is None or occurrence.started_at is None:
        because = "The campaign was not launched yet."
    elif number == campaign.occurrence and campaign.audience_to is not None and contact_id > campaign.audience_to:
        facts |= {"contact_created_at": contact.created_at, "launched_at": occurrence.started_at}
        because = "The person came after the audience was frozen at the launch."
    elif number == campaign.occurrence and not campaigns.planned(campaign) and contact_id > campaign.planned_to:
        because = "The campaign is still being planned."
        if campaign.state == campaigns.CANCELLED:
            because = "The campaign was cancelled before everybody was planned; it had not come to this person."
    else:
        because = "The person was not in the audience when it was frozen at the launch."
        chosen = await audiences.members(tx, campaign.audience)
        member = chosen.selected_columns.id
        facts["would_be_now"] = (await tx.execute(chosen.where(member == contact_id))).first() is not None
    return Answer(
        outcome=NOT_IN_IT,
        reason=NOT_IN_IT,
        because=because,
        occurrence=number,
        evidence=[Evidence("audience", facts)],
    )


async def _earlier(tx: Tx, contact_id: int, occurrence: Occurrence) -> list[Evidence]:
    """The rows by which the person was left out of it."""
    if contact_id not in await occurrences.who_had_it(
        tx, occurrence.campaign_id, [contact_id], number=occurrence.number
    ):
        return []
    rows = await tx.execute(
        select(Recipient)
        .where(
            Recipient.campaign_id == occurrence.campaign_id,
            Recipient.contact_id == contact_id,
            Recipient.occurrence != occurrence.number,
        )
        .order_by(Recipient.occurrence)
    )
    return [
        Evidence("rule", {"occurrence": row.occurrence, "outcome": row.state, "sent_at": row.sent_at})
        for row in rows.scalars()
    ]
