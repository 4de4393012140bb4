"""Messages that are written once and sent to many: all of them, and the way to a new one."""

import streamlit as st

from ui import bubbles, formats, look, page, refusals, session, tongues
from ui.page import Page
from ui.pages import template_editor
from ui.words import _, later, n_
from waqtor import Template
from waqtor.senders import Sender, SyncedTemplates

_A_PAGE = 20
_MOST_SENDERS = 50
_MOST_LANGUAGES = 6


def show() -> None:
    chosen = page.asked("id")
    if chosen is not None:
        template_editor.change(session.client().templates.get(chosen))
    elif "new" in st.query_params:
        template_editor.write()
    else:
        _all()


def _all() -> None:
    look.heading(
        _("Templates"), _("Messages that you write once. Names and other details are filled in for each person.")
    )
    writes = session.may("templates.write")
    if writes:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            if st.button(_("New template"), type="primary", icon=":material/add:", key="templates-new"):
                page.go("templates", {"new": 1})
            _sync()
    _synced()
    found = session.client().templates.list.page(look.cursor("templates-at"), order="newest", limit=_A_PAGE)
    if not found.data:
        look.empty(
            _("No templates yet"),
            _("Write your first message here, or take in those that WhatsApp approved for your number.")
            if writes
            else _("Nobody has written one yet."),
        )
    for template in found.data:
        _row(template)
    look.turn("templates-at", found.next_cursor)


def _row(template: Template) -> None:
    with st.container(border=True, gap="xsmall"):
        page.link("templates", template.name, icon=":material/edit_note:", query={"id": template.id})
        begins = " ".join(template.body.split())[:160]
        st.html(f'<p class="wq wq-line" dir="auto">{bubbles.written(begins)}</p>')
        languages = [template.language, *(one.language for one in template.variants)]
        more = len(languages) - _MOST_LANGUAGES
        names = [tongues.name(one) for one in languages[:_MOST_LANGUAGES]]
        names += [f"+{formats.number(more)}"] if more > 0 else []
        st.html(
            template_editor.status(template)
            + template_editor.category(template.category)
            + "".join(look.chip("language", one) for one in names)
        )


# ---- from WhatsApp ------------------------------------------------------------------------------------------


def _sync() -> None:
    if not session.may("senders.read"):
        return
    senders = session.client().senders.list.page(None, limit=_MOST_SENDERS).data
    if not senders:
        return
    chosen: Sender = senders[0]
    if len(senders) > 1:
        names = {one.id: one.name for one in senders}
        picked = st.selectbox(_("Number"), list(names), format_func=names.__getitem__, key="templates-of", width=220)
        chosen = next((one for one in senders if one.id == picked), chosen)
    told = _("This happens every hour by itself, too.")
    if st.button(_("Get them from WhatsApp"), icon=":material/sync:", help=told, key="templates-sync"):
        with st.spinner(_("Asking WhatsApp …")):
            st.session_state["templates-synced"] = session.client().senders.sync_templates(chosen.id)
        st.rerun()


def _synced() -> None:
    told: SyncedTemplates | None = st.session_state.pop("templates-synced", None)
    if told is None:
        return
    said = [
        n_("{count} new", "{count} new", told.created),
        n_("{count} changed", "{count} changed", told.updated),
        n_("{count} gone at WhatsApp", "{count} gone at WhatsApp", told.deleted),
    ]
    st.success(" · ".join(said), icon=":material/sync:")
    if told.problems:
        with st.expander(
            n_("{count} that cannot be sent from here", "{count} that cannot be sent from here", len(told.problems))
        ):
            look.table(
                [_("Name"), _("Language"), _("Why")],
                [
                    [one.name, tongues.name(one.language), refusals.said(one.message) or one.message]
                    for one in told.problems
                ],
            )


PAGE = Page("templates", later("Templates"), ":material/edit_note:", show, needs="templates.read", section="Messages")
