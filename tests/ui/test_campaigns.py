"""Campaigns as a marketer makes and watches them, on the real pages."""

import pytest
from streamlit.testing.v1 import AppTest

import scenes
from core import settling
from core.ports import Ambiguous, SendError
from core.runs import Run
from stage import Stage, said
from waqtor.campaigns import Campaign


@pytest.fixture(scope="module", autouse=True)
def shop(on_stage: Stage) -> None:
    """Before a sender and people are there the pages say what to do first."""
    assert "No campaigns yet" in said(on_stage.page("campaigns"))
    platform = on_stage.server.platform
    on_stage.do(scenes.people(platform, 12, tags=["vip"]))
    on_stage.do(scenes.people(platform, 3, start=12))
    on_stage.do(scenes.a_sender(platform, name="Flower shop"))
    client = on_stage.signed_in()
    client.templates.create("Spring", "Hello {name}, spring!", cloud_name="spring_offer")
    client.templates.create("Short", "Hi {name}", cloud_name="short_offer")
    client.contacts.opt_out(15, reason="asked by phone")


def _wizard(on_stage: Stage, name: str, *, tag: str = "") -> AppTest:
    """At the step of the message."""
    page = on_stage.page("campaign-new")
    page.button(key="wqd-on").click().run()
    assert [one.value for one in page.warning] == ["Give the campaign a name first."]
    page.text_input(key="wqd-name").set_value(name).run()
    if tag:
        page.segmented_control(key="wqd-kind").set_value("tag").run()
        page.selectbox(key="wqd-tag").set_value(tag).run()
    return page.button(key="wqd-on").click().run()


def _named(on_stage: Stage, name: str) -> Campaign:
    (found,) = on_stage.signed_in().campaigns.list(name=name)
    return on_stage.signed_in().campaigns.get(found.id)


def _sent(on_stage: Stage, campaign: Campaign) -> None:
    async def send() -> None:
        run = await Run.opened(on_stage.server.platform, campaign.id)
        assert run is not None
        await run.plan()
        await run.send_batch()
        await run.close()

    on_stage.do(send())


def test_from_nothing_to_a_sent_campaign(on_stage: Stage) -> None:
    page = on_stage.page("campaign-new")
    page.segmented_control(key="wqd-kind").set_value("filter").run()
    page.text_input(key="wqd-filter").set_value('tag = "nobody"').run()
    assert "Nobody is in it now" in said(page)
    page.segmented_control(key="wqd-kind").set_value("tag").run()
    page.selectbox(key="wqd-tag").set_value("vip").run()
    assert "12 people are in it now" in said(page)
    page.segmented_control(key="wqd-kind").set_value("all").run()
    page.text_input(key="wqd-name").set_value("Spring sale").run()
    page.button(key="wqd-on").click().run()
    page.selectbox(key="wqd-template_id").set_value(1).run()
    page.selectbox(key="wqd-purpose").set_value("service").run()
    assert "As Person 13 would read it" in said(page)
    assert "Hello Person 13, spring!" in said(page)
    page.button(key="wqd-on").click().run()
    assert "Sends 1,000 messages a second at most." in said(page)
    page.button(key="wqd-back").click().run()
    assert page.selectbox(key="wqd-purpose").value == "service"
    page.button(key="wqd-on").click().run()
    page.button(key="wqd-on").click().run()
    assert [one.value for one in page.metric][:2] == ["14", "1"]
    assert "The person has asked not to be written to." in said(page)
    assert _named(on_stage, "Spring sale").state == "draft"
    page.button(key="wqd-ask").click().run()
    assert "14 people will get this now." in said(page)
    assert not on_stage.connector.effects
    page.button(key="wqd-send-yes").click().run()
    campaign = _named(on_stage, "Spring sale")
    assert campaign.state == "running"
    _sent(on_stage, campaign)
    page = on_stage.page("campaign", id=campaign.id)
    assert "15 of 15 have an outcome" in "".join(str(one.proto.text) for one in page.get("progress"))
    assert page.metric[0].value == "14"


