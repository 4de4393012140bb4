"""How the installation does: its parts, what waits, what sends, who follows live."""

from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from ui import alerts, charts, formats, look, session
from ui.look import Html
from ui.page import Page
from ui.words import _, later
from waqtor import LiveMonitor, Ready, Run, System

_LOOK_EVERY_S = 5
_SLOW_S = 30


def show() -> None:
    look.heading(_("Monitoring"), _("What waits, what sends and who listens, as of this moment."))
    _now()


@look.live(_LOOK_EVERY_S)
def _now() -> None:
    client = session.client()
    ready, system, live = client.monitor.ready(), client.system.get(), client.monitor.live(limit=20)
    _parts(ready, system)
    _attention(ready, system, live)
    _queues(system)
    st.subheader(_("Campaigns under way"), anchor=False)
    _runs(system)
    st.subheader(_("Live events"), anchor=False)
    _live(live)


def _parts(ready: Ready, system: System) -> None:
    names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    parts = {
        f"{_('Database')} ({names.get(system.database, system.database)})": ready.database == "ok",
        _("Schema"): ready.revision == "ok",
        _("This process"): ready.instance == "ok",
        _("Webhooks of WhatsApp"): (ready.inbox_lag_s or 0) < _SLOW_S and not ready.inbox_set_aside,
    }
    if ready.redis != "none":
        parts["Redis"] = ready.redis == "ok"
    st.html(
        " ".join(
            look.chip("active" if is_well else "failed", f"{name}: {_('well') if is_well else _('not well')}")
            for name, is_well in parts.items()
        )
    )


def _attention(ready: Ready, system: System, live: LiveMonitor) -> None:
    for one in live.alerts:
        title, do = alerts.said(one)
        (st.error if one.level == "critical" else st.warning)(f"**{title}** {do}", icon=":material/warning:")
    if ready.suspect_senders:
        st.error(
            _("Senders of which no receipts come back: {count}. They rest; see the page of senders.",
              count=formats.number(len(ready.suspect_senders))),
            icon=":material/sensors_off:",
        )  # fmt: skip
    if hung := [one for one in system.runs if _hangs(one)]:
        names = ", ".join(f"“{one.name}”" for one in hung)
        st.warning(
            _("Nothing sends {names} now. A run is started by itself within a minute; if not, look in Prefect.",
              names=names),
            icon=":material/hourglass_disabled:",
        )  # fmt: skip


def _queues(system: System) -> None:
    queues = system.queues
    shown = (
        (_("Messages that wait to leave"), formats.number(queues.outbox), ""),
        (_("Under way or in doubt"), formats.number(queues.unsettled), ""),
        (_("Webhooks not yet applied"), formats.number(queues.inbox), ""),
        (_("The oldest has waited"), formats.lasting(timedelta(seconds=queues.inbox_lag_s)), ""),
    )
    _numbers(shown)


def _numbers(shown: Any) -> None:
    for column, (label, value, more) in zip(st.columns(len(shown)), shown, strict=True):
        column.metric(label, value, help=more or None)


def _runs(system: System) -> None:
    if system.runs:
        look.table(
            [_("Campaign"), _("State"), _("Run")],
            [
                [one.name, Html(look.chip(one.state)), _("at it") if one.is_held else _("none at this moment")]
                for one in system.runs
            ],
        )
    else:
        look.empty(_("No campaign is under way"), _("One that you launch shows here, with the run that sends it."))
    st.link_button(_("Open Prefect"), system.prefect_url, icon=":material/open_in_new:")
    st.caption(_("Its pages open on the machine of WaQtor, or where you have made them reachable."))


def _hangs(run: Run) -> bool:
    return run.state == "running" and not run.is_held


def _live(live: LiveMonitor) -> None:
    p99 = live.delivery.p99
    _numbers(
        (
            (_("Connected"), formats.number(live.connections.current), _("WebSockets of this process")),
            (_("Messages per second"), formats.number(live.rates.sent, digits=1), ""),
            (_("Slowest of a hundred, ms"), "–" if p99 is None else formats.number(p99, digits=1), ""),
            (_("Events not yet told"), formats.number(live.delivery.behind), ""),
        )
    )
    if len(live.history) > 1:
        st.caption(_("Messages per second, the last ten minutes"))
        at = [datetime.fromtimestamp(one.at / 1000, UTC) for one in live.history]
        charts.minutes(at, [one.sent_per_s for one in live.history], height=180)
    if live.clients:
        look.table(
            [_("Who"), _("Since"), _("Follows"), _("Got")],
            [
                [
                    one.name or one.principal,
                    formats.ago(datetime.fromtimestamp(one.connected / 1000, UTC)),
                    look.number_of(", ".join(one.subscriptions[:5])),
                    one.sent,
                ]
                for one in live.clients
            ],
            numeric=[3],
        )


PAGE = Page(
    "monitoring",
    later("Monitoring"),
    ":material/monitor_heart:",
    show,
    needs="system.read",
    area="system",
    section="System",
)
