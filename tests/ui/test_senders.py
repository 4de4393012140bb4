"""Numbers on the real page: stopped, resumed, paced, and what is said of encryption."""

import scenes
from core import senders
from core.bootstrap import Platform
from core.models import Sender
from core.ports import SenderHealth
from stage import Stage, said


async def _first(platform: Platform) -> Sender:
    async with platform.database.reading() as tx:
        return await senders.get(tx, 1)


def test_a_number_from_nothing_to_paused(on_stage: Stage) -> None:
    page = on_stage.page("senders")
    assert "No number yet" in said(page)
    assert "not end-to-end encryption" in said(page)
    page = on_stage.page("senders", new=1)
    for label, value in (
        ("Name", "Shop"),
        ("Phone number ID", "106540352242922"),
        ("WhatsApp Business account ID", "102290129340398"),
        ("Access token", "a-token"),
        ("App secret", "a-secret"),
        ("Verify token", "shop_2*:) www.x"),
    ):
        next(one for one in page.text_input if one.label == label).set_value(value)
    on_stage.connector.says = SenderHealth(ok=True, detail="", quality="GREEN", tier="TIER_2K")
    next(one for one in page.button if one.label == "Add").click().run()
    assert page.title[0].value == "Shop"
    assert "all is well" in said(page)
    assert "/webhooks/cloud/1" in page.code[0].value
    assert "`shop_2*:) www.x`" in said(page), "as it was typed, to be copied to Meta"
    platform = on_stage.server.platform
    assert senders.verify_token(on_stage.do(_first(platform)), platform.key) == "shop_2*:) www.x"
    assert [one.value for one in page.metric][:3] == ["no limit", "2,000", "2,000 a day"]

    page.button(key="sender-pause").click().run()
    assert "Its campaigns wait" in said(page)
    page.button(key="sender-sure-yes").click().run()
    client = on_stage.signed_in()
    assert client.senders.get(1).state == "paused"
    page.button(key="sender-resume").click().run()
    assert "Campaigns under way: 0" in said(page)
    assert client.senders.get(1).state == "paused"
    page.button(key="sender-resume-sure-yes").click().run()
    assert client.senders.get(1).state == "active"

    next(one for one in page.number_input if one.label.startswith("Messages in 24")).set_value(500)
    page.selectbox[0].set_value("gentle")
    next(one for one in page.button if one.label == "Save").click().run()
    kept = client.senders.get(1)
    assert (kept.daily_cap, kept.conversation_cap) == (500, None)
    assert kept.warm_up is not None
    assert "Day 1" in said(page)


def test_everything_is_stopped_and_who_may_not_sees_no_button(on_stage: Stage) -> None:
    platform = on_stage.server.platform
    on_stage.do(scenes.people(platform, 12))
    campaign = on_stage.do(scenes.a_campaign(platform, on_stage.do(scenes.a_sender(platform, name="first")), name="W"))
    on_stage.do(scenes.launched(platform, campaign.id))
    page = on_stage.page("senders")
    page.button(key="stop").click().run()
    page.button(key="stop-all-yes").click().run()
    assert "All sending is switched off" in said(page)
    seen = on_stage.page("senders", role="viewer")
    assert "All sending is switched off" in said(seen)
    assert not [one for one in seen.button if one.key in ("stop", "start", "senders-new")]
    page.button(key="start").click().run()
    assert "12 people wait." in said(page)
    assert not on_stage.signed_in().sending.get().on
    page.button(key="start-all-yes").click().run()
    assert on_stage.signed_in().sending.get().on
    on_stage.do(scenes.a_sender(on_stage.server.platform, name="second"))
    assert not on_stage.page("senders", role="viewer", id=2).number_input