def test_a_few_first_two_messages_and_each_week_are_kept_with_the_draft(on_stage: Stage) -> None:
    page = _wizard(on_stage, "Weekly", tag="vip")
    page.selectbox(key="wqd-template_id").set_value(1).run()
    page.selectbox(key="wqd-purpose").set_value("service").run()
    page.multiselect(key="wqd-others").set_value([2]).run()
    page.button(key="wqd-on").click().run()
    page.segmented_control(key="wqd-when").set_value("again").run()
    page.selectbox(key="wqd-weekday").set_value("TUE").run()
    page.selectbox(key="wqd-timezone").set_value("Asia/Riyadh").run()
    page.toggle(key="wqd-is_quiet").set_value(True).run()
    page.toggle(key="wqd-is_canary").set_value(True).run()
    page.number_input(key="wqd-canary_percent").set_value(25.0).run()
    page.button(key="wqd-on").click().run()
    made = _named(on_stage, "Weekly")
    assert made.audience["tag"] == "vip"
    assert [one.template_id for one in made.variants] == [None, 2]
    assert made.canary is not None
    assert made.canary.percent == 25
    assert made.quiet_hours == {"from": "21:00", "to": "09:00"}
    address = dict(page.query_params)
    again = on_stage.page("campaign-new", **address)  # as after F5
    assert again.text_input(key="wqd-name").value == "Weekly"
    for _step in range(2):
        again.button(key="wqd-on").click().run()
    assert again.segmented_control(key="wqd-when").value == "again"
    assert again.selectbox(key="wqd-weekday").value == "TUE"
    assert page.subheader[-1].value == "When it is sent"
    page.button(key="wqd-ask").click().run()
    assert "12 people would get this when it is due." in said(page)
    page.button(key="wqd-send-yes").click().run()
    assert on_stage.signed_in().schedules.get(made.id).cron == "0 9 * * TUE"
    page = on_stage.page("campaign", id=made.id)
    assert "It begins by itself" in said(page)
    page.button(key="wqc-unschedule").click().run()
    assert _named(on_stage, "Weekly").state == "draft"


def test_pause_and_resume_and_the_failed_once_more(on_stage: Stage) -> None:
    campaign = on_stage.signed_in().campaigns.create("Autumn", sender_id=1, template_id=2, tag="vip", purpose="service")
    on_stage.signed_in().campaigns.launch(campaign.id)
    page = on_stage.page("campaign", id=campaign.id)
    assert "It begins" in said(page)
    page.button(key="wqc-pause").click().run()
    assert _named(on_stage, "Autumn").state == "paused"
    page.button(key="wqc-resume").click().run()
    page.button(key="wqc-resume-ask-yes").click().run()
    assert _named(on_stage, "Autumn").state == "running"

    def refuse(_message: object) -> SendError:
        return SendError("not_on_whatsapp")

    on_stage.connector.answering = refuse
    _sent(on_stage, campaign)
    page = on_stage.page("campaign", id=campaign.id)
    assert "The number is not on WhatsApp." in said(page)
    page.segmented_control(key=f"wq-campaign-view-{campaign.id}").set_value("people").run()
    page.selectbox(key="wqp-state").set_value("failed").run()
    assert said(page).count("Person ") >= 12
    page.button(key="wqc-retry").click().run()
    assert "12 messages failed without effect" in said(page)
    page.button(key="wqc-retry-ask-yes").click().run()
    progress = _named(on_stage, "Autumn").progress
    assert progress is not None
    assert progress.queued == 12
    page = on_stage.page("campaign", id=campaign.id)
    page.button(key="wqc-cancel").click().run()
    assert "12 people will not get it" in said(page)
    page.button(key="wqc-cancel-ask-yes").click().run()
    assert _named(on_stage, "Autumn").state == "cancelled"


