"""`waqtor campaigns canary` and `go-on`."""

import argparse

from cli.connected import connected, console

_VERDICTS = {"passed": "well", "failed": "stopped", "overruled": "overruled by a person"}
_LIMITS = (("failed", "failed or unknown"), ("opted_out", "stopped us"), ("blocked", "kept from us by WhatsApp"))


def add_go_on(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=int)
    parser.add_argument("--variant", metavar="NAME", help="this one for everybody who is left")


def campaigns_canary(asked: argparse.Namespace) -> int:
    with connected() as client:
        found = client.canaries.get(asked.id)
    canary, rates = found.canary, found.rates
    if canary is None or rates is None:
        console.print("It has no canary: everybody is written to at once.")
        return 0
    console.print(
        f"{rates.people:,} of {rates.at_most:,} were written to first; {rates.waiting:,} have no outcome yet."
    )
    for name, said in _LIMITS:
        number, limit = getattr(rates, name), getattr(canary, f"max_{name}_percent")
        share = number / max(1, rates.at_most)
        bound = "not looked at" if limit is None else f"at most {limit:g} %"
        console.print(f"  {number:,} {said}, {share:.1%} ({bound})", highlight=False)
    console.print(f"The campaign is {found.state}.", end=" ")
    if found.held_until is not None:
        console.print(f"The others wait until {found.held_until:%Y-%m-%d %H:%M} UTC.", end=" ")
    if found.verdict is not None:
        told = ", ".join(found.verdict.breaches)
        console.print(f"The canary was {_VERDICTS[found.verdict.verdict]}" + (f" by: {told}." if told else "."), end="")
    console.print()
    return 0


def campaigns_go_on(asked: argparse.Namespace) -> int:
    with connected() as client:
        campaign = client.canaries.go_on(asked.id, variant=asked.variant)
    console.print(f"Campaign {campaign.id} is {campaign.state}: everybody is written to.")
    return 0
