"""Short ways to a situation, for tests: people, a sender, a campaign under way."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from core import (
    campaigns,
    consents,
    contacts,
    courier,
    delivery_rows,
    media,
    messages,
    outbox,
    outcomes,
    outgoing,
    planning,
    senders,
    templates,
    transfers,
    webhooks,
)
from core.bootstrap import Platform
from core.contacts import NewContact
from core.content import Media, Text
from core.dispatch import Dispatcher, Rest
from core.media_files import Part
from core.models import Campaign, Delivery, MediaFile, Message, Sender, Webhook
from core.outgoing import Wanted
from core.ports import Accepted, Connector, Outgoing, Poster
from core.webhook_events import Fact
from fakes import FakeClock, FakeConnector


async def people(platform: Platform, count: int, *, tags: Sequence[str] = (), start: int = 0) -> None:
    """`count` contacts +9665000xxxxx with a name."""
    async with platform.database.transaction() as tx:
        await contacts.save(
            tx,
            platform.key,
            [
                NewContact(phone=f"+9665{start + number:08d}", name=f"Person {start + number}", tags=tuple(tags))
                for number in range(count)
            ],
            at=await platform.clock.now(tx),
        )


async def a_sender(platform: Platform, *, rate: float = 1000, name: str = "shop", **caps: int) -> Sender:
    async with platform.database.transaction() as tx:
        return await senders.create(
            tx,
            platform.key,
            name=name,
            phone_number_id=f"id-{name}",
            waba_id="waba",
            access_token="token",
            app_secret="app-secret",
            verify_token="verify",
            rate=rate,
            at=await platform.clock.now(tx),
            **caps,
        )


async def a_campaign(
    platform: Platform,
    sender: Sender,
    *,
    body: str = "Hello {name}",
    audience: dict[str, object] | None = None,
    name: str = "spring",
    cloud_name: str | None = "spring_offer",
    purpose: str = "service",
    quiet_hours: Mapping[str, str] | None = None,
    timezone: str | None = None,
    **more: Any,
) -> Campaign:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        template = await templates.create(tx, name=f"template of {name}", body=body, cloud_name=cloud_name, at=now)
        return await campaigns.create(
            tx,
            name=name,
            sender_id=sender.id,
            template_id=template.id,
            audience=audience or {"all": True},
            purpose=purpose,
            quiet_hours=quiet_hours,
            timezone=timezone,
            **more,
            at=now,
        )


async def launched(platform: Platform, campaign_id: int) -> None:
    """Launched and planned to the end."""
    async with platform.database.transaction() as tx:
        await campaigns.launch(tx, campaign_id, at=await platform.clock.now(tx))
    while True:
        async with platform.database.transaction() as tx:
            if not await planning.plan_chunk(tx, campaign_id, at=await platform.clock.now(tx)):
                return


async def dispatched(
    platform: Platform, connector: Connector, campaign_id: int, *, seconds: float = 20, run_token: str = "run"
) -> Rest:
    return await Dispatcher(platform, connector, campaign_id, run_token=run_token).run(seconds=seconds)


def arrivals(connector: FakeConnector, clock: FakeClock, *, after_s: float) -> list[datetime]:
    """Each message takes so long to arrive; when they did is added to what is returned."""
    arrived: list[datetime] = []

    def answer(message: Outgoing) -> Accepted:
        clock.advance(seconds=after_s)
        arrived.append(datetime.now(UTC) + clock.ahead)
        return Accepted(f"wamid.{message.client_id}")

    connector.answering = answer
    return arrived


async def progress(platform: Platform, campaign_id: int) -> outcomes.Progress:
    async with platform.database.reading() as tx:
        return await outcomes.progress(tx, campaign_id)


async def a_message(platform: Platform, sender: Sender, **wanted: Any) -> Message:
    """Accepted and queued: "hello" to contact 1 where nothing else is said."""
    wanted = {"content": Text(body="hello")} | wanted
    if "phone" not in wanted:
        wanted = {"contact_id": 1} | wanted
    async with platform.database.transaction() as tx:
        return await outgoing.accept(
            tx, platform, Wanted(sender_id=sender.id, **wanted), at=await platform.clock.now(tx)
        )


PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(3000)


async def a_webhook(platform: Platform, url: str = "https://example.com/hooks", **values: Any) -> Webhook:
    """Of all events, where `events` names no others."""
    async with platform.database.transaction() as tx:
        at = await platform.clock.now(tx)
        values = {"url": url, "events": ["*"], **values}
        return (await webhooks.create(tx, platform.key, platform.settings.webhook_rules, values, at=at)).webhook


async def deliveries(platform: Platform) -> list[Delivery]:
    async with platform.database.reading() as tx:
        return list((await tx.execute(select(Delivery).order_by(Delivery.id))).scalars())


async def opted_out(platform: Platform, contact_id: int) -> None:
    async with platform.database.transaction() as tx:
        await consents.opt_out(tx, contact_id, reason="asked", source="test", at=await platform.clock.now(tx))


async def told(platform: Platform, webhook: Webhook, *contacts: int, count: int = 1) -> None:
    """The endpoint, that they opted out, as the events of these transactions would."""
    facts = [
        Fact("contact.opted_out", {"contact_id": one, "source": "x"}, contact_id=one, chat=f"1:{one}")
        for _ in range(count)
        for one in contacts
    ]
    async with platform.database.transaction() as tx:
        at = await platform.clock.now(tx)
        rows = [delivery_rows.row(webhook.id, fact, in_order=webhook.is_ordered) for fact in facts]
        await delivery_rows.insert(tx, rows, at=at)


async def couriered(platform: Platform, poster: Poster) -> int:
    """Everything that is due at this moment; returns how many attempts that were."""
    return await courier.Courier(platform, poster).until_idle(for_s=20)


async def a_file(platform: Platform, content: bytes = PICTURE) -> MediaFile:
    """A picture of ours, stored."""
    part = Part(platform.settings)
    part.write(content)
    part.finish()
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        return await media.create(tx, part, mime_type="image/png", kind="image", filename="a.png", at=now)


def picture(file: MediaFile, caption: str | None = None) -> Media:
    return Media(type="image", media_id=file.id, caption=caption)


async def let_out(platform: Platform, *, transfer: bool = True) -> list[str]:
    """One lane of each sender that has something to send, and again after each file that they wait for, unless none is
    to be transferred. Why the lanes ended."""
    ended = await _let_out(platform)
    while transfer and await transfers.upload_next(platform):
        ended += await _let_out(platform)
    return ended


async def _let_out(platform: Platform) -> list[str]:
    await outbox.expire(platform)
    ended = []
    for sender in await outbox.waiting(platform):
        connector = await platform.connectors.open(senders.config(sender, platform.key))
        ended.append((await outbox.Lane(platform, connector, sender).run(seconds=20)).why)
    return ended


async def reread(platform: Platform, message: Message) -> Message:
    async with platform.database.reading() as tx:
        return await messages.get(tx, message.id)
