"""What a document says beside what the installation has."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cli import present
from cli.definitions import CampaignDefinition, Definition, SegmentDefinition, TemplateDefinition, WordingDefinition
from cli.documents import Document
from core import templates
from core.errors import Invalid, NotFound, WaqtorError
from core.wordings import tag
from waqtor import Client
from waqtor.campaigns import Campaign
from waqtor.segments import Segment
from waqtor.templates import Template, Variant

Found = Template | Segment | Campaign


@dataclass(frozen=True, slots=True)
class Step:
    document: Document
    found: Found | None
    has: Definition | None

    @property
    def wanted(self) -> Definition:
        return self.document.definition

    @property
    def differs(self) -> bool:
        return self.has is None or self.has.mapping() != self.wanted.mapping()

    @property
    def fields(self) -> list[str]:
        """Those that are to be otherwise, where there is something already."""
        was, will = (self.has or self.wanted).mapping(), self.wanted.mapping()
        return sorted(name for name in was.keys() | will.keys() if was.get(name) != will.get(name))


def compare(client: Client, document: Document, documents: Sequence[Document]) -> Step:
    """What there is of this name. Raises `Invalid` and the like where it could not be carried out, as far as can be
    known before it is tried."""
    match document.definition:
        case TemplateDefinition() as wanted:
            found = next(iter(client.templates.list(name=wanted.name)), None)
            step = Step(document, found, None if found is None else _as_written(present.template(found), wanted))
            if step.differs:
                rows: list[Template | Variant] = [] if found is None else [found, *found.variants]
                at_meta = {tag(row.language): row.slots for row in rows}
                for language, wording in ((wanted.language, wanted), *wanted.variants.items()):
                    with _told_of(document):
                        _check(wording, at_meta.get(tag(language), {}))
            return step
        case SegmentDefinition() as wanted:
            segment = next(iter(client.segments.list(name=wanted.name)), None)
            return Step(document, segment, None if segment is None else present.segment(segment))
        case CampaignDefinition() as wanted:
            return _campaign_step(client, document, wanted, {(d.definition.kind, d.definition.name) for d in documents})


def _check(wording: WordingDefinition, slots: Mapping[str, str]) -> None:
    if unknown := sorted(wording.slots.keys() - slots.keys()):
        hint = f"It has: {', '.join(slots) or 'none; they come with the templates of the WhatsApp account'}."
        raise Invalid(f"The template has no slot {unknown[0]!r}.", field="slots", hint=hint)
    templates.check(wording.body, wording.defaults, [wording.slots.get(key, key) for key in slots])


def _campaign_step(
    client: Client, document: Document, wanted: CampaignDefinition, in_files: set[tuple[str, str]]
) -> Step:
    named = [("sender", wanted.sender), ("template", wanted.template), ("segment", wanted.audience.segment)]
    named += [("template", one.template) for one in wanted.variants]
    for kind, name in named:
        if name is not None and (kind, name) not in in_files:
            with _told_of(document):
                id_of(client, kind, name)
    known = list(present.campaigns_named(client, wanted.name))
    if len(known) > 1:
        ids = ", ".join(str(one.id) for one in known)
        raise document.wrong(f"name: campaigns {ids} have this name; nobody can say which is meant.")
    if not known:
        return Step(document, None, None)
    return Step(document, known[0], present.campaign(known[0], present.Names(client)))


def _as_written(has: TemplateDefinition, wanted: TemplateDefinition) -> TemplateDefinition:
    """ar-SA and ar_SA are one language: it is named here as the file does."""
    names = {tag(language): language for language in wanted.variants}
    variants = {names.get(tag(language), language): said for language, said in has.variants.items()}
    return has.model_copy(update={"variants": dict(sorted(variants.items()))})


@contextmanager
def _told_of(document: Document) -> Iterator[None]:
    try:
        yield
    except WaqtorError as error:
        where = f"{error.field}: " if error.field else ""
        raise document.wrong(where + error.message, hint=error.hint) from None


def id_of(client: Client, kind: str, name: str) -> int:
    """Raises `NotFound`."""
    resource: Any = {"sender": client.senders, "template": client.templates, "segment": client.segments}[kind]
    found = next(iter(resource.list(name=name)), None)
    if found is None:
        raise NotFound(f"There is no {kind} {name!r}.", field="audience.segment" if kind == "segment" else kind)
    found_id: int = found.id
    return found_id
