"""The one road a message leaves by: claim (lease) → intent, committed before any I/O → connector → settle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

from sqlalchemy import bindparam, case, func, or_, select, update

from core import bulk, campaigns, chats, consents, doubles, messages, pacing, quiet, senders
from core.addressing import Row, addressed
from core.content import Content, handed, stored
from core.database import Tx, is_postgres
from core.events import RecipientsSkipped, publish
from core.models import Campaign, Contact, Identity, Message, Recipient, Sender, Switch
from core.permission import Rules, look_at
from core.ports import Address, Capabilities, Outgoing
from core.settings import Settings
from core.variants import Families


@dataclass(frozen=True, slots=True)
class Claimed:
    """A recipient this run alone may write to, until the claim lapses; nothing has been handed over."""

    recipient_id: int
    contact_id: int
    client_id: str
    to: Address
    content: Content
    token: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Intent:
    """Committed: from here on only an answer or a proof tells what happened. `write_at` is monotonic seconds."""

    message_id: int
    recipient_id: int | None
    token: str
    attempts: int
    outgoing: Outgoing
    write_at: float


@dataclass(frozen=True, slots=True)
class SenderGate:
    """May this sender send now? Its row is locked, so that no pause commits between the look and the intent."""

    sender: Sender
    is_on: bool
    campaign: Campaign | None = None

    @property
    def shut(self) -> str | None:
        """Asked anew each time: settling an answer may pause the campaign or the sender."""
        if not self.is_on:
            return "sending_is_off"
        if self.campaign is not None and self.campaign.state != campaigns.RUNNING:
            return f"campaign_{self.campaign.state}"
        if self.sender.state != senders.ACTIVE:
            return f"sender_{self.sender.state}"
        return None


@dataclass(frozen=True, slots=True)
class Gate(SenderGate):
    """May this campaign send now? Its row is locked too."""

    campaign: Campaign = field(kw_only=True)


async def sender_gate(tx: Tx, sender_id: int) -> SenderGate:
    await senders.hold_switch(tx)
    query = (
        select(Sender, Switch.is_on)
        .join(Switch, Switch.name == senders.SENDING)
        .where(Sender.id == sender_id)
        .with_for_update(key_share=True, of=Sender)
        .execution_options(populate_existing=True)
    )
    sender, is_on = (await tx.execute(query)).one()
    return SenderGate(sender=sender, is_on=is_on)


# Not shared: this transaction is going to change them, and an upgrade can deadlock. Not so hard either that an inbound
# message, whose row refers to the sender, has to wait while we wait for its receipts.
_GATE = (
    select(Campaign, Sender, Switch.is_on)
    .join(Sender, Sender.id == Campaign.sender_id)
    .join(Switch, Switch.name == senders.SENDING)
    .where(Campaign.id == bindparam("campaign_id"))
    .with_for_update(key_share=True, of=(Campaign, Sender))
    .execution_options(populate_existing=True)
)


async def gate(tx: Tx, campaign_id: int) -> Gate:
    await senders.hold_switch(tx)
    campaign, sender, is_on = (await tx.execute(_GATE, {"campaign_id": campaign_id})).one()
    return Gate(campaign=campaign, sender=sender, is_on=is_on)


async def claim(
    tx: Tx,
    campaign: Campaign,
    families: Families,
    *,
    installation: str,
    limit: int,
    now: datetime,
    settings: Settings,
) -> list[Claimed]:
    """Take the next `limit` recipients that are due. Who cannot be addressed or lacks a variable is skipped. Where a
    winner was chosen, who was never handed another variant gets that."""
    token = token_hex(8)
    until = now + timedelta(seconds=settings.lease_s)
    due = (
        select(Recipient.id)
        .where(
            Recipient.campaign_id == campaign.id,
            Recipient.state == "queued",
            or_(Recipient.not_before.is_(None), Recipient.not_before <= now),
            *campaigns.of_wave(campaign),
        )
        .order_by(Recipient.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taking: dict[str, Any] = {"state": "claimed", "claim_token": token, "claimed_until": until}
    if campaign.winner is not None:
        had_one = select(Message.id).where(Message.recipient_id == Recipient.id).exists()
        taking["variant"] = case((had_one, Recipient.variant), else_=campaign.winner)
    taken = await tx.execute(
        update(Recipient)
        .where(Recipient.id.in_(due))
        .values(taking)
        .returning(Recipient.id)
        .execution_options(synchronize_session=False)
    )
    ids = sorted(taken.scalars())
    if not ids:
        return []
    return await _address(tx, campaign, families, ids, installation=installation, token=token, until=until, now=now)


async def _address(
    tx: Tx,
    campaign: Campaign,
    families: Families,
    ids: Sequence[int],
    *,
    installation: str,
    token: str,
    until: datetime,
    now: datetime,
) -> list[Claimed]:
    rows = await tx.execute(
        select(
            Recipient.id,
            Recipient.contact_id,
            Contact.name,
            Contact.language,
            Contact.attributes,
            Identity.kind,
            Identity.value,
            func.coalesce(Recipient.variant, 0),
        )
        .outerjoin(Contact, Contact.id == Recipient.contact_id)
        .outerjoin(Identity, Identity.contact_id == Contact.id)
        .where(Recipient.claim_token == token, Recipient.id.between(ids[0], ids[-1]))
        .order_by(Recipient.id, Identity.id)
    )
    found = addressed((Row(*row) for row in rows), families)
    for recipient_id in await doubles.had_as_another(tx, ids, claim_token=token):
        found.letters.pop(recipient_id, None)
        found.barred[recipient_id] = "merged"
    for reason in sorted(set(found.barred.values())):
        some = [one for one, why in found.barred.items() if why == reason]
        await skip(tx, campaign.id, reason, some, at=now)
    return [
        Claimed(
            recipient_id=recipient_id,
            contact_id=contact_id,
            client_id=messages.client_id(installation, "recipient", recipient_id),
            to=to,
            content=content,
            token=token,
            until=until,
        )
        for recipient_id, (contact_id, to, content) in found.letters.items()
    ]


async def skip(
    tx: Tx,
    campaign_id: int,
    reason: str,
    recipient_ids: Sequence[int],
    *,
    evidence: Mapping[str, object] | None = None,
    at: datetime,
) -> None:
    """These will not be written to; nothing was handed over for them, save for those who were resent while unknown:
    they are so again."""
    done = await bulk.run(
        tx,
        "UPDATE recipients SET state = CASE WHEN may_have_arrived THEN 'unknown' ELSE 'skipped' END, reason = :reason, "
        f"claim_token = NULL, claimed_until = NULL, evidence = {bulk.json(tx, 'evidence')} "
        f"WHERE state = 'claimed' AND id {bulk.in_ids(tx)} RETURNING id, state",
        reason=reason,
        evidence=bulk.dumped(evidence),
        ids=bulk.ids(recipient_ids),
    )
    rows = done.all()
    if doubtful := [row.id for row in rows if row.state == "unknown"]:
        await messages.leave_in_doubt(tx, doubtful, reason, at=at)
    if ids := sorted(row.id for row in rows if row.state == "skipped"):
        await publish(tx, RecipientsSkipped(campaign_id=campaign_id, reason=reason, recipient_ids=ids), at=at)


async def release(tx: Tx, claims: Sequence[Claimed]) -> None:
    """Give claims back to the queue; without an intent nothing can have left."""
    if claims:
        await bulk.run(
            tx,
            "UPDATE recipients SET state = 'queued', claim_token = NULL, claimed_until = NULL "
            f"WHERE state = 'claimed' AND claim_token {bulk.in_names(tx)} AND id {bulk.in_ids(tx)}",
            names=_tokens(claims),
            ids=bulk.ids(claimed.recipient_id for claimed in claims),
        )


def _tokens(claims: Sequence[Claimed]) -> str:
    return bulk.names({claimed.token for claimed in claims})


@dataclass(frozen=True, slots=True)
class Intended:
    """`intents` leave now; `kept` stay claimed for the next turn; `wait_s` until there is a slot for them."""

    intents: list[Intent]
    kept: list[Claimed]
    wait_s: float


async def intend(
    tx: Tx,
    gate: Gate,
    claims: Sequence[Claimed],
    *,
    capabilities: Capabilities,
    settings: Settings,
    now: datetime,
    monotonic: float,
    handles: Mapping[int, str] | None = None,
) -> Intended:
    """Commit to writing to as many of `claims` as pace and caps allow. Everything that may forbid a message is
    looked at here, with the contacts' rows locked: after an opt-out commits, no intent commits.

    `monotonic` was read before `now`, so that a deadline counted from it is never late. `handles` are WhatsApp's ids
    of our files.
    """
    lapsed = [claimed for claimed in claims if claimed.until <= now]
    # Claimed in a turn that was rolled back, and again since: whoever held both would write to the person twice.
    claims = list({claimed.recipient_id: claimed for claimed in claims if claimed.until > now}.values())
    arrives_by = now + settings.arrives_within
    asleep = await quiet.put_to_sleep(
        tx,
        gate.campaign,
        [(one.recipient_id, one.contact_id, one.to) for one in claims],
        now=now,
        arrives_by=arrives_by,
    )
    claims = [claimed for claimed in claims if claimed.recipient_id not in asleep]
    contact_ids = [claimed.contact_id for claimed in claims]
    await consents.lock(tx, contact_ids)
    rules = Rules.of(gate.campaign.purpose, settings, capabilities)
    people = await look_at(tx, gate.sender.id, contact_ids, rules, now=now)
    barred = {one.recipient_id: rules.bar(people.get(one.contact_id), one.content) for one in claims}
    for reason in sorted({reason for reason in barred.values() if reason}):
        some = [recipient_id for recipient_id, why in barred.items() if why == reason]
        await skip(tx, gate.campaign.id, reason, some, evidence=rules.evidence(reason), at=now)
    fit = [claimed for claimed in claims if not barred[claimed.recipient_id]]
    opens = [not people[claimed.contact_id].recent for claimed in fit]
    left = await pacing.allowance(tx, gate.sender, now=now)
    if fit and left.messages == 0:
        pacing.rest(gate.sender, until=pacing.next_hour(now))
    else:
        fit, opens = await _hold_back(tx, fit, opens, pacing.too_many(opens, left), until=pacing.next_hour(now))
    allowed = len(fit) if left.messages is None else min(len(fit), left.messages)
    slots = pacing.reserve(gate.sender, allowed, now=now, ahead_s=settings.pace_ahead_s)
    chosen, kept = fit[: slots.count], fit[slots.count :]
    token = token_hex(8)
    committed = await _commit_to(tx, gate, chosen, token=token, settings=settings, now=now) if chosen else {}
    leaving = [claimed for claimed in chosen if claimed.client_id in committed]
    if leaving:
        await chats.remember_talk(tx, gate.sender.id, [claimed.contact_id for claimed in leaving], now=now)
        opened = sum(opens[: slots.count])
        await pacing.count(tx, gate.sender.id, messages=len(leaving), conversations=opened, arrives_by=arrives_by)
    await release(tx, lapsed)
    return Intended(
        intents=[
            Intent(
                message_id=committed[claimed.client_id][0],
                recipient_id=claimed.recipient_id,
                token=token,
                attempts=committed[claimed.client_id][1],
                outgoing=Outgoing(
                    client_id=claimed.client_id,
                    to=claimed.to,
                    content=handed(claimed.content, handles or {}),
                    send_by=monotonic + settings.send_by_s,
                ),
                write_at=monotonic + slots.wait_s + place * slots.step_s + pacing.jitter_s(gate.sender, slots.step_s),
            )
            for place, claimed in enumerate(leaving)
        ],
        kept=kept,
        wait_s=slots.wait_s if not slots.count else 0.0,
    )


async def _hold_back(
    tx: Tx, claims: Sequence[Claimed], opens: Sequence[bool], too_many: Sequence[bool], *, until: datetime
) -> tuple[list[Claimed], list[bool]]:
    """Those who would open one conversation too many go back to the queue; the others, and which of them open one."""
    if waiting := [claimed for claimed, is_one in zip(claims, too_many, strict=True) if is_one]:
        await bulk.run(
            tx,
            "UPDATE recipients SET state = 'queued', reason = 'conversation_cap', claim_token = NULL, "
            f"claimed_until = NULL, not_before = {bulk.now(tx)} "
            f"WHERE state = 'claimed' AND claim_token {bulk.in_names(tx)} AND id {bulk.in_ids(tx)}",
            names=_tokens(waiting),
            ids=bulk.ids(claimed.recipient_id for claimed in waiting),
            now=until,
        )
    going = [place for place, is_one in enumerate(too_many) if not is_one]
    return [claims[place] for place in going], [opens[place] for place in going]


async def _commit_to(
    tx: Tx, gate: Gate, chosen: Sequence[Claimed], *, token: str, settings: Settings, now: datetime
) -> dict[str, tuple[int, int]]:
    """Write the intents; returns (message id, attempts) by client id, of those that are still ours to send."""
    mine = await bulk.run(
        tx,
        "UPDATE recipients SET state = 'sending', claim_token = NULL, claimed_until = NULL, not_before = NULL, "
        "reason = NULL, evidence = NULL "
        f"WHERE state = 'claimed' AND claim_token {bulk.in_names(tx)} AND id {bulk.in_ids(tx)} RETURNING id",
        names=_tokens(chosen),
        ids=bulk.ids(claimed.recipient_id for claimed in chosen),
    )
    ours = set(mine.scalars())
    lease_until = now + timedelta(seconds=settings.lease_s)
    cast = ("CAST({} AS timestamptz)" if is_postgres(tx) else "{}").format
    written = await bulk.run(
        tx,
        f"""
        INSERT INTO messages (client_id, direction, sender_id, contact_id, recipient_id, address, content,
            state, receipt, attempts, late, lease_token, lease_until, at)
        SELECT r.client_id, 'out', :sender, r.contact_id, r.recipient_id, r.address, r.content,
            'intent', 0, 1, :late, :token, {cast(":lease_until")}, {cast(":now")}
        FROM {
            bulk.table(
                tx, client_id="text", contact_id="bigint", recipient_id="bigint", address="text", content="jsonb"
            )
        } WHERE true
        ON CONFLICT (client_id) DO UPDATE SET state = 'intent', reason = NULL, attempts = messages.attempts + 1,
            lease_token = excluded.lease_token, lease_until = excluded.lease_until, at = excluded.at,
            address = excluded.address, content = excluded.content, contact_id = excluded.contact_id
        WHERE messages.state = 'queued'
        RETURNING id, client_id, attempts
        """,
        (
            {
                "client_id": claimed.client_id,
                "contact_id": claimed.contact_id,
                "recipient_id": claimed.recipient_id,
                "address": claimed.to.value,
                "content": stored(claimed.content),
            }
            for claimed in chosen
            if claimed.recipient_id in ours
        ),
        sender=gate.sender.id,
        late=False,
        token=token,
        lease_until=lease_until,
        now=now,
    )
    return {row.client_id: (row.id, row.attempts) for row in written}
