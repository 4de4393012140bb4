"""`waqtor apply`: what files say and the installation has not, shown first, then made so. Launches nothing."""

import argparse
import difflib
import sys
from collections.abc import Sequence

from rich.text import Text

from cli.applying import carry_out
from cli.comparing import Step, compare
from cli.connected import connected, console
from cli.definitions import written
from cli.documents import load
from core.errors import Conflict, Invalid, WaqtorError
from waqtor import errors
from waqtor.campaigns import Campaign

DIFFERS = 2
_COLOURS = {"+": "green", "-": "red"}


def apply(asked: argparse.Namespace) -> int:
    """Returns 1 for everything that goes wrong: 2 says that something differs."""
    try:
        return _apply(asked)
    except WaqtorError as error:
        print(f"waqtor: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"        {error.hint}", file=sys.stderr)
        return 1


def _apply(asked: argparse.Namespace) -> int:
    documents = load(asked.file)
    with connected() as client:
        steps = [compare(client, one, documents) for one in documents]
        differing = [one for one in steps if one.differs]
        for one in differing:
            _show(one)
        made = sum(one.found is None for one in differing)
        same = len(steps) - len(differing)
        console.print(f"{made} to make, {len(differing) - made} to change, {same} as they are.", highlight=False)
        _refuse_launched(differing)
        if asked.dry_run:
            return DIFFERS if differing else 0
        if not differing or not (asked.yes or _agreed()):
            return 1 if differing else 0
        for one in differing:
            try:
                done = carry_out(client, one)
            except errors.Error as error:
                raise one.document.wrong(error.message, hint=error.hint) from None
            console.print(f"{one.wanted}: {'made' if one.found is None else 'changed'}, id {done}.", markup=False)
    return 0


def _refuse_launched(steps: Sequence[Step]) -> None:
    for one in steps:
        if isinstance(one.found, Campaign) and one.found.state != "draft":
            raise Conflict(
                f"{one.document.place} ({one.wanted}): campaign {one.found.id} is {one.found.state} and stays as it "
                f"is; the file differs in {', '.join(one.fields)}. Nothing was applied.",
                hint="Make the file as the campaign is, or give the campaign another name.",
            )


# ---- shown --------------------------------------------------------------------------------------------------


def _show(step: Step) -> None:
    console.print(f"{step.wanted}: {'new' if step.has is None else ', '.join(step.fields)}", style="bold", markup=False)
    was = "" if step.has is None else written(step.has)
    lines = difflib.unified_diff(was.splitlines(), written(step.wanted).splitlines(), lineterm="", n=2)
    for line in list(lines)[2:]:
        if not line.startswith("@"):
            console.print(Text(f"  {line}", _COLOURS.get(line[0], "")), soft_wrap=True)


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise Invalid("Nobody is there to be asked.", hint="--yes applies without asking, --dry-run only shows.")
    return input("Apply this? Only yes will do: ").strip().lower() == "yes"
