"""WhatsApp accounts that write: their secrets, their state, and the switch that stops them all."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, or_, select

from core import bulk, notices, notifications, pacing
from core.database import Tx, is_postgres
from core.errors import Conflict, Invalid, NotFound
from core.events import SenderMoved, SwitchTurned, publish
from core.keys import MasterKey
from core.models import Sender, Switch
from core.ports import SenderConfig

MAX_RATE = 10_000  # Meta's top tier is 1,000; the rest is room for a local simulator
SENDING = "sending"
_SWITCH_LOCK = 7_726_004
ACTIVE, PAUSED, BLOCKED, SUSPECT = "active", "paused", "blocked", "suspect"


async def create(
    tx: Tx,
    key: MasterKey,
    *,
    name: str,
    phone_number_id: str,
    waba_id: str,
    access_token: str,
    app_secret: str,
    verify_token: str,
    rate: float = 80.0,
    daily_cap: int | None = None,
    conversation_cap: int | None = None,
    jitter: float = 0.0,
    warm_up: Sequence[int] | None = None,
    at: datetime,
) -> Sender:
    """`rate` is messages/s; the caps count a moving 24 hours and None means none of our own. `jitter` is a share of
    the time between two messages; `warm_up` caps new conversations day by day, from today."""
    _check_pace(rate, jitter)
    taken = await tx.execute(
        select(Sender.name).where(or_(Sender.name == name, Sender.phone_number_id == phone_number_id))
    )
    if (found := taken.scalar()) is not None:
        raise Conflict(
            f"Sender {found!r} has this name or phone number id already.",
            field="name" if found == name else "phone_number_id",
        )
    sender = Sender(
        name=name,
        kind="cloud",
        phone_number_id=phone_number_id,
        waba_id=waba_id,
        secrets=key.encrypt({"access_token": access_token, "app_secret": app_secret, "verify_token": verify_token}),
        state=ACTIVE,
        state_reason="",
        rate=rate,
        daily_cap=daily_cap,
        conversation_cap=conversation_cap,
        next_slot=0.0,
        jitter=jitter,
        warm_up=None if warm_up is None else pacing.warm_up(at.date(), warm_up),
        created_at=at,
    )
    tx.add(sender)
    await tx.flush()
    await publish(tx, SenderMoved(sender_id=sender.id, state=ACTIVE), at=at)
    return sender


def _check_pace(rate: float, jitter: float) -> None:
    if not 0 < rate <= MAX_RATE:
        raise Invalid(f"A sender's rate is more than 0 and at most {MAX_RATE:,} messages/s.", field="rate")
    if not 0 <= jitter <= 1:
        raise Invalid("Jitter is a share of the time between two messages, 0 to 1.", field="jitter")


async def change(tx: Tx, sender_id: int, changes: Mapping[str, Any], *, at: datetime) -> Sender:
    """Set any of rate, daily_cap, conversation_cap, jitter and warm_up; a run under way sees it with its next turn."""
    sender = await get(tx, sender_id, lock=True)
    for name, value in changes.items():
        setattr(sender, name, pacing.warm_up(at.date(), value) if name == "warm_up" and value is not None else value)
    _check_pace(sender.rate, sender.jitter)
    await publish(tx, SenderMoved(sender_id=sender.id, state=sender.state, reason="changed"), at=at)
    return sender


async def get(tx: Tx, sender_id: int, *, lock: bool = False) -> Sender:
    """Locked by who is about to change it: a run that sends by it may be doing so too."""
    sender = await tx.get(Sender, sender_id, with_for_update=True if lock else None)
    if sender is None:
        raise NotFound(f"There is no sender {sender_id}.", field="sender_id")
    return sender


async def listed(tx: Tx, *, after: int, limit: int, name: str | None = None) -> Sequence[Sender]:
    query = select(Sender).where(Sender.id > after).order_by(Sender.id).limit(limit)
    if name is not None:
        query = query.where(Sender.name == name)
    return (await tx.execute(query)).scalars().all()


async def in_state(tx: Tx, state: str) -> Sequence[int]:
    return (await tx.execute(select(Sender.id).where(Sender.state == state).order_by(Sender.id))).scalars().all()


_BY_NUMBER = select(Sender).where(Sender.phone_number_id == bindparam("phone_number_id"))


async def by_phone_number_id(tx: Tx, phone_number_id: str) -> Sender | None:
    return (await tx.execute(_BY_NUMBER, {"phone_number_id": phone_number_id})).scalar()


async def of_account(tx: Tx, waba_id: str) -> Sequence[Sender]:
    rows = await tx.execute(select(Sender).where(Sender.waba_id == waba_id).order_by(Sender.id))
    return rows.scalars().all()


def config(sender: Sender, key: MasterKey) -> SenderConfig:
    opened = key.decrypt(sender.secrets)
    return SenderConfig(
        sender_id=sender.id,
        kind="cloud",
        phone_number_id=sender.phone_number_id,
        waba_id=sender.waba_id,
        access_token=opened["access_token"],
        app_secret=opened["app_secret"],
    )


def verify_token(sender: Sender, key: MasterKey) -> str:
    return str(key.decrypt(sender.secrets)["verify_token"])


async def replace_token(tx: Tx, key: MasterKey, sender_id: int, *, access_token: str, at: datetime) -> Sender:
    """A new access token, e.g. after the old one expired; sets the sender to work again."""
    sender = await get(tx, sender_id, lock=True)
    sender.secrets = key.encrypt({**key.decrypt(sender.secrets), "access_token": access_token})
    await move(tx, sender, ACTIVE, reason="", at=at)
    return sender


async def move(tx: Tx, sender: Sender, state: str, *, reason: str, quietly: bool = False, at: datetime) -> None:
    """`quietly`: whoever asked for it knows, and nobody is told; otherwise `reason` is a code."""
    if sender.state == state:
        return
    sender.state, sender.state_reason = state, reason
    await publish(tx, SenderMoved(sender_id=sender.id, state=state, reason=reason), at=at)
    if state != ACTIVE and not quietly:
        await notifications.tell(tx, notices.sender_stopped(sender, at=at), at=at)


async def reseal(tx: Tx, key: MasterKey) -> int:
    """Every stored secret under the newest encryption key."""
    senders = (await tx.execute(select(Sender))).scalars().all()
    for sender in senders:
        sender.secrets = key.reseal(sender.secrets)
    return len(senders)


async def hold_switch(tx: Tx, *, alone: bool = False) -> None:
    """Whoever turns the kill switch, or holds it `alone`, waits for the transactions that hold it so, and those that
    come after wait for the turn. (Row locks would let them pass by: with enough senders the switch would never get
    its turn.)"""
    if is_postgres(tx):  # on SQLite BEGIN IMMEDIATE holds everything
        await bulk.run(tx, f"SELECT pg_advisory_xact_lock{'' if alone else '_shared'}({_SWITCH_LOCK})")


async def sending(tx: Tx) -> Switch:
    """The kill switch, to look at."""
    return await tx.get_one(Switch, "sending")


async def turn_sending(tx: Tx, *, is_on: bool, reason: str, at: datetime) -> None:
    await hold_switch(tx, alone=True)
    switch = await tx.get_one(Switch, SENDING, with_for_update=True)
    was_on = switch.is_on
    switch.is_on, switch.reason, switch.changed_at = is_on, reason, at
    await publish(tx, SwitchTurned(name=SENDING, is_on=is_on, reason=reason), at=at)
    if is_on != was_on:
        await notifications.tell(tx, notices.sending_switched(is_on=is_on, reason=reason, at=at), at=at)
