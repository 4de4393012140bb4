"""`waqtor campaigns variants` and `choose-variant`."""

import argparse

from rich.table import Table
from rich.text import Text

from cli.connected import connected, console
from waqtor.variants import Comparison

_VERDICTS = {
    "higher": "higher than {against}",
    "lower": "lower than {against}",
    "no_difference": "no difference to {against} can be told",
    "too_few": "too few to tell",
}


def add_choose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=int)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", metavar="NAME")
    which.add_argument("--none", action="store_true", help="by weight again")


def campaigns_variants(asked: argparse.Namespace) -> int:
    with connected() as client:
        found = client.variants.compare(asked.id)
    if not found.results:
        console.print("It has no variants: everybody gets the same.")
    table = Table("variant", "people", "sent", "delivered", "read", "replied", "failed", "unknown", "stopped")
    for one in found.results:
        said = one.progress
        counts = (said.total, said.sent, said.delivered, said.read, said.replied)
        ends = (sum(said.failed.values()), sum(said.unknown.values()), one.opted_out)
        table.add_row(Text(one.name), *(f"{count:,}" for count in (*counts, *ends)))
    if found.results:
        console.print(table)
    for one in found.results:
        if one.is_winner:
            console.print(f"Who is left gets {one.name!r}.", markup=False)
    for beside in found.comparisons:
        console.print(_said(beside), markup=False, highlight=False)
    if found.held_out:
        console.print(f"{found.held_out:,} people were held out and get nothing.")
    return 0


def _said(one: Comparison) -> str:
    chance = "" if one.p_value is None else f", p = {one.p_value:.3f}"
    verdict = _VERDICTS[one.verdict].format(against=one.against)
    return f"{one.variant}, {one.metric}: {one.share:.1%} beside {one.against_share:.1%}: {verdict}{chance}"


def campaigns_choose(asked: argparse.Namespace) -> int:
    with connected() as client:
        client.variants.choose(asked.id, asked.name)
    told = f"Who is left gets {asked.name!r}." if asked.name else "Who is left gets a variant by weight again."
    console.print(told, markup=False)
    return 0
