"""One address: what it is told of, how it does, a test with the truth, a new secret, and what failed again."""

from collections.abc import Callable
from html import escape

import streamlit as st

from ui import formats, look, page, session
from ui.markdown import plain
from ui.pages import webhook_form, webhook_log
from ui.words import _, n_
from waqtor import Conflict, Invalid
from waqtor.webhook_endpoints import Webhook, WebhookStatistics, WebhookTest

_OVERLAP_S = 86_400


def state(of: Webhook) -> str:
    """As HTML."""
    if not of.is_enabled:
        return look.chip("disabled", _("switched off"))
    if of.failing_since is not None:
        return look.chip("failed", _("fails since {when}", when=formats.moment(of.failing_since)))
    return look.chip("active")


def one(of: Webhook) -> None:
    made: tuple[int, str] | None = st.session_state.get("webhook-secret")
    if made is not None and made[0] == of.id:
        secret_once(*made)
        return
    look.way_back("webhooks", _("All webhooks"))
    look.heading(of.description or of.url)
    st.html(state(of) + f'<span class="wq-rows">{look.number_of(of.url)}</span>')
    if not of.is_enabled:
        st.warning(_("It is told nothing. What happens meanwhile is not kept for it."), icon=":material/pause_circle:")
    told = [_("everything") if name == "*" else name for name in of.events]
    st.html(escape(_("Told of:")) + " " + "".join(look.chip("event", name) for name in told))
    if session.may("webhooks.manage"):
        _buttons(of)
        _change(of)
        _again(of)
    figures(session.client().webhooks.statistics(of.id))
    webhook_log.log(of)


def secret_once(webhook_id: int, secret: str) -> None:
    look.heading(_("Its secret"), _("The receiver verifies by it that a message comes from WaQtor."))
    st.warning(_("Copy it now. It is shown this once and never again."), icon=":material/key:")
    st.code(secret, language=None)
    if st.button(_("I have copied it"), type="primary", key="webhook-copied"):
        del st.session_state["webhook-secret"]
        page.go("webhooks", {"id": webhook_id})


# ---- what one can do ----------------------------------------------------------------------------------------


def _buttons(of: Webhook) -> None:
    client = session.client()
    with st.container(horizontal=True):
        tests = st.button(_("Test it now"), type="primary", icon=":material/send:", key="webhook-test")
        if st.button(_("New secret"), icon=":material/key:", key="webhook-rotate"):
            look.ask("webhook-rotate-sure", of=of.id)
        if of.is_enabled and st.button(_("Switch off"), icon=":material/pause:", key="webhook-off"):
            _try(lambda: client.webhooks.disable(of.id))
        if not of.is_enabled and st.button(_("Switch on"), icon=":material/play_arrow:", key="webhook-on"):
            _try(lambda: client.webhooks.enable(of.id))
        if st.button(_("Delete"), icon=":material/delete:", key="webhook-delete"):
            look.ask("webhook-delete-sure", of=of.id)
    if tests:
        with st.spinner(_("Posting, and waiting for its answer …")):
            _tested(client.webhooks.test(of.id))
    question = _("Make a new secret? The one of now signs too for 24 hours, so that the receiver can change over.")
    if look.confirmed("webhook-rotate-sure", question, button=_("Yes, a new one"), of=of.id):
        st.session_state["webhook-secret"] = of.id, client.webhooks.rotate(of.id, overlap_s=_OVERLAP_S).secret
        st.rerun()
    is_asked = look.is_asked("webhook-delete-sure", of=of.id)
    waiting = client.webhooks.statistics(of.id).waiting if is_asked else 0
    question = n_(
        "Delete this address, its log, and {count} message that waits for it?",
        "Delete this address, its log, and {count} messages that wait for it?",
        waiting,
    )
    if look.confirmed("webhook-delete-sure", question, button=_("Yes, delete"), of=of.id, is_grave=True):
        client.webhooks.remove(of.id)
        page.go("webhooks")


def _change(of: Webhook) -> None:
    with st.expander(_("Change"), icon=":material/edit:"):
        st.caption(_("What waits already goes to the new address."))
        wanted = webhook_form.asked(f"webhook-{of.id}", _("Save"), of)
        if wanted is not None:
            _try(lambda: session.client().webhooks.change(of.id, wanted))


def _tested(told: WebhookTest) -> None:
    if told.ok:
        took = formats.number(told.took_ms or 0)
        st.success(_("It answered {status} after {ms} ms.", status=told.status or "", ms=took), icon=":material/check:")
    elif told.status is not None:
        st.error(_("It answered {status}; 2xx would say that it took it.", status=told.status), icon=":material/error:")
    else:
        st.error(_("No answer: {why}.", why=plain(webhook_log.why_not(told.error))), icon=":material/error:")
        if told.detail:
            st.text(told.detail)
    if told.response_body:
        st.code(told.response_body[:2000], language=None)


def _again(of: Webhook) -> None:
    """What failed for good is made again, once one has seen how many that are."""
    client = session.client()
    if (told := st.session_state.pop("webhook-told", None)) is not None:
        st.success(told, icon=":material/replay:")
    if st.button(_("Make failed ones again"), icon=":material/replay:", key="webhook-again"):
        count = client.webhooks.count_replay(of.id).count
        if not count:
            st.info(_("None of them failed."))
            return
        page.kept()["webhook-count"] = count
        look.ask("webhook-again-sure", of=of.id)
    count = int(page.kept().get("webhook-count", 0))
    question = n_("{count} message is posted to it again.", "{count} messages are posted to it again.", count)
    if look.confirmed("webhook-again-sure", question, button=_("Yes, post them"), of=of.id):
        asked = client.webhooks.replay_all(of.id)
        st.session_state["webhook-told"] = n_(
            "{count} is made again, at a pace.", "{count} are made again, at a pace.", asked.total
        )
        st.rerun()


def figures(told: WebhookStatistics) -> None:
    """Of the last 24 hours."""
    columns = st.columns(4)
    columns[0].metric(_("Delivered in 24 hours"), formats.number(told.deliveries.get("delivered", 0)))
    columns[1].metric(_("Failed for good"), formats.number(told.deliveries.get("failed", 0)))
    columns[2].metric(_("Waiting now"), formats.number(told.waiting))
    typical = "–" if told.p50_ms is None else _("{ms} ms", ms=formats.number(told.p50_ms))
    columns[3].metric(_("Typical answer"), typical)
    if told.oldest_waiting_at is not None:
        st.caption(_("The oldest has waited since {when}.", when=formats.moment(told.oldest_waiting_at)))


def _try(work: Callable[[], object]) -> None:
    try:
        work()
    except (Invalid, Conflict) as error:
        look.problem(error)
        return
    st.rerun()
