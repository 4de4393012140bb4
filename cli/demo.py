"""`make demo`: a first campaign through every process, against a simulated WhatsApp, held against its ledger."""

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from cli.demo_people import write_csv
from cli.funnel import picture
from cli.interrupting import interruptible
from cli.local import Local
from cli.oracle import Book, Verdict, compare, ledger
from cli.processes import Stack, addresses
from cli.remote import watch
from cli.users import first_link
from core import service_credentials
from core.errors import Conflict
from core.settings import Settings
from simulator.config import ACCOUNT_ID, NUMBER_ID
from waqtor import Client
from waqtor.campaigns import Campaign
from waqtor.contacts import Consent

_RATE = 80  # Meta's own for a new number
_RECEIPTS_S = 45.0  # after the last message: most reads have come by then, sixty times faster than in life
_MESSAGE = "Hello {name}, our spring offer has begun: 20% off all plants until Sunday."  # as approved
console = Console()


def demo(*, once: bool, people: int) -> int:
    """0 when our books and the ledger agree; 1 when they do not."""
    folder = Path(".waqtor") / "demo"
    if Stack(Settings(data_dir=folder), ()).running():
        raise Conflict("A demo is running here already.", hint="Stop it with Ctrl-C where it runs.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    local = Local(folder, profile="demo", any_ports=False, silence_window_s=20, sweep_interval_s=20)
    began, agrees = time.monotonic(), False
    console.rule("[bold]WaQtor demo")
    console.print("Starting WhatsApp (simulated), the API, Prefect and the worker …")
    with interruptible() as hush:
        try:
            local.prepare()
            local.start(report=lambda name, after_s: console.print(f"  {name:<10} serves after {after_s:.0f} s"))
            with Client(local.settings.api_url, local.api_key) as client:
                campaign = _campaign(local, client, folder, people)
                agrees = _judge(local, client, campaign)
            console.print(f"All of it took {time.monotonic() - began:.0f} s.")
            _where(local)
            if not once:
                console.print("It all stays up until Ctrl-C.")
                while True:
                    time.sleep(3600)
        except KeyboardInterrupt:
            pass
        finally:
            hush()
            console.print("Stopping …")
            local.stack.stop()
    return 0 if agrees else 1


def _campaign(local: Local, client: Client, folder: Path, people: int) -> Campaign:
    sender = local.sender(name="Demo shop", phone_number_id=NUMBER_ID, waba_id=ACCOUNT_ID, rate=_RATE)
    file = folder / "contacts.csv"
    write_csv(file, people)
    agreed = Consent(source="sign-up form", wording="Yes, send me offers", given_at=datetime.now(UTC))
    report = client.contacts.import_file(file, consent=agreed)
    console.print(
        f"Imported {file.name}: {report.rows:,} rows, {report.created:,} people, {report.rejected} not taken, e.g."
    )
    for row in (report.report or [])[:3]:
        console.print(f"  row {row.row}: {row.field}: {row.message}", style="dim", markup=False)
    template = client.templates.create("Spring", _MESSAGE, cloud_name="spring_offer")
    campaign = client.campaigns.create("Spring", sender_id=sender["id"], template_id=template.id)
    said = client.campaigns.preflight(campaign.id)
    left_out = ", ".join(f"{count} {reason}" for reason, count in said.excluded.items())
    console.print(f"Preflight: {said.recipients:,} of {said.people:,} people would get it; left out: {left_out}.")
    client.campaigns.launch(campaign.id)
    console.print("Launched. Prefect starts a run of its own for it …\n")
    watch(client, campaign.id)
    return _wait_for_receipts(client, campaign.id)


def _wait_for_receipts(client: Client, campaign_id: int) -> Campaign:
    began = time.monotonic()
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            campaign = client.campaigns.get(campaign_id)
            waited = time.monotonic() - began
            live.update(picture(campaign, took_s=waited))
            if waited > _RECEIPTS_S:
                break
            time.sleep(0.5)
    console.print("\nReceipts and replies, a while later:")
    console.print(picture(campaign, took_s=waited))
    return campaign


def _judge(local: Local, client: Client, campaign: Campaign) -> bool:
    """Compare, and give receipts that are on their way at this moment a few more tries to arrive."""
    for _ in range(5):
        books = [Book(person.client_id, person.state) for person in client.campaigns.recipients(campaign.id)]
        verdict = compare(books, ledger(local.simulator_url, "requests"), ledger(local.simulator_url, "statuses"))
        if verdict.agrees:
            break
        time.sleep(1)
    console.print(_shown(verdict))
    return verdict.agrees


def _shown(verdict: Verdict) -> Table:
    table = Table(title="Our books against WhatsApp's ledger", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("recipients in our books", f"{verdict.recipients:,}")
    table.add_row("messages that reached a person, by the ledger", f"{verdict.effects:,}")
    for what, number in verdict.contradictions().items():
        table.add_row(what, f"[{'red' if number else 'green'}]{number}[/]")
    table.add_row("unknown", str(verdict.unknown_with_effect + verdict.unknown_without_effect))
    table.add_row("verdict", "[green]they agree[/]" if verdict.agrees else "[red]they disagree[/]")
    return table


def _where(local: Local) -> None:
    table = addresses(local.stack)
    table.title = "Look around"
    console.print(table)
    console.print(f"API documentation   {local.settings.api_url}/docs")
    console.print(f"Prefect UI          http://127.0.0.1:{local.settings.prefect_port}")
    password = service_credentials.for_prefect(local.settings)
    console.print(f"  its password      {password}", soft_wrap=True)
    console.print(f"Simulated WhatsApp  {local.simulator_url}/")
    console.print(f"An API key          {local.api_key}", soft_wrap=True)
    console.print("\n[bold green]Now open this in a browser, and make your account (the link works once):[/]")
    console.print(_welcome(local), style="bold", soft_wrap=True)
    console.print()


def _welcome(local: Local) -> str:
    """The one-time link with which the first person makes an account."""
    return first_link(local.settings) or local.settings.public_dashboard_url
