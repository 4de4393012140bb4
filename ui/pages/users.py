"""People who sign in, and pages behind a one-time code."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from ui import formats, locked, look, session
from ui.markdown import plain
from ui.page import Page
from ui.pages import protected
from ui.words import _, later
from waqtor import Link, User

_ROLES = {
    "admin": later("may do everything, also let others in"),
    "user": later("runs campaigns and answers people"),
    "viewer": later("looks; sees no phone number whole"),
    "auditor": later("looks, also at the audit log; sees no number whole and no chat"),
}
_EACH = 20


def show() -> None:
    look.heading(_("People and access"), _("Who may sign in here, as what, and which pages take a code."))
    people, pages = st.tabs([_("People"), _("Protected pages")])
    with people:
        _invite()
        _people()
    with pages:
        if session.may("pages.manage"):
            protected.show()
        else:
            look.empty(_("Not for you"), _("Only admins protect pages."))


def _invite() -> None:
    with (
        st.expander(_("Invite somebody"), icon=":material/person_add:"),
        st.form("invite", border=False),
    ):
        email = st.text_input(_("E-mail"), placeholder="noura@example.com", key=look.fresh("invite-email"))
        role = st.radio(_("Role"), list(_ROLES), index=1, format_func=_role)
        if st.form_submit_button(_("Make the link"), type="primary") and look.tried(
            lambda: _keep(email, session.client().users.invite(email, role=role))
        ):
            look.clear("invite-email")
            st.rerun()
    _links()


def _keep(email: str, link: Link) -> None:
    st.session_state["link"] = (email, link)


def _links() -> None:
    """Shown this once: it is gone with the next page."""
    kept: tuple[str, Link] | None = st.session_state.pop("link", None)
    if kept is None:
        return
    email, link = kept
    st.success(
        _(
            "Give this link to {email}, and to nobody else. It works once, until {until}. It is not shown again.",
            email=f"`{email}`",
            until=formats.moment(link.expires_at),
        ),
        icon=":material/link:",
    )
    st.code(link.link, language=None, wrap_lines=True)


def _people() -> None:
    found = session.client().users.list.page(look.cursor("users"), limit=_EACH)
    pages = [one.name for one in session.client().protected_pages.list()] if session.may("pages.manage") else []
    for one in found.data:
        _person(one, pages)
    look.turn("users", found.next_cursor)


def _person(one: User, pages: Sequence[str]) -> None:
    is_me = f"user:{one.id}" == f"user:{session.me().id}"
    with st.container(border=True, key=f"user-{one.id}"):
        st.html(
            f'<div class="wq"><b dir="auto">{escape(one.name or one.email)}</b> {look.chip(one.role)}'
            f"{look.chip('disabled') if one.state == 'disabled' else ''}"
            f"{look.chip('finished', _('you')) if is_me else ''}"
            f'<br><span class="code" dir="ltr">{escape(one.email)}</span><br><small>'
            f"{_('last signed in')}: {formats.ago(one.last_sign_in_at)} · {_('second factor')}: "
            f"{_('yes') if one.has_second_factor else _('no')}</small></div>"
        )
        with st.expander(_("Change"), key=f"change-{one.id}"):
            _change(one)
            if pages:
                _code(one, pages)


def _change(one: User) -> None:
    users, name = session.client().users, one.name or one.email
    role = st.radio(
        _("Role"), list(_ROLES), index=list(_ROLES).index(one.role), format_func=_role, key=f"role-{one.id}-{one.role}"
    )
    if role != one.role:
        question = _("{name} becomes: {role}. It counts from the next click.", name=plain(name), role=_role(role))
        st.warning(question, icon=":material/help:")
        if st.button(_("Change the role"), key=f"role-yes-{one.id}", type="primary"):
            users.change(one.id, role=role)
            st.rerun()
    with st.container(horizontal=True):
        if one.state == "disabled":
            if st.button(_("Let in again"), key=f"enable-{one.id}", icon=":material/lock_open:"):
                users.change(one.id, disabled=False)
                st.rerun()
        elif st.button(_("Disable"), key=f"disable-{one.id}", icon=":material/block:"):
            look.ask(f"off-{one.id}")
        if st.button(_("Sign out everywhere"), key=f"out-{one.id}", icon=":material/logout:"):
            ended = users.sign_out(one.id).ended
            st.toast(_("Sign-ins ended: {count}", count=formats.number(ended)), icon=":material/done:")
        if st.button(_("Link for a new password"), key=f"reset-{one.id}", icon=":material/key:"):
            look.ask(f"password-{one.id}")
        if one.has_second_factor and st.button(
            _("Take the second factor away"), key=f"totp-{one.id}", icon=":material/phonelink_erase:"
        ):
            look.ask(f"factor-{one.id}")
    if look.confirmed(
        f"off-{one.id}",
        _("{name} is signed out at once, and cannot sign in until somebody lets them in again.", name=name),
        button=_("Disable"),
        is_grave=True,
    ):
        users.change(one.id, disabled=True)
        st.rerun()
    if look.confirmed(
        f"password-{one.id}",
        _("Whoever has the link sets a new password for {name}; that ends every sign-in of theirs.", name=name),
        button=_("Make the link"),
    ):
        _keep(one.email, users.reset_link(one.id))
        st.rerun()
    if look.confirmed(
        f"factor-{one.id}",
        _("{name} then signs in with the password alone. Make sure that it is them who asks.", name=name),
        button=_("Take the second factor away"),
        is_grave=True,
    ):
        users.drop_second_factor(one.id)
        st.rerun()


def _code(one: User, pages: Sequence[str]) -> None:
    """For a protected page, good for this person only."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        page = st.selectbox(
            _("Code for a protected page"), pages, format_func=locked.named, key=f"code-page-{one.id}", width=260
        )
        makes = st.button(_("Make a code"), key=f"code-make-{one.id}", icon=":material/pin:")
    if makes:
        st.caption(_("It opens this page for {name}, and for nobody else.", name=plain(one.name or one.email)))
        protected.give_code(page, one.id)


def _role(name: str) -> str:
    return f"{look.state(name)}: {_(_ROLES[name])}"


PAGE = Page(
    "users",
    later("People and access"),
    ":material/group:",
    show,
    needs="users.manage",
    area="users",
    section="System",
)
