"""What the installation has, in the same form as what a file says."""

from collections.abc import Iterator, Mapping
from typing import Any

from cli.definitions import (
    AudienceDefinition,
    CampaignDefinition,
    SegmentDefinition,
    TemplateDefinition,
    WordingDefinition,
)
from waqtor import Client
from waqtor.campaigns import Campaign
from waqtor.campaigns import Variant as CampaignVariant
from waqtor.segments import Segment
from waqtor.templates import Template, Variant


def template(found: Template) -> TemplateDefinition:
    return TemplateDefinition(
        kind="template",
        name=found.name,
        language=found.language,
        cloud_name=found.cloud_name,
        variants={one.language: WordingDefinition(**_wording(one)) for one in found.variants},
        **_wording(found),
    )


def _wording(found: Template | Variant) -> dict[str, Any]:
    return {"body": found.body, "defaults": found.defaults, "header": found.header, "slots": found.slots}


def segment(found: Segment) -> SegmentDefinition:
    return SegmentDefinition(kind="segment", name=found.name, filter=found.filter)


class Names:
    """The names of what campaigns point to, each asked for once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, int], str] = {}

    def of(self, kind: str, id: int) -> str:
        if (kind, id) not in self._known:
            asked: Mapping[str, Any] = {
                "sender": self._client.senders,
                "template": self._client.templates,
                "segment": self._client.segments,
            }
            self._known[kind, id] = asked[kind].get(id).name
        return self._known[kind, id]


def campaign(found: Campaign, names: Names) -> CampaignDefinition:
    audience = {name: value for name, value in found.audience.items() if value is not None}
    if "segment" in audience:
        audience["segment"] = names.of("segment", audience["segment"])
    return CampaignDefinition.model_validate(
        {
            "kind": "campaign",
            "name": found.name,
            "sender": names.of("sender", found.sender_id),
            "template": names.of("template", found.template_id),
            "audience": AudienceDefinition(**audience),
            "purpose": found.purpose,
            "quiet_hours": found.quiet_hours,
            "timezone": found.timezone,
            "variants": [_variant(one, names) for one in found.variants],
            "holdout_percent": found.holdout_percent,
            "canary": found.canary and found.canary.model_dump(),
        }
    )


def _variant(found: CampaignVariant, names: Names) -> dict[str, Any]:
    template = None if found.template_id is None else names.of("template", found.template_id)
    return {"name": found.name, "template": template, "defaults": found.defaults, "weight": found.weight}


def campaigns_named(client: Client, name: str | None = None) -> Iterator[Campaign]:
    """Without the cancelled: those are over, and their name is free for another."""
    return (one for one in client.campaigns.list(name=name, limit=500) if one.state != "cancelled")
