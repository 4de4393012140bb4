"""What happens is told once, in its own transaction, to those whom it concerns, and forgotten when it is old."""

import asyncio
import io
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select

import scenes
from conftest import with_settings
from core import (
    apikeys,
    campaigns,
    health,
    import_files,
    import_runs,
    imports,
    kept_files,
    notices,
    notifications,
    retrying,
    roles,
    runs,
    schedules,
    senders,
    template_status,
    templates,
    users,
    watchdog,
)
from core.bootstrap import Platform
from core.models import Event, Notification, NotificationRead
from core.notices import Notice
from core.notifications import Count
from core.ports import PermanentRecipient, PermanentTemplate, SenderBlocked, SenderHealth, SessionLost, TemplateChanged
from core.principals import Principal
from fakes import FakeClock, FakeConnector

ADMIN = Principal("user", 1, roles.of_role("admin"), "the role admin")
VIEWER = Principal("user", 2, roles.of_role("viewer"), "the role viewer")


async def _told(platform: Platform) -> list[tuple[str, str, str | None, str]]:
    """Severity, wording, what it is about, title; oldest first."""
    async with platform.database.reading() as tx:
        rows = (await tx.execute(select(Notification).order_by(Notification.id))).scalars().all()
    return [(one.severity, one.wording, one.about, notices.said(one.wording, one.params)[0]) for one in rows]


async def _events(platform: Platform) -> list[tuple[str, dict[str, object]]]:
    async with platform.database.reading() as tx:
        rows = await tx.execute(select(Event).where(Event.topic == "notifications").order_by(Event.id))
        return [(one.type, one.data) for one in rows.scalars()]


async def _say(platform: Platform, *causes: str, about: str | None = None) -> list[int]:
    ids = []
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        for cause in causes:
            notice = notices.of_program("info", cause, "", about=about, cause=cause)
            ids.append((await notifications.made(tx, notice, at=now)).id)
    return ids


# ---- told once, with what happened ---------------------------------------------------------------------------


async def test_one_cause_is_told_once_also_by_two_at_once_and_not_when_rolled_back(platform: Platform) -> None:
    notice = Notice("backup.restored", "warning", cause="the same", params={"senders": 1, "unknown": 2})

    async def tell() -> int | None:
        async with platform.database.transaction() as tx:
            return await notifications.tell(tx, notice, at=await platform.clock.now(tx))

    async def tell_and_fail() -> None:
        async with platform.database.transaction() as tx:
            assert await notifications.tell(tx, notice, at=await platform.clock.now(tx))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await tell_and_fail()
    assert await _told(platform) == []
    told = await asyncio.gather(*(tell() for _ in range(4)))
    assert sorted(one is None for one in told) == [False, True, True, True]
    (known,) = (one for one in told if one is not None)
    assert await _events(platform) == [("notification.new", {"notification_id": known, "permission": "campaigns.read"})]


async def test_a_campaign_is_told_when_it_ends_and_again_when_it_was_tried_again(
    platform: Platform, connector: FakeConnector
) -> None:
    await scenes.people(platform, 3)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    connector.answering = lambda _: PermanentRecipient("not_on_whatsapp")
    for answers in (connector.answering, None):
        connector.answering = answers
        await scenes.dispatched(platform, connector, campaign.id)
        for _ in range(2):  # a sweep may look too
            async with platform.database.transaction() as tx:
                await campaigns.finish_if_done(tx, campaign.id, at=await platform.clock.now(tx))
        if answers is not None:
            async with platform.database.transaction() as tx:
                assert await retrying.retry_failed(tx, campaign.id, at=await platform.clock.now(tx)) == 3
    about = f"campaign:{campaign.id}"
    assert await _told(platform) == [
        ("warning", "campaign.finished.nobody", about, "Campaign “spring” is finished, and nobody got it"),
        ("success", "campaign.finished", about, "Campaign “spring” is finished"),
    ]


async def test_a_campaign_that_stops_by_itself_is_told_with_why_and_one_a_person_pauses_is_not(
    platform: Platform, connector: FakeConnector
) -> None:
    await scenes.people(platform, 3)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    connector.answering = lambda _: PermanentTemplate("template_paused")
    await scenes.dispatched(platform, connector, campaign.id)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await campaigns.resume(tx, campaign.id, at=now)
        await campaigns.pause(tx, campaign.id, reason="lunch", quietly=True, at=now)
        await campaigns.resume(tx, campaign.id, at=now)
    await scenes.dispatched(platform, connector, campaign.id)
    assert [one[:3] for one in await _told(platform)] == [("problem", "campaign.paused", "campaign:1")] * 2
    async with platform.database.reading() as tx:
        (last, _) = await notifications.listed(tx, VIEWER, limit=9)
    assert last.notification.params == {"name": "spring", "reason": "template_paused"}


