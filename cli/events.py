"""`waqtor events …`."""

import argparse

from rich.markup import escape

from cli.connected import connected, console
from waqtor.errors import Gap


def add_follow(following: argparse.ArgumentParser) -> None:
    following.add_argument("topics", nargs="*", metavar="TOPIC", help="campaigns, campaign:7, …; none: all you may see")
    following.add_argument("--since", type=int, metavar="SEQ", help="what happened after this event; else from now on")
    following.add_argument("--json", action="store_true", help="each as one line of JSON")
    following.add_argument("--sse", action="store_true", help="over plain HTTP, where WebSockets are blocked")


def events_follow(asked: argparse.Namespace) -> int:
    """Until Ctrl-C; comes back by itself."""

    def told(gap: Gap) -> None:
        console.print(f"[yellow]{escape(str(gap))}[/yellow]", soft_wrap=True)

    with connected() as client:
        stream = client.events.follow(
            *asked.topics,
            since=asked.since,
            transport="sse" if asked.sse else "websocket",
            attempts=None,
            on_gap=None if asked.json else told,
        )
        for event in stream:
            if asked.json:
                print(event.model_dump_json(), flush=True)
                continue
            seq = "" if event.seq is None else str(event.seq)
            data = " ".join(f"{name}={value}" for name, value in event.data.items() if value != "")
            line = f"{event.at:%Y-%m-%d %H:%M:%S} {seq:>8} {event.type} {data}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0
