"""Keys by which programs come in: made with what they may do, shown once, taken back."""

from datetime import UTC, datetime, timedelta

import streamlit as st

from ui import formats, look, session
from ui.markdown import plain
from ui.words import _, later
from waqtor.api_keys import ApiKey, NewApiKey

_A_PAGE = 20
_MADE = "key-made"
_SCOPES = {
    "read": later("read"),
    "write": later("change contacts, templates and campaigns"),
    "send": later("send"),
    "monitor": later("measure"),
    "admin": later("everything"),
}
_DAYS = {0: later("no end"), 30: later("30 days"), 90: later("90 days"), 365: later("a year")}


def show() -> None:
    made: NewApiKey | None = st.session_state.get(_MADE)
    if made is not None:
        _shown_once(made)
        return
    _make()
    found = session.client().api_keys.list.page(look.cursor("keys-at"), limit=_A_PAGE)
    if not found.data:
        look.empty(_("No keys yet"), _("A program needs one: your shop, your CRM, a script of yours."))
    for one in found.data:
        _row(one)
    look.turn("keys-at", found.next_cursor)


def _make() -> None:
    with st.expander(_("New key"), icon=":material/add:"), st.form("key", border=False):
        name = st.text_input(_("What is it for?"), placeholder=_("Online shop"), key="key-name")
        scopes = st.multiselect(
            _("What may it do?"), list(_SCOPES), ["read"], format_func=lambda one: _(_SCOPES[one]), key="key-scopes"
        )
        days = st.selectbox(_("How long?"), list(_DAYS), index=2, format_func=lambda one: _(_DAYS[one]), key="key-days")
        ends = datetime.now(UTC) + timedelta(days=days) if days else None
        if not st.form_submit_button(_("Make the key"), type="primary", key="key-go"):
            return
        made: list[NewApiKey] = []
        if not look.tried(lambda: made.append(session.client().api_keys.create(name.strip(), scopes, expires_at=ends))):
            return
    st.session_state[_MADE] = made[0]
    st.rerun()


def _shown_once(made: NewApiKey) -> None:
    st.success(_("The key “{name}” is made. Copy it now: it is shown this once.", name=plain(made.name)))
    st.code(made.key, language=None)
    if st.button(_("I have copied it"), type="primary", key="key-copied"):
        del st.session_state[_MADE]
        st.rerun()


def _row(one: ApiKey) -> None:
    key = f"key-{one.id}-revoke"
    ended = one.revoked_at is not None or (one.expires_at is not None and one.expires_at < datetime.now(UTC))
    state = look.chip("disabled", _("revoked") if one.revoked_at else _("run out")) if ended else ""
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            scopes = "".join(look.chip("draft", _(_SCOPES.get(scope, scope))) for scope in one.scopes)
            begins = look.code(f"wq_{one.prefix}_…")
            st.html(f'<p class="wq"><b>{look.words_of(one.name)}</b> {begins} {state}{scopes}</p>')
            if not ended and st.button(_("Revoke"), key=f"{key}-ask", type="tertiary"):
                look.ask(key)
        used = formats.ago(one.last_used_at) if one.last_used_at else _("never")
        until = formats.day(one.expires_at) if one.expires_at else _("no end")
        st.caption(_("Last used: {used} · Good until: {until}", used=used, until=until))
        question = _("The program that has the key “{name}” is refused from now on, for good.", name=one.name)
        if look.confirmed(key, question, button=_("Revoke the key"), is_grave=True):
            session.client().api_keys.revoke(one.id)
            st.rerun()
