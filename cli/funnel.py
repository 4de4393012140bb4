"""How far a campaign is, for a terminal."""

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from waqtor.campaigns import Campaign, Progress

_WIDTH = 46


def picture(campaign: Campaign, *, took_s: float) -> RenderableType:
    """A bar, and below it the funnel with every reason."""
    progress = campaign.progress
    assert progress is not None  # noqa: S101  asked for with its progress
    title = Text.assemble(
        (campaign.name, "bold"), f"  {campaign.state}", (f"  {campaign.state_reason}", "yellow"), f"  {took_s:.0f} s"
    )
    bar = ProgressBar(total=max(1, progress.total), completed=progress.done, width=_WIDTH)
    return Group(title, bar, Text(), funnel(progress))


def funnel(progress: Progress) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(min_width=34)
    table.add_column(justify="right")
    table.add_column(justify="right", style="dim")

    def row(name: str, number: int, style: str = "") -> None:
        table.add_row(Text(name, style), f"{number:,}", f"{100 * number / max(1, progress.total):.1f} %")

    row("recipients", progress.total, "bold")
    row("sent", progress.sent, "green")
    row("  delivered", progress.delivered, "green")
    row("  read", progress.read, "green")
    row("  replied", progress.replied, "green")
    for state, reasons, style in (
        ("failed", progress.failed, "red"),
        ("skipped", progress.skipped, "yellow"),
        ("unknown", progress.unknown, "magenta"),
    ):
        row(state, sum(reasons.values()), style)
        for reason, number in sorted(reasons.items(), key=lambda item: -item[1]):
            row(f"  {reason}", number, "dim")
    if progress.held_out:
        row("held out", progress.held_out)
    if progress.queued or progress.sending:
        row("still queued", progress.queued)
        row("on their way", progress.sending)
    return table
