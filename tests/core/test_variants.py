"""Who gets which variant and who nothing is drawn by lot, stays so, and is what the preflight says."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, select, update

import scenes
from core import (
    campaigns,
    comparisons,
    consents,
    drafts,
    messages,
    outgoing,
    planning,
    preflight,
    retrying,
    template_status,
    templates,
    variants,
    why,
)
from core.bootstrap import Platform
from core.errors import Conflict, Invalid, NotFound
from core.lots import Lots
from core.models import Campaign, Recipient
from core.ports import Accepted, Outgoing, PermanentRecipient, Receipt, SendError, TemplateChanged
from fakes import FakeConnector

A_AND_B = [{"name": "A"}, {"name": "B", "weight": 3}]


async def _template(platform: Platform, body: str, name: str = "other", **more: Any) -> int:
    async with platform.database.transaction() as tx:
        return (await templates.create(tx, name=name, body=body, at=await platform.clock.now(tx), **more)).id


async def _rows(platform: Platform, campaign: Campaign) -> dict[int, tuple[str, str | None, int | None]]:
    async with platform.database.reading() as tx:
        found = await tx.execute(select(Recipient).where(Recipient.campaign_id == campaign.id))
        return {one.contact_id: (one.state, one.reason, one.variant) for one in found.scalars()}


async def _chosen(platform: Platform, campaign: Campaign, name: str | None) -> None:
    async with platform.database.transaction() as tx:
        locked = await campaigns.get(tx, campaign.id, lock=True)
        await variants.choose(tx, locked, name, at=await platform.clock.now(tx))


def test_lots_are_as_large_as_they_should_be_and_know_nothing_of_each_other() -> None:
    lots = Lots(7, holdout_percent=10, weights=((1, 1), (2, 3)))
    people = range(1, 20_001)
    held = {one for one in people if lots.held_out(one)}
    assert len(held) == pytest.approx(2_000, abs=150)
    assert sum(lots.variant(one) == 2 for one in people) == pytest.approx(15_000, abs=250)
    assert sum(lots.variant(one) == 2 for one in held) == pytest.approx(1_500, abs=90)
    assert held != {one for one in people if Lots(8, holdout_percent=10).held_out(one)}
    assert Lots(7).variant(1) is None
    assert not Lots(7).held_out(1)


async def test_planned_again_in_other_chunks_everybody_gets_the_same(
    platform: Platform, connector: FakeConnector
) -> None:
    await scenes.people(platform, 300)
    async with platform.database.transaction() as tx:
        await consents.opt_out(tx, 1, reason="stop_word", source="whatsapp", at=await platform.clock.now(tx))
    other = await _template(platform, "Hi {name}", cloud_name="other")
    tried = [{"name": "A"}, {"name": "B", "template_id": other, "weight": 2}]
    sender = await scenes.a_sender(platform)
    campaign = await scenes.a_campaign(platform, sender, variants=tried, holdout_percent=20.0)
    said = await preflight.check(platform, campaign.id)
    await scenes.launched(platform, campaign.id)
    first = await _rows(platform, campaign)
    async with platform.database.transaction() as tx:  # as if nothing of the planning had committed
        await tx.execute(delete(Recipient))
        await tx.execute(update(Campaign).values(planned_to=0))
    while True:
        async with platform.database.transaction() as tx:
            if not await planning.plan_chunk(tx, campaign.id, at=await platform.clock.now(tx), size=37):
                break
    assert await _rows(platform, campaign) == first
    assert first[1][:2] == ("skipped", "opted_out"), "who stopped is no measure of anything"
    held = [one for one in first.values() if one[1] == "holdout"]
    assert {(state, variant) for state, _, variant in held} == {("skipped", None)}
    await scenes.dispatched(platform, connector, campaign.id)
    wordings = Counter(str(getattr(one.content, "name", "")) for one in connector.effects)
    assert wordings == {"spring_offer": said.variants["A"], "other": said.variants["B"]}
    assert said.examples[0].startswith("Hello")
    assert said.examples[1].startswith("Hi")
    progress = await scenes.progress(platform, campaign.id)
    assert (progress.sent, progress.held_out, progress.skipped) == (said.recipients, len(held), {"opted_out": 1})
    assert said.excluded == {"opted_out": 1, "holdout": len(held)}
    assert 30 <= len(held) <= 90
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        someone = next(one for one, row in first.items() if row[1] == "holdout")
        (answer,) = await why.ask(tx, campaign.id, someone, now=now)
        assert (answer.reason, answer.evidence[0].facts) == ("holdout", {"holdout_percent": 20.0})
        someone = next(one for one, row in first.items() if row[2] == 2 and row[0] == "queued")
        (answer,) = await why.ask(tx, campaign.id, someone, now=now)
        assert answer.evidence[0].facts == {"name": "B"}


async def test_a_retry_keeps_the_variant_and_a_choice_is_for_who_had_none(
    platform: Platform, connector: FakeConnector
) -> None:
    def answering(message: Outgoing) -> Accepted | SendError:
        if len(connector.calls) <= 6:
            return PermanentRecipient("not_on_whatsapp")
        return Accepted(f"wamid.{message.client_id}")

    connector.answering = answering
    await scenes.people(platform, 60)
    slow = await scenes.a_sender(platform, rate=20)
    campaign = await scenes.a_campaign(platform, slow, variants=A_AND_B, holdout_percent=30.0)
    await scenes.launched(platform, campaign.id)
    while len(connector.calls) <= 6:
        await scenes.dispatched(platform, connector, campaign.id, seconds=0.2)
    before = await _rows(platform, campaign)
    failed = {one for one, row in before.items() if row[0] == "failed"}
    sent = {one for one, row in before.items() if row[0] == "sent"}
    assert len(failed) == 6
    await _chosen(platform, campaign, "a")
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        (await tx.merge(slow)).rate = 1000
        assert await retrying.retry_failed(tx, campaign.id, at=now) == 6
        found = await comparisons.compare(tx, await campaigns.get(tx, campaign.id))
    assert found.results[0].is_winner
    waiting = sum(row[0] == "queued" for row in before.values())
    of_a = sum(before[one][2] == 1 for one in failed)
    assert found.results[0].progress.queued == waiting + of_a, "who waits is counted where they will get it"
    await scenes.dispatched(platform, connector, campaign.id)
    after = await _rows(platform, campaign)
    assert {one for one, row in after.items() if row[0] == "sent"} >= failed | sent
    assert all(after[one][2] == before[one][2] for one in failed | sent)
    assert {row[2] for one, row in after.items() if before[one][0] == "queued"} == {1}
    assert {row[0] for one, row in after.items() if before[one][1] == "holdout"} == {"skipped"}
    with pytest.raises(NotFound, match="no variant 'C'") as refused:
        await _chosen(platform, campaign, "C")
    assert (refused.value.field, refused.value.hint) == ("variant", "It has: A, B.")


async def test_what_came_of_each_stands_side_by_side(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 120)
    campaign = await scenes.a_campaign(
        platform, await scenes.a_sender(platform), variants=[{"name": "A"}, {"name": "B"}]
    )
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    rows = await _rows(platform, campaign)
    gets = {one: row[2] for one, row in rows.items()}
    seen = [one for one in connector.effects if gets[int(one.to.value[-8:]) + 1] == 2]
    stopped = [one for one, variant in gets.items() if variant == 1][:3]
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        read = [Receipt(f"wamid.{one.client_id}", one.client_id, "read", datetime.now(UTC)) for one in seen]
        await messages.apply_receipts(tx, read, at=now)
        for contact_id in stopped:
            await consents.opt_out(tx, contact_id, reason="stop_word", source="whatsapp", at=now)
        await consents.opt_out(tx, 120, reason="imported", source="import", at=now)
        found = await comparisons.compare(tx, await campaigns.get(tx, campaign.id))
    a, b = found.results
    assert (a.progress.sent + b.progress.sent, b.progress.read, a.opted_out, b.opted_out) == (120, len(seen), 3, 0)
    told = {one.metric: one for one in found.comparisons}
    assert (told["read"].verdict, told["read"].share, told["read"].against_share) == ("higher", 1.0, 0.0)
    assert told["read"].p_value is not None
    assert told["read"].p_value < 1e-9
    assert (told["opted_out"].verdict, told["opted_out"].p_value) == ("too_few", None)


@pytest.mark.parametrize(
    ("mine", "theirs", "p_value"),
    [
        ((60, 500), (40, 500), 0.0350),  # z = 2.108, as any table of the normal distribution has it
        ((50, 500), (50, 500), 1.0),
        ((4, 500), (5, 500), None),
        ((0, 0), (5, 500), None),
        ((500, 500), (500, 500), None),
    ],
)
def test_chance_is_as_in_the_book(mine: tuple[int, int], theirs: tuple[int, int], p_value: float | None) -> None:
    found = comparisons.two_proportions(*mine, *theirs)
    assert found == (None if p_value is None else pytest.approx(p_value, abs=0.0005))


async def test_one_variants_template_stops_the_campaign_and_cannot_be_taken_from_it(platform: Platform) -> None:
    await scenes.people(platform, 4)
    other = await _template(platform, "Hi {name}", cloud_name="other")
    tried = [{"name": "A"}, {"name": "B", "template_id": other}]
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform), variants=tried)
    await scenes.launched(platform, campaign.id)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        with pytest.raises(Conflict, match="is sending this template now"):
            await templates.change(tx, other, {"body": "Ho"}, at=now)
        with pytest.raises(Conflict, match="uses this template"):
            await templates.remove(tx, other, at=now)
        await template_status.apply(tx, TemplateChanged("waba", "other", "en", status="paused"), at=now)
        paused = await campaigns.get(tx, campaign.id)
        assert (paused.state, paused.state_reason) == ("paused", "template_paused")
        (await templates.get(tx, other)).status, (await templates.get(tx, other)).waba_id = "paused", "waba"
        with pytest.raises(Conflict, match="only an approved one"):
            await campaigns.resume(tx, campaign.id, at=now)


async def test_defaults_of_a_variant_fill_what_a_person_has_not(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 40)
    tried = [{"name": "A", "defaults": {"off": "10 %"}}, {"name": "B"}]
    sender = await scenes.a_sender(platform)
    campaign = await scenes.a_campaign(platform, sender, body="{name}: {off}", variants=tried)
    said = await preflight.check(platform, campaign.id)
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    assert {str(getattr(one.content, "text", "")).partition(": ")[2] for one in connector.effects} == {"10 %"}
    progress = await scenes.progress(platform, campaign.id)
    assert progress.skipped == {"missing_variable:off": said.missing["off"]}
    assert progress.sent == said.recipients == said.variants["A"]
    async with platform.database.transaction() as tx:
        asked = {"phone": None, "contact_id": 1, "as_contact_id": None, "at": await platform.clock.now(tx)}
        message = await outgoing.try_out(tx, platform, campaign.id, **asked)
        assert message.content["text"] == "Person 0: 10 %"
        with pytest.raises(Invalid, match="no value for 'off'"):
            await outgoing.try_out(tx, platform, campaign.id, variant="b", **asked)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"variants": [{"name": "A"}]}, "variants"),
        ({"variants": [{"name": str(one)} for one in range(6)]}, "variants"),
        ({"variants": [{"name": "A"}, {"name": "a "}]}, "variants.1.name"),
        ({"variants": [{"name": " "}, {"name": "B"}]}, "variants.0.name"),
        ({"variants": [{"name": "A"}, {"name": "B", "weight": 0}]}, "variants.1.weight"),
        ({"variants": [{"name": "A"}, {"name": "B", "template_id": 99}]}, "variants.1.template_id"),
        ({"variants": [{"name": "A", "defaults": {"x": "1"}}, {"name": "B"}]}, "variants.0.defaults"),
        ({"holdout_percent": 0.0}, "holdout_percent"),
        ({"holdout_percent": 91.0}, "holdout_percent"),
    ],
)
async def test_what_is_wrong_is_told_with_its_field(platform: Platform, wrong: dict[str, Any], field: str) -> None:
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform), variants=A_AND_B)
    with pytest.raises((Invalid, NotFound)) as refused:
        async with platform.database.transaction() as tx:
            await drafts.change(tx, campaign.id, wrong, at=await platform.clock.now(tx))
    assert refused.value.field == field
    async with platform.database.reading() as tx:
        assert [one.name for one in await variants.of_one(tx, campaign.id)] == ["A", "B"]


async def test_variants_that_stay_have_to_fit_a_new_template(platform: Platform) -> None:
    tried = [{"name": "A", "defaults": {"name": "you"}}, {"name": "B"}]
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform), variants=tried)
    other = await _template(platform, "Hi")
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        with pytest.raises(Invalid, match="no such variable"):
            await drafts.change(tx, campaign.id, {"template_id": other}, at=now)
        await drafts.change(tx, campaign.id, {"template_id": other, "variants": None}, at=now)
        assert await variants.of_one(tx, campaign.id) == ()
        await drafts.change(tx, campaign.id, {"holdout_percent": 5.0}, at=now)
        await campaigns.cancel(tx, campaign.id, at=now)
        with pytest.raises(Conflict, match="nobody is left"):
            await variants.choose(tx, await campaigns.get(tx, campaign.id), None, at=now)
