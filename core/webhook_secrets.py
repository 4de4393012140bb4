"""What an endpoint's deliveries are signed with, and the headers it gave us: sealed, and opened for a moment only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from core import notices, notifications, webhook_headers, webhook_signing
from core.bootstrap import Platform
from core.database import Tx
from core.errors import Conflict, Invalid, MasterKeyWrong
from core.events import WebhookMoved, publish
from core.keys import MasterKey
from core.models import Webhook
from core.webhook_signing import Scheme

LONGEST_OVERLAP = timedelta(days=7)
_TOLD_BEFORE = timedelta(hours=12)
_MOST_IN_FORCE = 10  # each adds a signature of its own to every delivery


@dataclass(frozen=True, slots=True)
class Secret:
    """As it signs. It is the newest of its scheme while `until` is None; the old one is good for a while longer."""

    text: str = field(repr=False)
    until: datetime | None = None

    @property
    def scheme(self) -> Scheme:
        return "v1a" if self.text.startswith(webhook_signing.PRIVATE) else "v1"


def sealed(key: MasterKey, secrets: Sequence[Secret]) -> bytes:
    kept = [{"text": one.text, "until": one.until and one.until.isoformat()} for one in secrets]
    return key.encrypt({"secrets": kept})


def opened(key: MasterKey, webhook: Webhook) -> list[Secret]:
    """The newest first, those that both sides know before the pairs: with the first 2.3.0's signature is made."""
    return [
        Secret(one["text"], datetime.fromisoformat(one["until"]) if one["until"] else None)
        for one in key.decrypt(webhook.secrets)["secrets"]
    ]


def in_force(key: MasterKey, webhook: Webhook, *, at: datetime) -> list[bytes]:
    """For `webhook_signing.headers`."""
    return [one.text.encode() for one in opened(key, webhook) if one.until is None or one.until > at]


def with_new(
    secrets: Sequence[Secret], scheme: Scheme, given: str | None, *, overlap: timedelta, at: datetime
) -> tuple[list[Secret], str]:
    """Those to keep, and what to show of the new one. The old ones of its scheme end after `overlap`."""
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise Invalid("An old secret stays good for 0 to 7 days.", field="overlap_s", hint="86400 is a day.")
    text = given or webhook_signing.new_secret(scheme).private
    new = Secret(text)
    until = at + overlap
    kept = [one for one in secrets if one.until is None or one.until > at]
    if new.text in (one.text for one in kept):
        raise Conflict("This is the secret it has already.", field="secret", hint="Leave it out, and one is made.")
    ended = [
        one if one.scheme != new.scheme else Secret(one.text, min(one.until or until, until))
        for one in kept
        if one.scheme != new.scheme or overlap
    ]
    if len(ended) >= _MOST_IN_FORCE:
        raise Conflict(
            f"It has {len(ended)} secrets in force.", hint="Wait until one has ended, or rotate without an overlap."
        )
    found = [new, *ended]
    return sorted(found, key=lambda one: one.scheme == "v1a"), webhook_signing.shown(text)


def seal_headers(key: MasterKey, webhook: Webhook, headers: Mapping[str, str]) -> None:
    """Raises `Invalid`. Their values are never shown again; their names are."""
    kept = webhook_headers.check(headers)
    webhook.header_names = list(kept)
    webhook.headers = key.encrypt(kept) if kept else None


def own_headers(key: MasterKey, webhook: Webhook) -> dict[str, str]:
    return dict(key.decrypt(webhook.headers)) if webhook.headers else {}


async def tell_of_ends(platform: Platform) -> int:
    """Of old ones that end soon, each once; returns how many are told."""
    told = 0
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        for webhook in (await tx.execute(select(Webhook).where(Webhook.is_enabled).order_by(Webhook.id))).scalars():
            try:
                ends = {one.until for one in opened(platform.key, webhook) if one.until is not None}
            except MasterKeyWrong:  # whoever delivers there says so; the others are told
                continue
            for ends_at in sorted(one for one in ends if now < one <= now + _TOLD_BEFORE):
                notice = notices.webhook_secret_expiring(webhook, ends_at=ends_at)
                if await notifications.tell(tx, notice, at=now) is not None:
                    moved = WebhookMoved(webhook.id, "secret_expiring", reason=ends_at.isoformat(timespec="seconds"))
                    await publish(tx, moved, at=now)
                    told += 1
    return told


async def reseal(tx: Tx, key: MasterKey) -> int:
    """Every stored secret under the newest encryption key."""
    webhooks = (await tx.execute(select(Webhook))).scalars().all()
    for webhook in webhooks:
        webhook.secrets = key.reseal(webhook.secrets)
        webhook.headers = key.reseal(webhook.headers) if webhook.headers else None
    return len(webhooks)
