"""What this program is, which version, and what it does with what it knows."""

import streamlit as st

import waqtor
from ui import look, session
from ui.page import Page
from ui.words import _, later


def show() -> None:
    look.heading(_("About WaQtor"), _("Campaigns on WhatsApp, from your own machine."))
    version = session.client().system.get().version if session.may("system.read") else waqtor.__version__
    st.html(f'<p class="wq">{_("Version")} <b dir="ltr">{version}</b></p>')
    for title, text in (
        (
            _("Each person has a true outcome"),
            _(
                "Sent with proof, failed or skipped with the reason, or unknown: whatever process dies at whatever "
                "moment. What may have arrived is never sent again by itself."
            ),
        ),
        (
            _("It stays on your machine"),
            _(
                "There is no account anywhere else, nothing is reported to us, and the pages load nothing from other "
                "servers. Messages go to WhatsApp, and webhooks where you send them."
            ),
        ),
        (
            _("Only to who agreed"),
            _("Who has not agreed to marketing is left out. Who writes STOP gets nothing more, from that moment on."),
        ),
        (
            _("WhatsApp's rules count"),
            _(
                "WhatsApp is a mark of Meta, and WaQtor is not of Meta. Numbers that write to people who did not ask "
                "for it are restricted by WhatsApp; no setting here prevents that."
            ),
        ),
    ):
        st.subheader(title, anchor=False)
        st.write(text)


PAGE = Page("about", later("About WaQtor"), ":material/info:", show, section="System")
