"""What a document says beside what the installation has."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cli import present
from cli.definitions import CampaignDefinition, Definition, SegmentDefinition, TemplateDefinition
from cli.documents import Document
from core import templates, wordings
from core.errors import NotFound, WaqtorError
from waqtor import Client
from waqtor.campaigns import Campaign
from waqtor.segments import Segment
from waqtor.templates import Template

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
                for wording in (wanted, *wanted.variants.values()):
                    with _told_of(document):
                        templates.check(wording.body, wording.defaults)
            return step
        case SegmentDefinition() as wanted:
            segment = next(iter(client.segments.list(name=wanted.name)), None)
            return Step(document, segment, None if segment is None else present.segment(segment))
        case CampaignDefinition() as wanted:
            return _campaign_step(client, document, wanted, {(d.definition.kind, d.definition.name) for d in documents})


def _campaign_step(
    client: Client, document: Document, wanted: CampaignDefinition, in_files: set[tuple[str, str]]
) -> Step:
    for kind, name in (("sender", wanted.sender), ("template", wanted.template), ("segment", wanted.audience.segment)):
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
    names = {wordings.tag(language): language for language in wanted.variants}
    variants = {names.get(wordings.tag(language), language): said for language, said in has.variants.items()}
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
