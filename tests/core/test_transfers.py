"""Files are with WhatsApp before the messages that need them leave, and what people send comes here, whatever dies."""

from datetime import timedelta

import orjson
import pytest
from sqlalchemy import select

import scenes
from core import inbox, media, media_files, messages, senders, templates, transfers
from core.bootstrap import Platform
from core.content import Media, Template, Text
from core.models import Event, MediaFile, MediaUpload, Message, Sender
from core.ports import (
    Accepted,
    Address,
    Attached,
    Inbound,
    Outgoing,
    ParsedWebhook,
    PermanentContent,
    RateLimited,
    Retryable,
    SendError,
    SessionLost,
)
from fakes import FakeClock, FakeConnector

HASH = "d23f2dd1d65f0fbebd2f5eabbb9ac4bdc1ca1b8a1a3b9b6d8ed0a4c7c7e0d6b1"


@pytest.fixture
async def sender(platform: Platform) -> Sender:
    await scenes.people(platform, 3)
    return await scenes.a_sender(platform)


async def _upload(platform: Platform) -> MediaUpload:
    async with platform.database.reading() as tx:
        return (await tx.execute(select(MediaUpload))).scalar_one()


async def test_a_file_goes_up_once_and_then_with_every_message(
    platform: Platform, sender: Sender, connector: FakeConnector, clock: FakeClock
) -> None:
    file = await scenes.a_file(platform)
    sent = [
        await scenes.a_message(platform, sender, contact_id=one, content=scenes.picture(file, caption="c"))
        for one in (1, 2)
    ]
    assert await scenes.let_out(platform, transfer=False) == [], "it waits for its file"
    assert (await scenes.reread(platform, sent[0])).state == "queued"
    await scenes.let_out(platform)
    assert connector.uploads == [(scenes.PICTURE, "image/png", "a.png")]
    wanted = Media(type="image", media_id=file.id, caption="c", handle="handle-1")
    assert [call.content for call in connector.calls] == [wanted, wanted]
    done = await scenes.reread(platform, sent[0])
    assert (done.state, done.content["handle"]) == ("sent", None)
    clock.advance(days=28)
    await scenes.a_message(platform, sender, content=scenes.picture(file))
    await scenes.let_out(platform)
    assert len(connector.uploads) == 1
    clock.advance(days=2)
    await scenes.a_message(platform, sender, content=scenes.picture(file))
    await scenes.let_out(platform)
    assert len(connector.uploads) == 2, "WhatsApp has forgotten it by now"
    other = await scenes.a_sender(platform, name="other")
    await scenes.a_message(platform, other, content=scenes.picture(file))
    await scenes.let_out(platform)
    assert (len(connector.uploads), len(connector.calls)) == (3, 5), "each sender has its own"


