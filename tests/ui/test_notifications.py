"""The page of notifications, and that its words are those of the server."""

import scenes
from api.alerts import _REFUSALS
from core import notices, reasons
from stage import Stage, said
from ui import alerts
from ui import notices as our_notices
from ui import reasons as our_reasons


def test_told_read_put_away_and_taken_back(on_stage: Stage) -> None:
    page = on_stage.page("notifications", role="viewer", language="ar")
    assert "لم يحدث شيء بعد" in said(page)
    admin = on_stage.signed_in()
    platform = on_stage.server.platform
    admin.sending.stop("a mistake in the text")
    first = next(iter(admin.notifications.list()))
    page = on_stage.page("notifications", language="ar")
    assert "أُوقف الإرسال كله" in said(page)
    assert "a mistake in the text" in said(page)
    admin.sending.start()
    on_stage.do(scenes.a_sender(platform))

    page = on_stage.page("notifications")
    page.text_input[0].set_value("<b>Stock</b> is low")
    page.button[0].click().run()
    page = on_stage.page("notifications")
    assert "&lt;b&gt;Stock&lt;/b&gt; is low" in said(page)
    page.button(key=f"read-{first.id}").click().run()
    assert admin.notifications.get(first.id).read_at is not None
    page.button(key=f"away-{first.id}").click().run()
    assert "a mistake in the text" not in said(page)

    newest = next(iter(admin.notifications.list()))
    page.button(key=f"withdraw-{newest.id}").click().run()
    assert "also for those who have not read it" in said(page)
    page.button(key=f"back-{newest.id}-yes").click().run()
    assert newest.id not in [one.id for one in admin.notifications.list()]
    page.button(key="read-all").click().run()
    assert admin.notifications.count().unread == 0


def test_who_may_not_take_back_is_not_asked(on_stage: Stage) -> None:
    on_stage.signed_in().notifications.create("info", "For all")
    page = on_stage.page("notifications", role="viewer")
    assert "For all" in said(page)
    assert not [one for one in page.button if one.label in ("Take back from everybody", "Tell everybody")]


def test_the_words_are_those_of_the_server() -> None:
    assert our_notices.WORDS == notices.WORDS
    assert our_reasons.REASONS == reasons.REASONS
    assert set(_REFUSALS) <= set(alerts.ALERTS)
