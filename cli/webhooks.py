"""`waqtor webhooks`: the addresses that are told what happens, and the log of what they were told."""

import argparse
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from cli.connected import connected, console
from core.delivery_log import STATES
from core.errors import Invalid
from core.webhook_bodies import FORMS
from core.webhook_events import PERSONAL_FIELDS
from waqtor.webhook_endpoints import Attempt, Webhook

_COLOURS = {"delivered": "green", "failed": "red", "waiting": "yellow"}


def add_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="where it is posted to, e.g. https://example.com/hooks")
    parser.add_argument("events", nargs="+", metavar="event", help="e.g. message.received 'campaign.*' '*'")
    parser.add_argument("--description", default="", metavar="TEXT")
    parser.add_argument(
        "--field", action="append", default=[], choices=PERSONAL_FIELDS, help="what of a person it may have; repeat"
    )
    parser.add_argument("--sender", action="append", type=int, metavar="ID", help="only about this one; repeat")
    parser.add_argument("--campaign", action="append", type=int, metavar="ID", help="only about this one; repeat")
    parser.add_argument("--header", action="append", default=[], metavar="NAME=VALUE", help="sent along; repeat")
    parser.add_argument("--form", choices=FORMS, default="v3", help="v2: body and headers of 2.3.0")
    parser.add_argument("--ordered", action="store_true", help="keep the order within a chat")


def add_one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=int, help="the endpoint's")


def add_rotate(parser: argparse.ArgumentParser) -> None:
    add_one(parser)
    parser.add_argument(
        "--overlap-hours", type=float, default=24, metavar="N", help="the old secret signs too for so long; 0 to 168"
    )


def add_log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=int, nargs="?", help="a delivery: all of it")
    parser.add_argument("--webhook", type=int, metavar="ID", help="only to this endpoint")
    parser.add_argument("--state", choices=STATES)
    parser.add_argument("--event", metavar="NAME", help="only these, e.g. message.received")
    _add_times(parser)
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="the newest N; left out: 20")


