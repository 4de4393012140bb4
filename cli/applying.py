"""One difference, carried out over the API."""

from typing import Any

from cli.comparing import Step, id_of
from cli.definitions import (
    CampaignDefinition,
    SegmentDefinition,
    TemplateDefinition,
    VariantDefinition,
    WordingDefinition,
)
from waqtor import Client
from waqtor.campaigns import Campaign
from waqtor.segments import Segment
from waqtor.templates import Template


def carry_out(client: Client, step: Step) -> int:
    """Returns the id."""
    match step.wanted:
        case TemplateDefinition() as wanted:
            return _template(client, wanted, step)
        case SegmentDefinition() as wanted:
            if isinstance(step.found, Segment):
                return client.segments.update(step.found.id, filter=wanted.filter).id
            return client.segments.create(wanted.name, wanted.filter).id
        case CampaignDefinition() as wanted:
            return _campaign(client, wanted, step)


def _template(client: Client, wanted: TemplateDefinition, step: Step) -> int:
    said = {**_wording(wanted), "language": wanted.language, "cloud_name": wanted.cloud_name}
    has: dict[str, WordingDefinition] = {}
    if isinstance(step.found, Template) and isinstance(step.has, TemplateDefinition):
        template_id, has = step.found.id, dict(step.has.variants)
        for language in has.keys() - wanted.variants.keys():  # first: the template itself may become of this language
            client.templates.delete_variant(template_id, language)
        if changes := {name: said[name] for name in step.fields if name in said}:
            if changes.keys() & {"body", "defaults", "slots"}:  # each is checked by the others
                changes |= {name: said[name] for name in ("body", "defaults", "slots")}
            client.templates.change(template_id, changes)
    else:
        del said["slots"]  # only a template that comes from WhatsApp has some
        template_id = client.templates.create(wanted.name, **said).id
    for language, wording in wanted.variants.items():
        if has.get(language) != wording:
            client.templates.save_variant(template_id, language, _wording(wording))
    return template_id


def _wording(one: WordingDefinition) -> dict[str, Any]:
    header = None if one.header is None else one.header.model_dump(exclude_none=True)
    return {"body": one.body, "defaults": one.defaults, "header": header, "slots": one.slots}


def _campaign(client: Client, wanted: CampaignDefinition, step: Step) -> int:
    hours = wanted.quiet_hours
    audience: dict[str, Any] = wanted.audience.model_dump(exclude_none=True)
    if wanted.audience.segment is not None:
        audience["segment"] = id_of(client, "segment", wanted.audience.segment)
    said: dict[str, Any] = {
        "sender_id": id_of(client, "sender", wanted.sender),
        "template_id": id_of(client, "template", wanted.template),
        "purpose": wanted.purpose,
        "timezone": wanted.timezone,
        "variants": [_variant(client, one) for one in wanted.variants],
        "holdout_percent": wanted.holdout_percent,
        "canary": None if wanted.canary is None else wanted.canary.model_dump(),
    }
    if isinstance(step.found, Campaign):
        said |= {"audience": audience, "quiet_hours": None if hours is None else hours.model_dump(by_alias=True)}
        of = {"sender": "sender_id", "template": "template_id"}
        changes = {of.get(name, name): said[of.get(name, name)] for name in step.fields}
        return client.campaigns.change(step.found.id, changes).id
    audience.pop("all", None)
    quiet = None if hours is None else (hours.start, hours.end)
    return client.campaigns.create(wanted.name, **said, **audience, quiet_hours=quiet).id


def _variant(client: Client, wanted: VariantDefinition) -> dict[str, Any]:
    template_id = None if wanted.template is None else id_of(client, "template", wanted.template)
    return {
        "name": wanted.name,
        "template_id": template_id,
        "defaults": wanted.defaults,
        "weight": wanted.weight,
    }
