"""`waqtor templates …`."""

import argparse

from rich.table import Table

from cli.connected import connected, console
from core.errors import Invalid
from waqtor.templates import Preview, Template, Variant


def add_preview(previewing: argparse.ArgumentParser) -> None:
    previewing.add_argument("id", type=int)
    previewing.add_argument("--contact", type=int, metavar="ID", help="as this contact would read it")
    previewing.add_argument("--value", action="append", default=[], metavar="NAME=VALUE", help="a value to try")


def templates_list(_: argparse.Namespace) -> int:
    table = Table("id", "name", "languages", "category", "status", "variables")
    with connected() as client:
        for one in client.templates.list():
            languages = ", ".join([one.language, *(variant.language for variant in one.variants)])
            used = ", ".join(one.variables)
            table.add_row(str(one.id), one.name, languages, one.category, one.status or "", used)
    console.print(table if table.row_count else "There is no template yet.")
    return 0


def templates_show(asked: argparse.Namespace) -> int:
    with connected() as client:
        template = client.templates.get(asked.id)
    console.print(f"{template.name} ({template.category}{', ' + template.status if template.status else ''})")
    languages: list[Template | Variant] = [template, *template.variants]
    for one in languages:
        said = f"[{one.language}]" + (f" {one.status}" if one.status else "")
        console.print(f"\n{said}", markup=False, highlight=False)
        if one.header:
            console.print(f"({one.header['type']})", highlight=False)
        console.print(one.body, markup=False, highlight=False)
        for name, value in one.defaults.items():
            console.print(f"  {name}: {value}", markup=False, highlight=False)
    return 0


def templates_preview(asked: argparse.Namespace) -> int:
    """Returns 1 where a value is missing: such a person would be skipped."""
    values = dict(pair(said) for said in asked.value)
    if values and asked.contact is not None:
        raise Invalid("A contact brings values of its own.", hint="--contact or --value, not both")
    with connected() as client:
        if values:
            found: Preview = client.templates.preview(asked.id, values)
        else:
            found = client.templates.preview_for(asked.id, asked.contact)
    if found.header:
        console.print(f"({found.header['type']})", highlight=False)
    if found.heading:
        console.print(found.heading, style="bold", markup=False, highlight=False)
    console.print(found.text, markup=False, highlight=False)
    for button in found.buttons:
        console.print(f"  [{button}]", markup=False, highlight=False)
    if found.missing:
        console.print(f"No value for: {', '.join(found.missing)}", markup=False)
    return 1 if found.missing else 0


def templates_sync(asked: argparse.Namespace) -> int:
    """Of one sender, or of all."""
    total = 0
    with connected() as client:
        ids = [asked.sender] if asked.sender else [sender.id for sender in client.senders.list()]
        for sender_id in ids:
            done = client.senders.sync_templates(sender_id)
            console.print(f"Sender {sender_id}: {done.created} new, {done.updated} changed, {done.deleted} gone.")
            for problem in done.problems:
                total += 1
                console.print(f"  {problem.name} ({problem.language}): {problem.message}", markup=False)
    return 1 if total else 0


def pair(said: str) -> tuple[str, str]:
    name, equals, value = said.partition("=")
    if not equals:
        raise Invalid(f"{said!r} gives no value.", hint="--value name=Sara")
    return name, value