@pytest.mark.parametrize(
    ("answer", "wording"),
    [
        (SessionLost("token_expired"), "sender.token_expired"),
        (SessionLost("permission"), "sender.paused"),
        (SenderBlocked("account_restricted"), "sender.blocked"),
    ],
)
async def test_a_sender_that_whatsapp_stops_is_told_once(
    platform: Platform, connector: FakeConnector, answer: SessionLost | SenderBlocked, wording: str
) -> None:
    await scenes.people(platform, 9)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    connector.answering = lambda _: answer
    await scenes.dispatched(platform, connector, campaign.id)
    assert [one[:3] for one in await _told(platform)] == [("problem", wording, "sender:1")]


async def test_a_sending_turn_asks_the_database_nothing_more_while_there_is_nothing_to_tell(
    platform: Platform, connector: FakeConnector
) -> None:
    await scenes.people(platform, 20)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    said: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        said.append(statement)

    event.listen(platform.database.engine.sync_engine, "before_cursor_execute", note)
    await scenes.dispatched(platform, connector, campaign.id)
    event.remove(platform.database.engine.sync_engine, "before_cursor_execute", note)
    assert said
    assert [one for one in said if "notification" in one] == []


async def test_a_suspect_sender_and_a_fallen_rating_are_told(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    watched = with_settings(platform, suspect_after_messages=1)
    await scenes.people(watched, 1)
    sender = await scenes.a_sender(watched)
    for quality in ("GREEN", "UNKNOWN", "GREEN", "YELLOW", "YELLOW", "RED", "GREEN"):
        connector.says = SenderHealth(ok=True, detail="", quality=quality)
        await health.check(watched, sender.id)
    await scenes.a_message(watched, sender)
    await scenes.let_out(watched)
    clock.advance(hours=1)
    for _ in range(2):
        await watchdog.look(watched)
    async with watched.database.transaction() as tx:
        numbers = [sender.phone_number_id]
        suspected = await watchdog.suspects(tx, numbers)
        await watchdog.heard(tx, numbers, suspected, at=await watched.clock.now(tx))
    assert [(one[0], one[3]) for one in await _told(watched)] == [
        ("warning", "WhatsApp's rating of sender “shop” fell to yellow"),
        ("problem", "WhatsApp's rating of sender “shop” fell to red"),
        ("problem", "Nothing is heard of what sender “shop” sends"),
        ("success", "Sender “shop” is heard of again"),
    ]


async def test_a_template_that_stops_is_told_with_the_campaign_it_stops(platform: Platform) -> None:
    await scenes.people(platform, 1)
    sender = await scenes.a_sender(platform)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        template = await templates.create(tx, name="offer", body="Hi", cloud_name="offer", at=now)
        template.waba_id, template.status = "waba", "approved"
        campaign = await campaigns.create(
            tx, name="c", sender_id=sender.id, template_id=template.id, audience={"all": True}, at=now
        )
    await scenes.launched(platform, campaign.id)
    for status in ("rejected", "rejected", "approved"):
        async with platform.database.transaction() as tx:
            change = TemplateChanged("waba", "offer", "en", status=status)
            await template_status.apply(tx, change, at=await platform.clock.now(tx))
    assert [one[1:] for one in await _told(platform)] == [
        ("template.stopped", f"template:{template.id}", "Template “offer” (en) is rejected at WhatsApp"),
        ("campaign.paused", f"campaign:{campaign.id}", "Campaign “c” was paused by itself"),
    ]


async def test_an_occurrence_that_was_missed_is_told(platform: Platform, clock: FakeClock) -> None:
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        due = schedules.asked(at=now.replace(tzinfo=None) + timedelta(hours=1), timezone="UTC", now=now)
        await schedules.put(tx, campaign.id, due, include_earlier=None, at=now)
    clock.advance(hours=9)
    await runs.sweep(platform)
    assert [one[:2] for one in await _told(platform)] == [("warning", "campaign.missed")]


async def test_keys_and_the_kill_switch_are_told_to_those_whom_they_concern(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        made = await apikeys.create(tx, platform.key, name="reports", scopes=["read"], at=now)
        for _ in range(2):
            await apikeys.revoke(tx, made.row.id, at=now)
        for is_on in (True, False, False, True):
            await senders.turn_sending(tx, is_on=is_on, reason="drill", at=now)
    assert [one[1:3] for one in await _told(platform)] == [
        ("api_key.made", "api_key:1"),
        ("api_key.revoked", "api_key:1"),
        ("sending.off", "sending"),
        ("sending.on", "sending"),
    ]
    async with platform.database.reading() as tx:
        seen = [one.notification.kind for one in await notifications.listed(tx, VIEWER, limit=9)]
    assert seen == ["sending.switched"] * 2, "keys are no business of a viewer"


async def test_a_new_admin_is_told_to_the_others_whichever_way_they_became_one(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        invited = await users.invite(tx, role="admin", email="noura@example.com", at=now)
        made = await users.use_link(tx, platform.key, invited, password_hash="x", email=None, name="Noura", at=now)
        invited = await users.invite(tx, role="user", email="sami@example.com", at=now)
        raised = await users.use_link(tx, platform.key, invited, password_hash="x", email=None, name="", at=now)
        for role in ("admin", "admin", "viewer"):
            await users.change(tx, raised.id, users.Changes(role=role), at=now)
    assert await _told(platform) == [
        ("warning", "user.made_admin", f"user:{made.id}", "“Noura” is an admin now"),
        ("warning", "user.made_admin", f"user:{raised.id}", "“sami@example.com” is an admin now"),
    ]
    async with platform.database.reading() as tx:
        assert await notifications.count(tx, VIEWER) == Count(0, 0)


async def test_a_file_is_told_where_rows_of_it_were_not_taken(platform: Platform) -> None:
    for body in ("phone\n+966501234567\n", "phone\n+966501234567\nnobody\n"):
        asked = imports.Asked("people.csv", import_files.format_of("people.csv", body.encode()), "SA", {})
        stored = kept_files.keep(platform.settings, io.BytesIO(body.encode()))
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            job = await imports.create(tx, asked, stored=stored, lease_s=0, at=now)
        await import_runs.run(platform, job.id)
    assert await _told(platform) == [
        ("warning", "import.finished", "import:2", "Not all rows of “people.csv” were taken")
    ]


# ---- each has a view of their own ----------------------------------------------------------------------------


async def test_reading_is_each_ones_own(platform: Platform) -> None:
    first, second, third = await _say(platform, "one", "two", "three")
    (secret,) = await _say(platform, "about a user", about="user:1")
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        assert await notifications.count(tx, ADMIN) == Count(4, 4)
        assert await notifications.count(tx, VIEWER) == Count(3, 3)
        assert await notifications.count(tx, replace(ADMIN, closed=frozenset({"users"}))) == Count(3, 3)
        assert (await notifications.mark(tx, ADMIN, first, is_read=True, at=now)).read_at is not None
        again = await notifications.mark(tx, ADMIN, first, is_read=True, at=now + timedelta(hours=1))
        assert again.read_at is not None
        assert again.read_at < now + timedelta(minutes=1), "the first time counts"
        assert await notifications.mark_all(tx, VIEWER, up_to=second, at=now) == 2
        assert await notifications.mark_all(tx, VIEWER, up_to=second, at=now) == 0
        assert (await notifications.mark(tx, VIEWER, second, is_read=False, at=now)).read_at is None
        await notifications.dismiss(tx, VIEWER, third, at=now)
        assert await notifications.count(tx, VIEWER) == Count(1, 2)
        assert await notifications.count(tx, ADMIN) == Count(3, 4)
        unread = await notifications.listed(tx, VIEWER, limit=9, unread=True)
        assert [one.notification.id for one in unread] == [second]
        page = await notifications.listed(tx, ADMIN, limit=2, before=secret)
        assert [one.notification.id for one in page] == [third, second]
        await notifications.withdraw(tx, ADMIN, second, at=now)
        assert await notifications.count(tx, VIEWER) == Count(0, 1)
    told = [one for one in await _events(platform) if one[0] != "notification.new"]
    assert told == [
        ("notification.read", {"what": "read", "principal": "user:1", "notification_ids": [first]}),
        ("notification.read", {"what": "read", "principal": "user:2", "notification_ids": [first, second]}),
        ("notification.unread", {"what": "unread", "principal": "user:2", "notification_ids": [second]}),
        ("notification.dismissed", {"what": "dismissed", "principal": "user:2", "notification_ids": [third]}),
        ("notification.withdrawn", {"notification_ids": [second], "permission": "notifications.read"}),
    ]


async def test_what_is_old_is_forgotten_with_who_read_it(platform: Platform, clock: FakeClock) -> None:
    await _say(platform, "old")
    async with platform.database.transaction() as tx:
        await notifications.mark_all(tx, VIEWER, at=await platform.clock.now(tx))
    clock.advance(days=91)
    (young,) = await _say(platform, "young")
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
    assert await notifications.prune(platform.database, before=now - timedelta(days=90)) == 1
    async with platform.database.reading() as tx:
        assert [one.notification.id for one in await notifications.listed(tx, ADMIN, limit=9)] == [young]
        assert (await tx.execute(select(func.count()).select_from(NotificationRead))).scalar_one() == 0
