"""What a person would read, before anything is sent. Sends nothing, and keeps nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from core import template_slots, templates
from core.content import Header
from core.database import Tx
from core.errors import NotFound
from core.models import Contact
from core.wordings import MissingVariable, Wording


@dataclass(frozen=True, slots=True)
class Preview:
    """`text` as it would come, marks such as *bold* as they are written; a variable without a value stands there
    as {name} and is among `missing`: that person would be skipped. `parameters` is what Meta's template is given for
    its text; `heading` and `buttons` are what stands around that."""

    text: str
    language: str
    variables: Sequence[str]
    missing: Sequence[str]
    parameters: Sequence[str]
    header: Header | None
    heading: str
    buttons: Sequence[str]


def of_wording(wording: Wording, values: Mapping[str, Any]) -> Preview:
    given = dict(values)
    missing: list[str] = []
    while True:
        try:
            content = wording.fill(given)
            break
        except MissingVariable as found:
            missing.append(found.args[0])
            given[found.args[0]] = f"{{{found.args[0]}}}"
    keys = [slot.key for slot, _ in wording.slots]
    around = template_slots.shown(
        wording.components, dict(zip(keys, (one.value for one in getattr(content, "slots", ())), strict=False))
    )
    text = getattr(content, "text", None) or getattr(content, "body", None) or getattr(content, "caption", None)
    return Preview(
        text=text or "",
        language=wording.language,
        variables=wording.variables,
        missing=missing,
        parameters=getattr(content, "parameters", ()),
        header=wording.header,
        heading=around.heading,
        buttons=around.buttons,
    )


def of_body(body: str, defaults: Mapping[str, str], values: Mapping[str, Any]) -> Preview:
    """Of a template that is not saved; raises `Invalid` where it could not be."""
    templates.check(body, defaults)
    return of_wording(Wording.plain(body, defaults), values)


async def of_template(tx: Tx, template_id: int, *, contact_id: int | None = None) -> Preview:
    """As the contact would get it, in their language; without a contact, the template itself with its defaults."""
    family = await templates.family(tx, template_id)
    if contact_id is None:
        return of_wording(family.own, {})
    row = (
        await tx.execute(select(Contact.name, Contact.language, Contact.attributes).where(Contact.id == contact_id))
    ).first()
    if row is None:
        raise NotFound(f"There is no contact {contact_id}.", field="contact_id")
    return of_wording(family.wording(row.language), {"name": row.name, **row.attributes})
