"""Endpoints: addresses of strangers that are told what happens. What each is told is in `core.deliveries`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

from sqlalchemy import select, text, update

from core import webhook_events, webhook_health, webhook_secrets
from core.database import Tx, is_postgres
from core.delivery_rows import are_told
from core.errors import Conflict, Invalid, NotFound
from core.events import WebhookMoved, publish
from core.keys import MasterKey
from core.models import EventLog, Webhook
from core.webhook_addresses import Rules
from core.webhook_signing import PRIVATE, SHARED, Scheme
from core.webhook_signing import check as check_secret

CONCURRENCY = 10
GONE, BY_HAND = "gone", "by_hand"

_LOCK = 7_726_006
_MOST = 1_000
_MOST_AT_ONCE = 100
_MOST_WAITS = 30
_LONGEST_WAIT_S = 7 * 86_400
_FORMS = ("v3", "v2")
CHANGEABLE: Collection[str] = frozenset(
    "url description events sender_ids campaign_ids fields form signs_v2 headers schedule rate concurrency "
    "is_ordered".split()
)


@dataclass(frozen=True, slots=True)
class Created:
    """`secrets` are shown now and never again: one that both sides know, and the public half of a pair."""

    webhook: Webhook
    secrets: Sequence[str] = field(repr=False)


async def create(
    tx: Tx,
    key: MasterKey,
    rules: Rules,
    values: Mapping[str, Any],
    *,
    secret: str | None = None,
    v1a: bool = False,
    any_secret: bool = False,
    at: datetime,
) -> Created:
    """`values` as for `change`; `url` and `events` are needed. `any_secret`: one of a receiver of 2.3.0, which has no
    form unless it bears a mark of ours. From the commit on it is told of every event that is committed after it."""
    known = (await tx.execute(select(Webhook.id).limit(_MOST))).scalars().all()
    if len(known) >= _MOST:
        raise Conflict(f"There are {_MOST} endpoints already.", hint="Remove those that nobody needs.")
    _check_secret(secret, any_secret=any_secret)
    secrets, shown = webhook_secrets.with_new([], "v1", secret, overlap=timedelta(), at=at)
    told = [shown]
    if v1a:
        secrets, shown = webhook_secrets.with_new(secrets, "v1a", None, overlap=timedelta(), at=at)
        told.append(shown)
    webhook = Webhook(
        description="",
        fields=[],
        form="v3",
        is_enabled=True,
        signs_v1a=v1a,
        signs_v2=False,
        header_names=[],
        concurrency=CONCURRENCY,
        is_ordered=False,
        secrets=webhook_secrets.sealed(key, secrets),
        created_at=at,
        changed_at=at,
    )
    _apply(webhook, key, rules, values)
    tx.add(webhook)
    await tx.flush()
    await _moved(tx, webhook, "created", at=at)
    return Created(webhook, told)


def _check_secret(secret: str | None, *, any_secret: bool) -> None:
    """What bears a mark signs by it, wherever it came from."""
    if secret is not None and (not any_secret or secret.startswith((SHARED, PRIVATE))):
        check_secret(secret)


async def get(tx: Tx, webhook_id: int, *, lock: bool = False) -> Webhook:
    found = await tx.get(Webhook, webhook_id, with_for_update={"key_share": True} if lock else None)
    if found is None:
        raise NotFound(f"There is no webhook {webhook_id}.", field="webhook_id")
    return found


async def listed(tx: Tx, *, after: int = 0, limit: int) -> Sequence[Webhook]:
    query = select(Webhook).where(Webhook.id > after).order_by(Webhook.id).limit(limit)
    return (await tx.execute(query)).scalars().all()


async def change(
    tx: Tx, key: MasterKey, rules: Rules, webhook_id: int, values: Mapping[str, Any], *, at: datetime
) -> Webhook:
    """`values` names any of `CHANGEABLE`. What waits already goes to the new address, and under the new limits."""
    webhook = await get(tx, webhook_id, lock=True)
    _apply(webhook, key, rules, values)
    if "url" in values:
        webhook_health.forget(webhook)
    webhook.changed_at = at
    await _moved(tx, webhook, "changed", at=at)
    return webhook


async def rotate(
    tx: Tx,
    key: MasterKey,
    webhook_id: int,
    *,
    scheme: Scheme = "v1",
    secret: str | None = None,
    any_secret: bool = False,
    overlap: timedelta = timedelta(days=1),
    at: datetime,
) -> Created:
    """A new secret. Deliveries are signed with the old ones too, until `overlap` is over."""
    _check_secret(secret, any_secret=any_secret)
    webhook = await get(tx, webhook_id, lock=True)
    secrets, shown = webhook_secrets.with_new(
        webhook_secrets.opened(key, webhook), scheme, secret, overlap=overlap, at=at
    )
    webhook.secrets = webhook_secrets.sealed(key, secrets)
    webhook.signs_v1a = any(one.scheme == "v1a" for one in secrets)
    webhook.changed_at = at
    await tx.flush()
    await publish(tx, WebhookMoved(webhook_id=webhook_id, what="rotated"), at=at)
    return Created(webhook, [shown])


async def enable(tx: Tx, webhook_id: int, *, at: datetime) -> Webhook:
    """It starts afresh, with what has waited meanwhile."""
    webhook = await get(tx, webhook_id, lock=True)
    webhook_health.forget(webhook)
    if not webhook.is_enabled:
        webhook.is_enabled, webhook.disabled_reason, webhook.disabled_at = True, None, None
        await _moved(tx, webhook, "enabled", at=at)
    return webhook


async def disable(tx: Tx, webhook_id: int, *, at: datetime) -> Webhook:
    """By hand. It is told nothing of what happens until it is enabled; what waited before goes on waiting."""
    webhook = await get(tx, webhook_id, lock=True)
    if webhook.is_enabled or webhook.disabled_reason != BY_HAND:
        await stop(tx, webhook, BY_HAND, at=at)
    return webhook


async def stop(tx: Tx, webhook: Webhook, reason: str, *, at: datetime) -> None:
    """Its row is locked."""
    webhook.is_enabled, webhook.disabled_reason, webhook.disabled_at = False, reason, at
    await _moved(tx, webhook, "disabled", reason=reason, at=at)


async def remove(tx: Tx, webhook_id: int, *, at: datetime) -> None:
    """For good, with its secrets. What it was told is forgotten within the hour."""
    webhook = await get(tx, webhook_id, lock=True)
    await tx.delete(webhook)
    await _moved(tx, webhook, "removed", at=at)


async def _moved(tx: Tx, webhook: Webhook, what: str, *, reason: str = "", at: datetime) -> None:
    """The set of those who are told is another from this commit on. Whoever publishes holds the lock with others until
    its own commit (`core.delivery_rows`): so there is no event that is committed after this and does not know."""
    await tx.flush()
    if is_postgres(tx):  # on SQLite BEGIN IMMEDIATE holds everything
        await tx.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    told = select(Webhook.id).where(are_told()).limit(1)
    any_there = (await tx.execute(told)).first() is not None
    await tx.execute(update(EventLog).values(webhooks=token_hex(8) if any_there else None))
    await publish(tx, WebhookMoved(webhook_id=webhook.id, what=what, reason=reason), at=at)


# ---- what may be asked for ----------------------------------------------------------------------------------


def _apply(webhook: Webhook, key: MasterKey, rules: Rules, values: Mapping[str, Any]) -> None:
    if unknown := sorted(set(values) - set(CHANGEABLE)):
        raise Invalid(f"An endpoint has no {unknown[0]}.", field=unknown[0])
    for name, value in values.items():
        match name:
            case "events":
                webhook.events = webhook_events.check_events(value)
            case "headers":
                webhook_secrets.seal_headers(key, webhook, value or {})
            case "url":
                webhook.url = rules.check(value)
            case _:
                setattr(webhook, name, _checked(name, value))


def _checked(name: str, value: Any) -> Any:
    match name:
        case "fields" if unknown := sorted(set(value) - set(webhook_events.PERSONAL_FIELDS)):
            hint = f"Fields: {', '.join(webhook_events.PERSONAL_FIELDS)}."
            raise Invalid(f"There is no field {unknown[0]!r}.", field=name, hint=hint)
        case "form" if value not in _FORMS:
            raise Invalid(f"There is no form {value!r}.", field=name, hint=f"Forms: {', '.join(_FORMS)}.")
        case "concurrency" if not 1 <= value <= _MOST_AT_ONCE:
            raise Invalid(f"1 to {_MOST_AT_ONCE} deliveries are under way at once.", field=name)
        case "rate" if value is not None and not 0 < value <= 10_000:
            raise Invalid("The rate is in deliveries a second, up to 10,000.", field=name, hint="null for no limit.")
        case "sender_ids" | "campaign_ids" if value is not None and not value:
            raise Invalid("A filter that lets nothing pass.", field=name, hint="null for no filter.")
        case "schedule" if value is not None:
            if len(value) > _MOST_WAITS or not all(0 < one <= _LONGEST_WAIT_S for one in value):
                raise Invalid(
                    f"The waits between attempts are up to {_MOST_WAITS} numbers of seconds, each up to 7 days.",
                    field=name,
                    hint="null for the 10 attempts of Standard Webhooks.",
                )
            return [float(one) for one in value]
    return value