def test_who_may_only_look_finds_nothing_to_press(on_stage: Stage) -> None:
    campaign = on_stage.signed_in().campaigns.create("Look", sender_id=1, template_id=1)
    listed = on_stage.page("campaigns", role="viewer")
    assert "wq-new-campaign" not in [one.key for one in listed.button]
    on_stage.signed_in().campaigns.launch(campaign.id)
    page = on_stage.page("campaign", role="viewer", id=campaign.id)
    assert not [one.key for one in page.button if str(one.key).startswith("wqc-")]


def test_in_arabic_counts_have_their_own_forms(on_stage: Stage) -> None:
    page = on_stage.page("campaign-new", language="ar")
    assert page.title[0].value == "حملة جديدة"
    assert "فيها الآن 15 شخصاً." in said(page).replace("١٥", "15")


# ---- the last question, and those of other campaigns --------------------------------------------------------


def _at_the_end(on_stage: Stage, name: str, *, tag: str) -> AppTest:
    page = _wizard(on_stage, name, tag=tag)
    page.selectbox(key="wqd-template_id").set_value(1).run()
    page.selectbox(key="wqd-purpose").set_value("service").run()
    page.button(key="wqd-on").click().run()
    return page.button(key="wqd-on").click().run()


def test_the_last_question_has_the_number_of_its_moment_and_is_put_again_when_it_grew(on_stage: Stage) -> None:
    platform = on_stage.server.platform
    on_stage.do(scenes.people(platform, 2, start=100, tags=["growing"]))
    page = _at_the_end(on_stage, "Growing", tag="growing")
    assert page.metric[0].value == "2"
    on_stage.do(scenes.people(platform, 3, start=110, tags=["growing"]))
    page.button(key="wqd-ask").click().run()
    assert "5 people will get this now." in said(page)
    on_stage.do(scenes.people(platform, 4, start=120, tags=["growing"]))
    page.button(key="wqd-send-yes").click().run()
    assert _named(on_stage, "Growing").state == "draft"
    assert "There are more people now: 9, not 5." in said(page)
    assert "9 people will get this now." in said(page)
    page.button(key="wqd-send-yes").click().run()
    assert _named(on_stage, "Growing").state == "running"


def test_who_comes_back_to_the_last_step_sees_the_numbers_of_now(on_stage: Stage) -> None:
    platform = on_stage.server.platform
    on_stage.do(scenes.people(platform, 2, start=200, tags=["returning"]))
    page = _at_the_end(on_stage, "Returning", tag="returning")
    on_stage.do(scenes.people(platform, 1, start=210, tags=["returning"]))
    page.run()
    assert page.metric[0].value == "2"
    page.session_state["_place"] = ("campaigns", {})  # as the page that one was on meanwhile leaves it
    assert page.run().metric[0].value == "3"


def test_a_question_left_open_is_not_put_about_another_campaign(on_stage: Stage) -> None:
    client = on_stage.signed_in()
    one, other = (client.campaigns.create(name, sender_id=1, template_id=2, tag="vip") for name in ("One", "Other"))
    for campaign in (one, other):
        client.campaigns.launch(campaign.id)
    page = on_stage.page("campaign", id=one.id)
    page.button(key="wqc-cancel").click().run()
    assert "will not get it" in said(page)
    page.query_params["id"] = str(other.id)
    assert "will not get it" not in said(page.run())
    page.query_params["id"] = str(one.id)
    assert "will not get it" not in said(page.run())
    assert client.campaigns.get(other.id).state == "running"