def add_replay(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("id", type=int, nargs="?", help="one delivery")
    which.add_argument("--webhook", type=int, metavar="ID", help="those of this endpoint that all the rest fits")
    parser.add_argument("--state", choices=("failed", "delivered", "any"), default="failed")
    parser.add_argument("--event", metavar="NAME")
    _add_times(parser)
    parser.add_argument("--rate", type=float, metavar="N", help="at most so many a second")
    parser.add_argument("--dry-run", action="store_true", help="only count them")


def _add_times(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", metavar="TIME", help="made then or later, e.g. 2026-11-23T08:00 (UTC)")
    parser.add_argument("--until", metavar="TIME", help="made before")


def webhooks_list(_: argparse.Namespace) -> int:
    table = Table("id", "", "address", "events", "of a person")
    with connected() as client:
        for one in client.webhooks.list():
            what = escape(f"{one.url}\n{one.description}" if one.description else one.url)
            table.add_row(str(one.id), _state(one), what, ", ".join(one.events), ", ".join(one.fields) or "ids only")
    console.print(table if table.row_count else "There are none. Register one: waqtor webhooks add URL EVENT")
    return 0


def _state(one: Webhook) -> str:
    if not one.is_enabled:
        return f"[red]disabled: {one.disabled_reason}[/]"
    return "[green]well[/]" if one.failing_since is None else f"[yellow]failing since {_when(one.failing_since)}[/]"


def webhooks_add(asked: argparse.Namespace) -> int:
    with connected() as client:
        made = client.webhooks.create(
            asked.url,
            asked.events,
            description=asked.description,
            fields=asked.field,
            sender_ids=asked.sender,
            campaign_ids=asked.campaign,
            headers=_headers(asked.header) or None,
            form=asked.form,
            signs_v2=asked.form == "v2",
            is_ordered=asked.ordered,
        )
    console.print(f"Webhook {made.id} is told from now on. Its secret, shown this once:", highlight=False)
    print(made.secret)
    return 0


def _headers(given: list[str]) -> dict[str, str]:
    headers = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            raise Invalid("A header is given as NAME=VALUE.", field="header")
        headers[name] = value
    return headers


def webhooks_rotate(asked: argparse.Namespace) -> int:
    with connected() as client:
        made = client.webhooks.rotate(asked.id, overlap_s=round(asked.overlap_hours * 3600))
    hours = f"for {asked.overlap_hours:g} hours" if asked.overlap_hours else "no more"
    console.print(f"The new secret, shown this once; the old one is good {hours}:", highlight=False)
    print(made.secret)
    return 0


def webhooks_test(asked: argparse.Namespace) -> int:
    """Returns 1 where the receiver did not take it."""
    with connected() as client:
        told = client.webhooks.test(asked.id)
    if told.ok:
        console.print(f"[green]It answered {told.status} in {told.took_ms} ms.[/]", highlight=False)
        return 0
    what = f"it answered {told.status}" if told.error is None else f"{told.error}: {told.detail or ''}"
    console.print(f"[red]It did not take it: {escape(what)}[/]", highlight=False)
    if told.response_body:
        print(told.response_body)
    return 1


def webhooks_log(asked: argparse.Namespace) -> int:
    if asked.id is not None:
        return _show(asked.id)
    table = Table("id", "when", "to", "event", "", "attempts")
    with connected() as client:
        found = client.webhooks.deliveries(
            asked.webhook,
            state=asked.state,
            type=asked.event,
            since=_time(asked.since),
            until=_time(asked.until),
            limit=min(500, max(1, asked.limit)),
        )
        for one, _ in zip(found, range(asked.limit), strict=False):
            state = f"[{_COLOURS.get(one.state, '')}]{one.state}[/]" if one.state in _COLOURS else one.state
            why = f"{state}\n[dim]{escape(one.reason)}[/]" if one.reason else state
            table.add_row(str(one.id), _when(one.created_at), str(one.webhook_id), one.type, why, str(one.attempts))
    console.print(table if table.row_count else "There is nothing.")
    return 0


def _show(delivery_id: int) -> int:
    with connected() as client:
        one = client.webhooks.delivery(delivery_id)
    console.print(f"{one.type} to webhook {one.webhook_id}: {one.state} {one.reason or ''}", highlight=False)
    console.print(f"webhook-id: {one.event_id}", highlight=False)
    print(one.body or f"(no body is kept or shown; its ids are {dict(one.data)})")
    for attempt in one.tried:
        console.print(
            f"{attempt.number}. {_when(attempt.started_at)}  {_answer(attempt)}", markup=False, highlight=False
        )
        if attempt.response_body:
            print(attempt.response_body)
    return 0


def _answer(attempt: Attempt) -> str:
    if attempt.error is not None:
        return f"{attempt.error}: {attempt.detail or ''}"
    return "under way" if attempt.status is None else f"{attempt.status} in {attempt.took_ms} ms"


def webhooks_replay(asked: argparse.Namespace) -> int:
    with connected() as client:
        if asked.id is not None:
            console.print(f"Delivery {client.webhooks.replay(asked.id).id} is made again.", highlight=False)
            return 0
        state = None if asked.state == "any" else asked.state
        since, until = _time(asked.since), _time(asked.until)
        if asked.dry_run:
            found = client.webhooks.count_replay(asked.webhook, state=state, type=asked.event, since=since, until=until)
            console.print(f"{found.count} would be made again.", highlight=False)
            return 0
        made = client.webhooks.replay_all(
            asked.webhook, state=state, type=asked.event, since=since, until=until, rate=asked.rate
        )
    console.print(f"Replay {made.id}: {made.total} are made again, {made.rate:g} a second.", highlight=False)
    return 0


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{text!r} is no time.", hint="For example 2026-11-23T08:00, which is UTC.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
