"""What is done through the API, from any machine: the SDK's first user."""

import argparse
import time

from rich.live import Live
from rich.table import Table

from cli.connected import connected, console
from cli.funnel import picture
from core.errors import Conflict
from core.reasons import explained
from waqtor import Client
from waqtor.campaigns import Campaign


def campaigns_list(_: argparse.Namespace) -> int:
    table = Table("id", "name", "state", "reason", "launched")
    with connected() as client:
        for campaign in client.campaigns.list():
            launched = f"{campaign.launched_at:%Y-%m-%d %H:%M} UTC" if campaign.launched_at else ""
            table.add_row(str(campaign.id), campaign.name, campaign.state, campaign.state_reason, launched)
    console.print(table if table.row_count else "There is no campaign yet.")
    return 0


def campaigns_launch(asked: argparse.Namespace) -> int:
    with connected() as client:
        client.campaigns.launch(asked.id)
    return campaigns_watch(asked)


def campaigns_watch(asked: argparse.Namespace) -> int:
    """Ctrl-C stops the watching, not the campaign."""
    with connected() as client:
        if client.campaigns.get(asked.id).state == "draft":
            raise Conflict(f"Campaign {asked.id} was not launched.", hint=f"waqtor campaigns launch {asked.id}")
        watch(client, asked.id)
    return 0


def watch(client: Client, campaign_id: int, *, every_s: float = 0.5) -> Campaign:
    """Show the campaign until it is finished or cancelled."""
    began = time.monotonic()
    with Live(console=console, refresh_per_second=4) as live:
        return client.campaigns.wait(
            campaign_id,
            every_s=every_s,
            on_progress=lambda campaign: live.update(picture(campaign, took_s=time.monotonic() - began)),
        )


def campaigns_preflight(asked: argparse.Namespace) -> int:
    """Exit code 1 when nobody would get it."""
    with connected() as client, console.status("Looking at everybody in the audience …"):
        said = client.campaigns.preflight(asked.id)
    console.print(f"{said.recipients:,} of {said.people:,} people would get it.")
    for reason, count in sorted(said.excluded.items(), key=lambda one: -one[1]):
        console.print(f"  not {count:,}: {explained(reason)}", markup=False)
    for variable, count in sorted(said.missing.items()):
        console.print(f"  {count:,} have no value for {{{variable}}}", markup=False)
    for variant, count in said.variants.items():
        console.print(f"  {count:,} get {variant}", markup=False)
    if said.canary is not None:
        console.print(f"  about {said.canary:,} go first, the others wait for what comes of it")
    if said.asleep:
        console.print(f"  {said.asleep:,} are asleep now and get it in the morning")
    if said.us_marketing:
        console.print(f"  {said.us_marketing:,} have a US number: WhatsApp delivers no marketing there")
    for country, cost in sorted(said.costs.items(), key=lambda one: -one[1].recipients):
        price = "no rate known" if cost.total is None else f"{cost.total} {cost.currency}"
        console.print(f"  {country}: {cost.recipients:,}, {price}")
    ends = said.forecast.finishes_at
    console.print(f"Through by {ends:%Y-%m-%d %H:%M} UTC." if ends else "Not through within a year.", end=" ")
    console.print(f"What holds it up most: {said.forecast.limited_by}.")
    for example in said.examples:
        console.print(f"  “{example}”", markup=False)
    return 0 if said.recipients else 1


def campaigns_why(asked: argparse.Namespace) -> int:
    number = asked.who.removeprefix("#")
    who = {"contact_id": int(number)} if asked.who.startswith("#") and number.isdigit() else {"phone": asked.who}
    with connected() as client:
        answers = client.campaigns.why(asked.id, **who).answers
    for answer in answers:
        console.print(f"[bold]{answer.outcome}[/bold]" + (f" ({answer.reason})" if answer.reason else ""))
        console.print(f"  {answer.because}", markup=False)
        for proof in answer.evidence:
            facts = ", ".join(f"{name} {value}" for name, value in proof.facts.items() if value not in (None, ""))
            console.print(f"  {proof.kind}: {facts}", markup=False, highlight=False)
    return 0


def campaigns_pause(asked: argparse.Namespace) -> int:
    return _move(asked.id, "pause")


def campaigns_resume(asked: argparse.Namespace) -> int:
    return _move(asked.id, "resume")


def campaigns_cancel(asked: argparse.Namespace) -> int:
    return _move(asked.id, "cancel")


def _move(campaign_id: int, how: str) -> int:
    with connected() as client:
        campaign: Campaign = getattr(client.campaigns, how)(campaign_id)
    console.print(f"Campaign {campaign.id} is {campaign.state}.")
    return 0