def test_what_a_program_said_of_a_draft_stays_as_it_is(on_stage: Stage) -> None:
    client = on_stage.signed_in()
    made = client.campaigns.create(
        "By a program",
        sender_id=1,
        template_id=2,
        tag="vip",
        purpose="service",
        variants=[
            {"name": "short", "weight": 3},
            {"name": "long", "defaults": {"name": "friend"}},
        ],
        canary={"count": 5, "hold_minutes": 30, "max_failed_percent": None, "max_opted_out_percent": 1},
    )
    page = on_stage.page("campaign-new", id=made.id)
    for _step in range(3):
        page.button(key="wqd-on").click().run()
    assert page.metric[0].value == "12"
    walked = client.campaigns.get(made.id)
    assert (walked.canary, walked.variants, walked.timezone) == (made.canary, made.variants, made.timezone)
    page.button(key="wqd-step-2").click().run()
    page.number_input(key="wqd-canary_minutes").set_value(45).run()
    page.button(key="wqd-on").click().run()
    changed = client.campaigns.get(made.id)
    assert changed.variants == made.variants
    assert made.canary is not None
    assert changed.canary == made.canary.model_copy(update={"hold_minutes": 45})


def test_a_refusal_to_send_to_the_unknown_again_is_seen_and_success_closes_the_question(on_stage: Stage) -> None:
    admin = on_stage.signed_in()
    campaign = admin.campaigns.create("Doubtful", sender_id=1, template_id=2, tag="vip", purpose="service")
    admin.campaigns.launch(campaign.id)
    on_stage.connector.answering = lambda _message: Ambiguous("in_doubt")
    _sent(on_stage, campaign)
    on_stage.connector.answering = None
    on_stage.clock.advance(minutes=15)
    on_stage.do(settling.reconcile(on_stage.server.platform))
    page = on_stage.page("campaign", role="user", id=campaign.id)
    user = next(one for one in admin.users.list() if one.role == "user")
    page.button(key="wqc-unknown").click().run()
    page.number_input(key=f"wqc-unknown-count-{campaign.id}").set_value(12).run()
    admin.users.change(user.id, role="viewer")  # in the moment before yes is pressed
    page.button(key="wqc-unknown-yes").click().run()
    assert "campaigns.send" in page.error[-1].value
    assert "Nobody knows whether 12 people got it." in said(page)
    admin.users.change(user.id, role="user")
    page.button(key="wqc-unknown-yes").click().run()
    assert not page.error
    progress = admin.campaigns.get(campaign.id).progress
    assert progress is not None
    assert (progress.queued, progress.unknown) == (12, {})
    assert "wqc-unknown-ask" not in page.session_state["_kept_here"]
    admin.campaigns.cancel(campaign.id)


def test_costs_are_written_as_the_reader_writes_them(on_stage: Stage) -> None:
    file = on_stage.server.platform.settings.data_dir / "rates.csv"
    file.write_text("valid_from,country,category,price,currency\n2026-01-01,SA,marketing,150,USD\n")
    client = on_stage.signed_in()
    draft = client.campaigns.create("Priced", sender_id=1, template_id=2, tag="vip", purpose="service")
    page = on_stage.page("campaign-new", language="ar", id=draft.id)
    page.session_state["wq-draft"].step = 3
    shown = said(page.run())
    assert "المملكة العربية السعودية" in shown
    assert ("١٬٨٠٠٫٠٠" in shown, "1,800.00" in shown) in ((True, False), (False, True))
    assert "1,800.00 USD" not in shown


@pytest.mark.parametrize(
    "address", [{"when": "x"}, {"when": "once", "at": "9", "day": "soon", "month_day": "31", "every": "hour"}]
)
def test_an_address_that_nobody_wrote_so_is_no_schedule(on_stage: Stage, address: dict[str, str]) -> None:
    draft = on_stage.signed_in().campaigns.create("Odd", sender_id=1, template_id=2, tag="vip")
    page = on_stage.page("campaign-new", id=draft.id, **address)
    page.session_state["wq-draft"].step = 2
    page.run()
    assert not page.exception
    assert page.segmented_control(key="wqd-when").value == ("once" if address["when"] == "once" else "now")
