"""`waqtor export`: what there is, as documents that `waqtor apply` takes."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator

from cli import present
from cli.connected import connected
from cli.definitions import Definition, written
from waqtor import Client, NotFound


def export(asked: argparse.Namespace) -> int:
    with connected() as client:
        documents = "---\n".join(written(one) for one in _definitions(client))
    if asked.out is None:
        sys.stdout.write(documents)
    else:
        asked.out.write_text(documents, encoding="utf-8")
    return 0


def _definitions(client: Client) -> Iterator[Definition]:
    yield from map(present.template, client.templates.list(limit=500))
    yield from map(present.segment, client.segments.list(limit=500))
    campaigns = list(present.campaigns_named(client))
    of_name = Counter(one.name for one in campaigns)
    names = present.Names(client)
    for campaign in campaigns:
        try:
            if of_name[campaign.name] > 1:
                _left_out(campaign.id, f"{of_name[campaign.name]} campaigns are called {campaign.name!r}")
            else:
                yield present.campaign(campaign, names)
        except NotFound as gone:
            _left_out(campaign.id, gone.message)


def _left_out(campaign_id: int, why: str) -> None:
    print(f"waqtor: campaign {campaign_id} is left out: {why}", file=sys.stderr)
