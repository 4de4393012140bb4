"""Pages that open only with a one-time code: which, and for how long; codes for them."""

import streamlit as st

from ui import formats, locked, look, session
from ui.words import _, n_
from waqtor import ProtectedPage


def show() -> None:
    st.write(_("A protected page opens only with a code of six digits, on each device anew. API keys are not asked."))
    found = session.client().protected_pages.list()
    for one in found:
        _page(one)
    if not found:
        look.empty(_("No page is protected"), _("Choose one below. A good first one is the list of people."))
    _protect([name for name in locked.AREAS if name not in {one.name for one in found}])


def _page(one: ProtectedPage) -> None:
    pages, name = session.client().protected_pages, locked.named(one.name)
    with st.container(border=True, key=f"page-{one.name}"):
        opened = n_("open for {count} minute after a code", "open for {count} minutes after a code", one.open_minutes)
        st.markdown(f"**{name}** · {opened}")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            if st.button(_("Make a code for me"), key=f"mine-{one.name}", icon=":material/pin:"):
                give_code(one.name, session.me().id)
            if st.button(_("Make a code for anybody"), key=f"code-{one.name}", icon=":material/pin:"):
                give_code(one.name, None)
            if st.button(_("Open it to all again"), key=f"free-{one.name}", icon=":material/lock_open:"):
                look.ask(f"release-{one.name}")
        question = _("Whoever has the permission sees “{name}” without a code again.", name=name)
        if look.confirmed(f"release-{one.name}", question, button=_("Open it to all again")):
            pages.release(one.name)
            st.rerun()


def give_code(name: str, user_id: int | None) -> None:
    """For one person, or for anybody."""
    made = session.client().protected_pages.issue_code(name, user_id=user_id)
    said = _("Good once, until {until}. It is not shown again.", until=formats.clock(made.expires_at))
    st.success(said, icon=":material/pin:")
    st.code(made.code, language=None)


def _protect(names: list[str]) -> None:
    with st.form("protect", border=False):
        name = st.selectbox(_("Page"), names, format_func=locked.named)
        minutes = st.number_input(_("Open for how many minutes"), min_value=1, max_value=720, value=30)
        if st.form_submit_button(_("Protect it"), icon=":material/lock:"):
            session.client().protected_pages.protect(name, open_minutes=int(minutes))
            st.rerun()
