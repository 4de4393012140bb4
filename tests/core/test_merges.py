"""Two contacts that are one person: joined, parted, and never written to twice."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

import scenes
from core import audiences, campaigns, consents, contacts, history, merges, planning, retrying
from core.bootstrap import Platform
from core.contacts import NewContact
from core.content import Text
from core.errors import Conflict, Invalid, NotFound
from core.events import ContactsMerged, ContactsParted
from core.messages import receive
from core.models import Chat, Contact, ContactTag, Event, Merge, Message, Recipient
from core.ports import Accepted, Address, Expired, Inbound, Outgoing, PermanentRecipient, SendError
from fakes import FakeConnector

ONE, TWO = "+966501234567", "+966501234568"


async def _two(platform: Platform) -> tuple[int, int]:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        old = NewContact(ONE, "", "ar", ("vip", "a"), {"city": "Riyadh"})
        new = NewContact(TWO, "Sara", "en", ("a", "b"), {"city": "Jeddah", "age": "18"})
        return (await contacts.add(tx, platform.key, old, at=now))[0], (
            await contacts.add(tx, platform.key, new, at=now)
        )[0]


async def _merged(platform: Platform, kept: int, gone: int) -> int:
    async with platform.database.transaction() as tx:
        return (await merges.merge(tx, kept, gone, at=await platform.clock.now(tx))).id


async def _parted(platform: Platform, merge_id: int) -> None:
    async with platform.database.transaction() as tx:
        await merges.unmerge(tx, merge_id, at=await platform.clock.now(tx))


async def _card(platform: Platform, contact_id: int) -> contacts.Card:
    async with platform.database.reading() as tx:
        return await contacts.card(tx, contact_id)


async def _states(platform: Platform) -> list[tuple[int, str, str | None]]:
    async with platform.database.reading() as tx:
        rows = await tx.execute(select(Recipient).order_by(Recipient.id))
        return [(row.contact_id, row.state, row.reason) for row in rows.scalars()]


async def _write_in(platform: Platform, phone: str, name: str) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        said = Inbound(
            provider_id=name,
            sender_phone_number_id="id-shop",
            addresses=(Address("phone", phone),),
            profile_name="",
            content=Text(body="hello"),
            reply_to=None,
            at=now,
        )
        await receive(tx, platform.key, said, at=now)


async def test_one_person_has_what_both_had_and_parts_with_their_own(platform: Platform) -> None:
    kept, gone = await _two(platform)
    before = [await _card(platform, kept), await _card(platform, gone)]
    merge_id = await _merged(platform, kept, gone)
    card = await _card(platform, kept)
    assert (card.contact.name, card.contact.language) == ("Sara", "ar")
    assert card.contact.attributes == {"city": "Riyadh", "age": "18"}
    assert list(card.tags) == ["a", "b", "vip"]
    assert [one.value for one in card.identities] == [ONE, TWO]
    with pytest.raises(NotFound, match=f"merged into contact {kept}"):
        await _card(platform, gone)
    async with platform.database.reading() as tx:
        assert [one.contact.id for one in await contacts.cards(tx, after=0, limit=9)] == [kept]
        for audience in ({"all": True}, {"filter": 'not tag = "zzz"'}, {"tag": "b"}):
            assert (await tx.execute(await audiences.members(tx, audience))).scalars().all() == [kept]
    await _parted(platform, merge_id)
    for was, now in zip(before, [await _card(platform, kept), await _card(platform, gone)], strict=True):
        assert (now.contact.name, now.contact.language) == (was.contact.name, was.contact.language)
        assert now.contact.attributes == was.contact.attributes
        assert (now.tags, now.identities) == (was.tags, was.identities)
    async with platform.database.reading() as tx:
        told = set((await tx.execute(select(Event.type))).scalars())
    assert {ContactsMerged.TYPE, ContactsParted.TYPE} <= told


async def test_what_was_changed_since_stays(platform: Platform) -> None:
    kept, gone = await _two(platform)
    merge_id = await _merged(platform, kept, gone)
    async with platform.database.transaction() as tx:
        contact = await tx.get_one(Contact, kept)
        contact.name, contact.attributes = "Sarah", {**contact.attributes, "age": "19"}
    await _parted(platform, merge_id)
    assert (await _card(platform, kept)).contact.name == "Sarah"
    assert (await _card(platform, kept)).contact.attributes == {"city": "Riyadh", "age": "19"}
    assert (await _card(platform, gone)).contact.name == "Sara"


@pytest.mark.parametrize("who", [ONE, TWO])
async def test_an_opt_out_of_either_counts_for_both(platform: Platform, who: str) -> None:
    kept, gone = await _two(platform)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await consents.opt_out(tx, kept if who == ONE else gone, reason="asked", source="api", at=now)
    merge_id = await _merged(platform, kept, gone)
    assert (await _card(platform, kept)).suppressed
    await _parted(platform, merge_id)
    assert (await _card(platform, kept)).suppressed is (who == ONE)
    assert (await _card(platform, gone)).suppressed is (who == TWO)


async def test_nobody_is_written_to_twice_in_an_occurrence(platform: Platform, connector: FakeConnector) -> None:
    kept, gone = await _two(platform)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    merge_id = await _merged(platform, kept, gone)
    assert await _states(platform) == [(kept, "queued", None), (gone, "skipped", "merged")]
    await scenes.dispatched(platform, connector, campaign.id)
    assert [one.to.value for one in connector.effects] == [ONE]
    await _parted(platform, merge_id)
    assert await _states(platform) == [(kept, "sent", None), (gone, "skipped", "merged")]


async def test_who_was_written_to_as_the_gone_one_is_not_again_as_the_kept_one(platform: Platform) -> None:
    kept, gone = await _two(platform)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    async with platform.database.transaction() as tx:
        row = (await tx.execute(select(Recipient).where(Recipient.contact_id == gone))).scalar_one()
        row.state = "sent"
    await _merged(platform, kept, gone)
    assert await _states(platform) == [(kept, "skipped", "merged"), (gone, "sent", None)]


async def test_a_claim_on_the_gone_one_is_taken_back_and_moves(platform: Platform) -> None:
    kept, gone = await _two(platform)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform), audience={"tag": "b"})
    await scenes.launched(platform, campaign.id)
    async with platform.database.transaction() as tx:
        row = (await tx.execute(select(Recipient))).scalar_one()
        row.state, row.claim_token = "claimed", "t"
    merge_id = await _merged(platform, kept, gone)
    assert await _states(platform) == [(kept, "queued", None)]
    await _parted(platform, merge_id)
    assert await _states(platform) == [(gone, "queued", None)]


@pytest.mark.parametrize("keeps_the_planned", [True, False])
async def test_a_merge_in_the_middle_of_planning_makes_one_recipient(
    platform: Platform, connector: FakeConnector, keeps_the_planned: bool
) -> None:
    first, second = await _two(platform)
    kept, gone = (first, second) if keeps_the_planned else (second, first)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    async with platform.database.transaction() as tx:
        await campaigns.launch(tx, campaign.id, at=await platform.clock.now(tx))
    await _planned(platform, campaign.id)
    assert await _states(platform) == [(first, "queued", None)]
    merge_id = await _merged(platform, kept, gone)
    assert await _states(platform) == [(kept, "queued", None)]
    while await _planned(platform, campaign.id):
        pass
    assert await _states(platform) == [(kept, "queued", None)]
    await scenes.dispatched(platform, connector, campaign.id)
    assert len(connector.effects) == 1
    await _parted(platform, merge_id)
    assert await _states(platform) == [(first, "sent", None)], "it goes back to whom it was planned for"


async def _planned(platform: Platform, campaign_id: int) -> bool:
    async with platform.database.transaction() as tx:
        return await planning.plan_chunk(tx, campaign_id, at=await platform.clock.now(tx), size=1)


async def test_messages_and_chats_follow_and_go_back_by_address(platform: Platform) -> None:
    kept, gone = await _two(platform)
    await scenes.a_sender(platform)
    await _write_in(platform, TWO, "m1")
    merge_id = await _merged(platform, kept, gone)
    await _write_in(platform, ONE, "m2")
    await _write_in(platform, TWO, "m3")
    async with platform.database.reading() as tx:
        assert set((await tx.execute(select(Message.contact_id))).scalars()) == {kept}
        assert (await tx.execute(select(Chat.contact_id))).scalars().all() == [kept]
    await _parted(platform, merge_id)
    async with platform.database.reading() as tx:
        rows = await tx.execute(select(Message.provider_id, Message.contact_id).order_by(Message.id))
        assert [tuple(row) for row in rows] == [("m1", gone), ("m2", kept), ("m3", gone)]
        assert sorted((await tx.execute(select(Chat.contact_id))).scalars()) == [kept, gone]


async def test_what_makes_no_sense_is_refused(platform: Platform) -> None:
    kept, gone = await _two(platform)
    with pytest.raises(Invalid):
        await _merged(platform, kept, kept)
    with pytest.raises(NotFound):
        await _merged(platform, kept, 99)
    merge_id = await _merged(platform, kept, gone)
    for pair in ((kept, gone), (gone, kept)):
        with pytest.raises(NotFound, match="was merged into"):
            await _merged(platform, *pair)
    await _parted(platform, merge_id)
    with pytest.raises(Conflict, match="undone already"):
        await _parted(platform, merge_id)
    with pytest.raises(NotFound):
        await _parted(platform, 99)


async def test_merges_upon_merges_are_undone_in_reverse(platform: Platform) -> None:
    kept, gone = await _two(platform)
    await scenes.people(platform, 1, tags=["c"])
    first = await _merged(platform, kept, gone)
    second = await _merged(platform, gone + 1, kept)
    with pytest.raises(Conflict, match="merged again"):
        await _parted(platform, first)
    assert {one.value for one in (await _card(platform, gone + 1)).identities} >= {ONE, TWO}
    await _parted(platform, second)
    await _parted(platform, first)
    assert [one.value for one in (await _card(platform, gone)).identities] == [TWO]
    async with platform.database.reading() as tx:
        rows = await tx.execute(select(ContactTag.contact_id, ContactTag.tag).order_by(ContactTag.tag))
        assert {(row.contact_id, row.tag) for row in rows} == {
            (kept, "a"), (gone, "a"), (gone, "b"), (kept, "vip"), (gone + 1, "c"),
        }  # fmt: skip
        assert all((await tx.execute(select(Merge.undone_at))).scalars())


async def test_the_history_has_everything_newest_first_page_by_page(
    platform: Platform, connector: FakeConnector
) -> None:
    kept, gone = await _two(platform)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    await _write_in(platform, TWO, "m1")
    merge_id = await _merged(platform, kept, gone)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await consents.opt_out(tx, kept, reason="asked", source="api", wording="no more", at=now + timedelta(hours=1))
    async with platform.database.reading() as tx:
        whole = await history.of(tx, kept, before=None, limit=100)
        assert [one.kind for one in whole].count("campaign") == 2, "also what stays with the gone id"
        assert [one.kind for one in whole].count("message") == 2
        assert [one.kind for one in whole][:2] == ["consent", "consent"]
        assert {"merged", "consent"} < {one.kind for one in whole}
        paged: list[history.Entry] = []
        while True:
            page = await history.of(tx, kept, before=paged[-1].cursor if paged else None, limit=2)
            if not page:
                break
            paged += page
        assert paged == list(whole)
        with pytest.raises(Invalid):
            await history.of(tx, kept, before="xyz", limit=2)
    await _parted(platform, merge_id)
    async with platform.database.reading() as tx:
        assert [one.kind for one in await history.of(tx, gone, before=None, limit=100)].count("message") == 2


async def _recipients_by(platform: Platform, **states: str) -> None:
    async with platform.database.transaction() as tx:
        for row in (await tx.execute(select(Recipient))).scalars():
            row.state = states.get(f"of_{row.contact_id}", row.state)


async def test_who_failed_and_got_it_as_the_other_one_is_not_tried_again(platform: Platform) -> None:
    kept, gone = await _two(platform)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await _recipients_by(platform, **{f"of_{kept}": "failed", f"of_{gone}": "sent"})
    await _merged(platform, kept, gone)
    assert await _states(platform) == [(kept, "skipped", "merged"), (gone, "sent", None)]


async def test_who_got_it_two_merges_ago_does_not_get_it_again(platform: Platform) -> None:
    kept, gone = await _two(platform)
    await scenes.people(platform, 1)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await _recipients_by(platform, **{f"of_{gone}": "sent"})
    await _merged(platform, kept, gone)
    await _merged(platform, gone + 1, kept)
    assert await _states(platform) == [
        (kept, "skipped", "merged"), (gone, "sent", None), (gone + 1, "skipped", "merged"),
    ]  # fmt: skip


async def _merged_on_the_way(
    platform: Platform, connector: FakeConnector, kept: int, gone: int, answers: dict[str, SendError]
) -> tuple[int, int]:
    """Both are with WhatsApp when they turn out to be one; `answers` are to the first attempts, by number. The campaign
    and the merge."""
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform), body="Hello")
    await scenes.launched(platform, campaign.id)

    def answer(message: Outgoing) -> Accepted | SendError:
        return answers.pop(message.to.value, None) or Accepted(f"wamid.{message.client_id}")

    connector.answering, connector.held = answer, {ONE: asyncio.Event(), TWO: asyncio.Event()}
    sending = asyncio.create_task(scenes.dispatched(platform, connector, campaign.id))
    while {state for _, state, _ in await _states(platform)} != {"sending"}:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    merge_id = await _merged(platform, kept, gone)
    for held in connector.held.values():
        held.set()
    await sending
    await scenes.dispatched(platform, connector, campaign.id)  # who came back to the queue
    return campaign.id, merge_id


async def test_who_was_on_the_way_as_both_is_not_written_to_again_as_one(
    platform: Platform, connector: FakeConnector
) -> None:
    kept, gone = await _two(platform)
    await _merged_on_the_way(platform, connector, kept, gone, {ONE: Expired("too_late")})
    assert [one.to.value for one in connector.effects] == [TWO]
    assert await _states(platform) == [(kept, "skipped", "merged"), (gone, "sent", None)]


async def test_who_was_on_the_way_as_both_and_reached_as_neither_is_written_to_once(
    platform: Platform, connector: FakeConnector
) -> None:
    kept, gone = await _two(platform)
    both = {number: Expired("too_late") for number in (ONE, TWO)}
    await _merged_on_the_way(platform, connector, kept, gone, both)
    assert len(connector.effects) == 1
    assert sorted(state for _, state, _ in await _states(platform)) == ["sent", "skipped"]


async def test_parted_again_nobody_gets_at_their_number_what_came_there_for_the_other(
    platform: Platform, connector: FakeConnector
) -> None:
    gone, kept = await _two(platform)
    answers = {ONE: PermanentRecipient("not_on_whatsapp"), TWO: Expired("too_late")}
    campaign_id, merge_id = await _merged_on_the_way(platform, connector, kept, gone, answers)
    assert [one.to.value for one in connector.effects] == [ONE]
    await _parted(platform, merge_id)
    async with platform.database.transaction() as tx:
        await retrying.retry_failed(tx, campaign_id, at=await platform.clock.now(tx))
    await scenes.dispatched(platform, connector, campaign_id)
    assert [one.to.value for one in connector.effects] == [ONE]
    assert await _states(platform) == [(gone, "skipped", "merged"), (kept, "sent", None)]
