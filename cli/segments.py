"""`waqtor segments …`."""

import argparse

from rich.table import Table

from cli.connected import connected, console


def segments_list(_: argparse.Namespace) -> int:
    table = Table("id", "name", "filter")
    with connected() as client:
        for segment in client.segments.list():
            table.add_row(str(segment.id), segment.name, segment.filter)
    console.print(table if table.row_count else "There is no segment yet.")
    return 0


def segments_count(asked: argparse.Namespace) -> int:
    """By id, or by the text of a filter."""
    with connected() as client:
        found = client.segments.count(int(asked.segment) if asked.segment.isdecimal() else asked.segment)
    console.print(f"{found.count:,} people: {found.filter}", markup=False)
    return 0


def segments_create(asked: argparse.Namespace) -> int:
    with connected() as client:
        segment = client.segments.create(asked.name, asked.filter)
        found = client.segments.count(segment.id)
    console.print(f"Segment {segment.id}, {found.count:,} people: {segment.filter}", markup=False)
    return 0