async def test_to_one_person_nothing_overtakes_a_file(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    file = await scenes.a_file(platform)
    await scenes.a_message(platform, sender, content=Text(body="first"))
    await scenes.a_message(platform, sender, content=scenes.picture(file))
    await scenes.a_message(platform, sender, content=Text(body="last"))
    await scenes.a_message(platform, sender, contact_id=2)
    await scenes.let_out(platform, transfer=False)
    assert {call.content for call in connector.calls} == {Text(body="first"), Text(body="hello")}
    await scenes.let_out(platform)
    assert [type(call.content) for call in connector.calls[2:]] == [Media, Text]


async def test_a_document_has_the_name_it_was_uploaded_with(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    file = await scenes.a_file(platform)
    for name in (None, "invoice.png"):
        content = Media(type="document", media_id=file.id, filename=name)
        await scenes.a_message(platform, sender, content=content)
        await scenes.let_out(platform)
    assert [getattr(call.content, "filename", "") for call in connector.calls] == ["a.png", "invoice.png"]


async def test_while_whatsapp_is_away_it_is_tried_again_and_not_for_ever(
    platform: Platform, sender: Sender, connector: FakeConnector, clock: FakeClock
) -> None:
    file = await scenes.a_file(platform)
    message = await scenes.a_message(platform, sender, content=scenes.picture(file))
    connector.transferring = [Retryable("not_connected"), RateLimited("busy", scope="sender", retry_after_s=60)]
    assert await transfers.upload_next(platform)
    assert not await transfers.upload_next(platform), "not before its time"
    clock.advance(seconds=3)
    assert await transfers.upload_next(platform)
    assert ((await _upload(platform)).attempts, (await _upload(platform)).reason) == (1, "busy")
    connector.transferring = [Retryable("not_connected")] * 4
    for _ in range(4):
        clock.advance(minutes=3)
        assert await transfers.upload_next(platform)
    failed = await scenes.reread(platform, message)
    assert (failed.state, failed.reason, failed.attempts) == ("failed", "not_connected", 0)
    again = await scenes.a_message(platform, sender, content=scenes.picture(file))
    await scenes.let_out(platform)
    assert (await scenes.reread(platform, again)).state == "sent", "whoever asks again has it tried again"


async def test_what_whatsapp_does_not_want_fails_at_once(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    file = await scenes.a_file(platform)
    message = await scenes.a_message(platform, sender, content=scenes.picture(file))
    text = await scenes.a_message(platform, sender)
    connector.transferring = [PermanentContent("media_unusable")]
    await scenes.let_out(platform)
    failed = await scenes.reread(platform, message)
    assert (failed.state, failed.reason) == ("failed", "media_unusable")
    assert (await scenes.reread(platform, text)).state == "sent"


async def test_a_dead_token_pauses_the_sender_and_a_new_one_goes_on(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    message = await scenes.a_message(platform, sender, content=scenes.picture(await scenes.a_file(platform)))
    connector.transferring = [SessionLost("token_expired")]
    await scenes.let_out(platform)
    async with platform.database.transaction() as tx:
        paused = await senders.get(tx, sender.id)
        assert (paused.state, paused.state_reason) == ("paused", "token_expired")
        now = await platform.clock.now(tx)
        await senders.replace_token(tx, platform.key, sender.id, access_token="new", at=now)
    await scenes.let_out(platform)
    assert (await scenes.reread(platform, message)).state == "sent"


async def test_one_that_died_over_an_upload_is_followed_by_another(
    platform: Platform, sender: Sender, connector: FakeConnector, clock: FakeClock
) -> None:
    message = await scenes.a_message(platform, sender, content=scenes.picture(await scenes.a_file(platform)))
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        (await tx.execute(select(MediaUpload))).scalar_one().not_before = now + timedelta(seconds=30)
    assert not await transfers.upload_next(platform)
    clock.advance(seconds=31)
    await scenes.let_out(platform)
    assert (await scenes.reread(platform, message)).state == "sent"


async def test_a_file_that_whatsapp_forgot_goes_up_again_and_nobody_is_left_out(
    platform: Platform, sender: Sender, connector: FakeConnector, clock: FakeClock
) -> None:
    def answer(message: Outgoing) -> Accepted | SendError:
        if getattr(message.content, "handle", None) == "handle-1":
            return PermanentContent("bad_parameter")
        return Accepted(f"wamid.{message.client_id}")

    file = await scenes.a_file(platform)
    connector.answering = answer
    early = await scenes.a_message(platform, sender, content=scenes.picture(file))
    await scenes.let_out(platform)
    refused = await scenes.reread(platform, early)
    assert (refused.state, refused.reason) == ("failed", "bad_parameter"), "the upload was new: it is not that"
    clock.advance(minutes=11)
    late = [await scenes.a_message(platform, sender, contact_id=one, content=scenes.picture(file)) for one in (1, 2)]
    await scenes.let_out(platform)
    assert [(await scenes.reread(platform, one)).state for one in late] == ["sent", "sent"]
    assert len(connector.uploads) == 2


async def test_a_message_whose_file_was_lost_fails(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    file = await scenes.a_file(platform)
    message = await scenes.a_message(platform, sender, content=scenes.picture(file))
    media_files.forget(platform.settings, [file.sha256 or ""])
    await scenes.let_out(platform)
    lost = await scenes.reread(platform, message)
    assert (lost.state, lost.reason, connector.calls) == ("failed", "media_lost", [])
    async with platform.database.transaction() as tx:
        row = await messages.get(tx, message.id)
        row.state, row.media_id = "queued", 99  # as one that came back to the queue after its file was deleted
    await transfers.look_around(platform)
    assert (await scenes.reread(platform, message)).reason == "media_lost"


async def test_a_campaign_waits_for_its_picture(
    platform: Platform, sender: Sender, connector: FakeConnector, clock: FakeClock
) -> None:
    file = await scenes.a_file(platform)
    campaign = await scenes.a_campaign(platform, sender)
    async with platform.database.transaction() as tx:
        header = {"type": "image", "media_id": file.id}
        await templates.change(tx, campaign.template_id, {"header": header}, at=await platform.clock.now(tx))
    await scenes.launched(platform, campaign.id)
    connector.transferring = [PermanentContent("media_unusable")]
    assert (await scenes.dispatched(platform, connector, campaign.id)).why == "media_uploading"
    await transfers.upload_next(platform)
    assert (await scenes.dispatched(platform, connector, campaign.id)).why == "campaign_paused"
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        assert (await scenes.campaigns.get(tx, campaign.id)).state_reason == "media_unusable"
        await scenes.campaigns.resume(tx, campaign.id, at=now)
    assert (await scenes.dispatched(platform, connector, campaign.id)).why == "media_uploading"
    await transfers.upload_next(platform)
    assert (await scenes.dispatched(platform, connector, campaign.id)).why == "queue_empty"
    contents = [call.content for call in connector.calls]
    assert [getattr(one, "handle", None) for one in contents] == ["handle-1"] * 3
    assert isinstance(contents[0], Template)


# ---- what people send ---------------------------------------------------------------------------------------


async def _received(platform: Platform, sha256: str | None = None, *, name: str = "in-1") -> Message:
    """By the webhook's own way."""

    def parse(_: bytes) -> ParsedWebhook:
        return ParsedWebhook(
            inbound=[
                Inbound(
                    f"wamid.{name}",
                    "id-shop",
                    [Address("phone", "+966500000000")],
                    None,
                    Media(type="document", caption="c", filename="عقد.pdf"),
                    None,
                    at,
                    attached=Attached(name, "application/pdf", sha256),
                )
            ]
        )

    async with platform.database.transaction() as tx:
        at = await platform.clock.now(tx)
        await inbox.store(tx, orjson.dumps({}), at=at)
    await inbox.apply_waiting(platform, parse)
    async with platform.database.reading() as tx:
        return (await tx.execute(select(Message).where(Message.provider_id == f"wamid.{name}"))).scalar_one()


async def _file(platform: Platform, message: Message) -> MediaFile:
    async with platform.database.reading() as tx:
        return await messages.media_of(tx, message.id)


async def test_what_a_person_sends_is_described_at_once_and_fetched_after(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    connector.files["in-1"] = content = b"%PDF" * 1000
    message = await _received(platform)
    waiting = await _file(platform, message)
    assert message.content["media_id"] == waiting.id
    assert (waiting.state, waiting.direction, waiting.kind, waiting.filename) == (
        "waiting",
        "in",
        "document",
        "عقد.pdf",
    )
    assert await transfers.fetch_next(platform)
    assert not await transfers.fetch_next(platform)
    stored = await _file(platform, message)
    assert (stored.state, stored.size, stored.reason) == ("stored", 4000, None)
    assert media_files.path_of(platform.settings, stored.sha256 or "").read_bytes() == content
    forwarded = await scenes.a_message(platform, sender, content=Media(type="document", media_id=stored.id))
    await scenes.let_out(platform)
    assert (await scenes.reread(platform, forwarded)).state == "sent"
    async with platform.database.reading() as tx:
        told = (await tx.execute(select(Event).where(Event.type.like("media.%")).order_by(Event.id))).scalars()
        assert [one.type for one in told] == ["media.waiting", "media.stored"]


async def test_what_is_not_what_was_announced_is_asked_for_again(
    platform: Platform, sender: Sender, connector: FakeConnector, clock: FakeClock
) -> None:
    connector.files["in-1"] = b"half a file"
    message = await _received(platform, HASH)
    for _ in range(8):
        assert await transfers.fetch_next(platform)
        assert not await transfers.fetch_next(platform), "not before its time"
        clock.advance(hours=25)
    failed = await _file(platform, message)
    assert (failed.state, failed.reason) == ("failed", "media_damaged")
    assert list(media_files.folder(platform.settings).iterdir()) == [], "nothing is left behind"


async def test_a_process_that_dies_over_a_fetch_is_followed_by_another(
    platform: Platform, sender: Sender, connector: FakeConnector, clock: FakeClock
) -> None:
    connector.files["in-1"] = b"whole"
    message = await _received(platform)
    async with platform.database.transaction() as tx:
        row = (await tx.execute(select(MediaFile))).scalar_one()
        row.lease_token, row.not_before = "dead", await platform.clock.now(tx) + timedelta(seconds=30)
    assert not await transfers.fetch_next(platform)
    clock.advance(seconds=31)
    assert await transfers.fetch_next(platform)
    assert (await _file(platform, message)).state == "stored"


@pytest.mark.parametrize(
    ("refused", "state", "attempts"),
    [
        (Retryable("no_answer"), "waiting", 1),
        (SessionLost("token_expired"), "waiting", 0),
        (PermanentContent("media_gone"), "failed", 1),
        (PermanentContent("media_too_large"), "failed", 1),
    ],
)
async def test_each_refusal_has_its_way(
    platform: Platform,
    sender: Sender,
    connector: FakeConnector,
    clock: FakeClock,
    refused: SendError,
    state: str,
    attempts: int,
) -> None:
    connector.files["in-1"] = b"whole"
    message = await _received(platform)
    connector.transferring = [refused]
    await transfers.fetch_next(platform)
    file = await _file(platform, message)
    assert (file.state, file.reason, file.attempts) == (state, refused.code, attempts)
    clock.advance(minutes=11)
    assert await transfers.fetch_next(platform) == (state == "waiting")


async def test_a_late_process_writes_nothing_over_another_ones_work(
    platform: Platform, sender: Sender, connector: FakeConnector, clock: FakeClock
) -> None:
    message = await _received(platform)
    connector.files["in-1"] = b"whole"

    class Slow(FakeConnector):
        async def fetch_media(self, handle: str, *, limit: int):  # type: ignore[no-untyped-def, override]
            clock.advance(seconds=60)
            platform.connectors.connector = connector  # type: ignore[attr-defined]
            assert await transfers.fetch_next(platform), "another takes it up"
            raise PermanentContent("media_gone")
            yield b""

    platform.connectors.connector = Slow()  # type: ignore[attr-defined]
    assert await transfers.fetch_next(platform)
    assert (await _file(platform, message)).state == media.STORED
