"""`waqtor campaigns schedule`, `unschedule`, `occurrences`."""

import argparse

from rich.table import Table

from cli.connected import connected, console
from core.reasons import explained


def add_schedule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=int)
    when = parser.add_mutually_exclusive_group(required=True)
    when.add_argument("--at", metavar="TIME", help="once, such as 2026-12-24T09:00, as clocks there show it")
    when.add_argument("--cron", metavar="RULE", help="such as '0 9 * * MON'")
    when.add_argument("--rrule", metavar="RULE", help="such as 'FREQ=MONTHLY;BYDAY=1MO;BYHOUR=9;BYMINUTE=0'")
    parser.add_argument("--timezone", required=True, metavar="ZONE", help="such as Asia/Riyadh")
    parser.add_argument(
        "--include-earlier",
        action=argparse.BooleanOptionalAction,
        help="write again to who had an earlier occurrence; has to be said where it recurs",
    )
    parser.add_argument("--preview", action="store_true", help="only show when it would be due")


def campaigns_schedule(asked: argparse.Namespace) -> int:
    when = {"at": asked.at, "cron": asked.cron, "rrule": asked.rrule, "timezone": asked.timezone}
    with connected() as client:
        if asked.preview:
            coming = client.schedules.preview(asked.id, **when).next
        else:
            coming = client.schedules.set(asked.id, **when, include_earlier=asked.include_earlier).next
            console.print(f"Campaign {asked.id} is scheduled.")
    for moment in coming:
        console.print(f"  {moment:%a %Y-%m-%d %H:%M} UTC")
    return 0


def campaigns_unschedule(asked: argparse.Namespace) -> int:
    with connected() as client:
        campaign = client.schedules.remove(asked.id)
    console.print(f"Campaign {campaign.id} has no schedule any more; it is {campaign.state}.")
    return 0


def campaigns_occurrences(asked: argparse.Namespace) -> int:
    table = Table("number", "state", "due", "began", "over", "reason")
    with connected() as client:
        for one in client.schedules.occurrences(asked.id):
            moments = (one.due_at, one.started_at, one.finished_at)
            shown = [f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "" for moment in moments]
            table.add_row(str(one.number), one.state, *shown, explained(one.reason) if one.reason else "")
    console.print(table if table.row_count else "It was not launched yet, and has no schedule.")
    return 0
