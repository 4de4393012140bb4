"""Messages with `{name}` variables."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from api.auth import needs
from api.bodies import Body, Shown
from api.deps import Id, Now, Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once, Signed
from api.pages import Named, OrderedDep, Page, page
from core import template_preview, template_slots, templates
from core.content import Header
from core.errors import Invalid
from core.models import Template, TemplateVariant
from core.template_preview import Preview

router = APIRouter(prefix="/api/v3/templates", tags=["templates"], route_class=Once)
looking = APIRouter(prefix="/api/v3/templates", tags=["templates"], route_class=Signed)


_Name = Annotated[Str, Field(min_length=1, max_length=100)]
_Text = Annotated[Str, Field(max_length=100_000)]
_Values = dict[Annotated[Str, Field(max_length=50)], Annotated[Str, Field(max_length=1000)]]
_Slots = dict[Annotated[Str, Field(max_length=60)], Annotated[Str, Field(max_length=50)]]
_Language = Annotated[
    Str, Path(min_length=2, max_length=20, pattern=r"^[A-Za-z]{2,3}([_-][A-Za-z0-9]+)*$", examples=["ar"])
]


_SLOTS = (
    "The variables of what Meta's template wants filled in outside its text: `header`, the address or the code of "
    "`button_1`. One that is not named here is filled by the variable of its own name."
)


class TemplateIn(Body):
    """A message to be written to many."""

    name: _Name = Field(examples=["Spring offer"])
    body: _Text = Field(
        description="Variables are written {name}.", examples=["Hello {name}, spring has come to {city}."]
    )
    language: Annotated[Str, Field(min_length=2, max_length=20)] = Field(default="en", examples=["ar"])
    defaults: _Values = Field(
        default={}, max_length=100, description="For people who lack a value.", examples=[{"name": "friend"}]
    )
    header: Header | None = Field(default=None, description="A picture, video or document above the text.")
    cloud_name: Annotated[Str, Field(min_length=1, max_length=512)] | None = Field(
        default=None,
        description="The name of the template approved at Meta; its variables are filled in order.",
        examples=["spring_offer"],
    )


class TemplateChanges(Body):
    """What is to change; what is not named stays. Of a template that comes from WhatsApp, only the variables' names
    in `body` can be changed: Meta's first parameter is filled by the variable that stands in its place."""

    name: _Name = Field(default="", examples=["Spring offer"])
    body: _Text = Field(default="", examples=["Hello {first_name}, spring has come to {city}."])
    defaults: _Values = Field(default={}, max_length=100, examples=[{"name": "friend"}])
    header: Header | None = Field(default=None, description="null takes it away.")
    slots: _Slots = Field(default={}, max_length=20, description=_SLOTS, examples=[{"button_1": "order_path"}])
    language: Annotated[Str, Field(min_length=2, max_length=20)] = Field(default="", examples=["ar"])
    cloud_name: Annotated[Str, Field(min_length=1, max_length=512)] | None = Field(
        default=None, description="null takes it away.", examples=["spring_offer"]
    )


class VariantChanges(Body):
    """What is to change; a new variant needs a `body`."""

    body: _Text = Field(default="", examples=["مرحباً {name}"])
    defaults: _Values = Field(default={}, max_length=100, examples=[{"name": "صديقنا"}])
    header: Header | None = Field(default=None, description="null: that of the template itself.")
    slots: _Slots = Field(default={}, max_length=20, description=_SLOTS, examples=[{"button_1": "order_path"}])


class VariantOut(Shown):
    """The same message in another language."""

    language: str = Field(examples=["ar"])
    body: str = Field(examples=["مرحباً {name}"])
    defaults: dict[str, str] = Field(examples=[{"name": "صديقنا"}])
    header: Header | None
    slots: dict[str, str] = Field(description="As of the template.", examples=[{"button_1": "order_path"}])
    status: str | None = Field(description="As of the template.", examples=["approved"])


class TemplateOut(Shown):
    """A message with its variables."""

    id: int = Field(examples=[3])
    name: str = Field(examples=["Spring offer"])
    body: str = Field(examples=["Hello {name}, spring has come to {city}."])
    language: str = Field(examples=["en"])
    defaults: dict[str, str] = Field(examples=[{"name": "friend"}])
    cloud_name: str | None = Field(examples=["spring_offer"])
    variables: list[str] = Field(description="In order of first use.", examples=[["name", "city"]])
    header: Header | None = Field(description="A picture, video or document above the text.")
    slots: dict[str, str] = Field(description=_SLOTS, examples=[{"button_1": "order_path"}])
    variants: list[VariantOut] = Field(description="The other languages; each person gets theirs, else this one.")
    category: str = Field(description="Meta's: marketing, utility or authentication.", examples=["marketing"])
    status: str | None = Field(
        description="What WhatsApp said last: approved, pending, rejected, paused, disabled, deleted …; null for a "
        "template made by hand.",
        examples=["approved"],
    )
    waba_id: str | None = Field(description="The account it was synced from.", examples=["102290129340398"])
    synced_at: datetime | None
    created_at: datetime


class PreviewIn(Body):
    """Values to try."""

    values: dict[Annotated[Str, Field(max_length=50)], Annotated[Str, Field(max_length=1000)]] = Field(
        default={}, examples=[{"name": "نورة", "city": "Riyadh"}]
    )


class DraftIn(Body):
    """A message that is not saved, and values to try."""

    body: _Text = Field(examples=["*Hello {name}*, spring has come to {city}."])
    defaults: _Values = Field(default={}, max_length=100, examples=[{"name": "friend"}])
    values: _Values = Field(default={}, max_length=100, examples=[{"city": "Riyadh"}])


class PreviewOut(Shown):
    """What a person with these values would read."""

    text: str = Field(
        description="As it would come; a variable without a value stands there as {name}.",
        examples=["Hello نورة, spring has come to Riyadh."],
    )
    language: str = Field(description="Which variant it is; empty for one that is not saved.", examples=["en"])
    variables: list[str] = Field(examples=[["name", "city"]])
    missing: list[str] = Field(
        description="Variables without a value: such a person would be skipped.", examples=[["city"]]
    )
    parameters: list[str] = Field(
        description="What the text of Meta's template would be filled with.", examples=[["نورة", "Riyadh"]]
    )
    header: Header | None
    heading: str = Field(description="The text above it, where Meta's template has one.", examples=["For نورة"])
    buttons: list[str] = Field(
        description="Each with where it leads or what it copies.", examples=[["Track: https://shop.example/t/A17"]]
    )


def show(template: Template, variants: Sequence[TemplateVariant] = ()) -> TemplateOut:
    slots = template_slots.variables(template.components, template.slots)
    return TemplateOut(
        id=template.id,
        name=template.name,
        body=template.body,
        language=template.language,
        defaults=template.defaults,
        cloud_name=template.cloud_name,
        variables=list(dict.fromkeys((*templates.variables(template.body), *slots.values()))),
        header=None if template.header is None else Header.model_validate(template.header),
        slots=slots,
        variants=[_variant(one) for one in variants],
        category=template.category,
        status=template.status,
        waba_id=template.waba_id,
        synced_at=template.synced_at,
        created_at=template.created_at,
    )


def _variant(row: TemplateVariant) -> VariantOut:
    return VariantOut(
        language=row.language,
        body=row.body,
        defaults=row.defaults,
        header=None if row.header is None else Header.model_validate(row.header),
        slots=template_slots.variables(row.components, row.slots),
        status=row.status,
    )


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(needs("templates.write"))],
    responses=documented(409),
    openapi_extra=DOCUMENTED,
)
async def create_template(body: TemplateIn, tx: Tx, now: Now) -> TemplateOut:
    """Save a message. Its variables are filled from the contact's name and attributes, then from `defaults`."""
    return show(await templates.create(tx, **body.model_dump(), at=now))


@router.get("", dependencies=[Depends(needs("templates.read"))], responses=documented())
async def list_templates(tx: Tx, place: OrderedDep, name: Named = None) -> Page[TemplateOut]:
    """All templates, oldest first unless `order` says otherwise."""
    rows = await templates.listed(tx, after=place.after, limit=place.limit, order=place.order, name=name)
    variants = await templates.variants(tx, [row.id for row in rows])
    return page(rows, place, id_of=lambda row: row.id, show=lambda row: show(row, variants.get(row.id, ())))


@router.get("/{template_id}", dependencies=[Depends(needs("templates.read"))], responses=documented(404))
async def get_template(template_id: Id, tx: Tx) -> TemplateOut:
    """One template."""
    return await _shown(tx, template_id)


async def _shown(tx: Tx, template_id: int) -> TemplateOut:
    template = await templates.get(tx, template_id)
    return show(template, (await templates.variants(tx, [template_id])).get(template_id, ()))


@router.patch(
    "/{template_id}",
    dependencies=[Depends(needs("templates.write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def change_template(template_id: Id, body: TemplateChanges, tx: Tx, now: Now) -> TemplateOut:
    """Change a message. Refused while a campaign that uses it is running: pause that first."""
    await templates.change(tx, template_id, body.model_dump(exclude_unset=True), at=now)
    return await _shown(tx, template_id)


@router.delete(
    "/{template_id}",
    dependencies=[Depends(needs("templates.write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def delete_template(template_id: Id, tx: Tx, now: Now) -> TemplateOut:
    """Forget a message that no campaign has used, and show it a last time. At WhatsApp nothing is deleted."""
    shown = await _shown(tx, template_id)
    await templates.remove(tx, template_id, at=now)
    return shown


@router.put(
    "/{template_id}/variants/{language}",
    dependencies=[Depends(needs("templates.write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def save_variant(template_id: Id, language: _Language, body: VariantChanges, tx: Tx, now: Now) -> TemplateOut:
    """Add the message in another language, or change it there. A contact whose `language` is `ar_SA` gets the variant
    `ar_SA`, else `ar`, else the template itself."""
    await templates.save_variant(tx, template_id, language, body.model_dump(exclude_unset=True), at=now)
    return await _shown(tx, template_id)


@router.delete(
    "/{template_id}/variants/{language}",
    dependencies=[Depends(needs("templates.write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def delete_variant(template_id: Id, language: _Language, tx: Tx, now: Now) -> TemplateOut:
    """Take a language away; its people get the template itself."""
    await templates.remove_variant(tx, template_id, language, at=now)
    return await _shown(tx, template_id)


@looking.post("/preview", dependencies=[Depends(needs("templates.read"))], responses=documented())
async def preview_draft(body: DraftIn) -> PreviewOut:
    """What a person would read of a message that is not saved. Changes nothing, so it needs no idempotency key."""
    return _previewed(template_preview.of_body(body.body, body.defaults, body.values))


@looking.get("/{template_id}/preview", dependencies=[Depends(needs("contacts.read"))], responses=documented(404))
async def preview_for_contact(
    template_id: Id, tx: Tx, contact_id: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None
) -> PreviewOut:
    """What this contact would read, in their language. Without a contact: the template with its defaults."""
    return _previewed(await template_preview.of_template(tx, template_id, contact_id=contact_id))


def _previewed(found: Preview) -> PreviewOut:
    return PreviewOut.model_validate(found)


@looking.post("/{template_id}/preview", dependencies=[Depends(needs("templates.read"))], responses=documented(404))
async def preview_template(template_id: Id, body: PreviewIn, tx: Tx) -> PreviewOut:
    """What a person would read. Changes nothing, so it needs no idempotency key."""
    own = (await templates.family(tx, template_id)).own
    hint = f"Variables of the template: {', '.join(own.variables) or 'none'}."
    if unknown := sorted(set(body.values) - set(own.variables)):
        raise Invalid(f"The template has no variable {unknown[0]!r}.", field=f"values.{unknown[0]}", hint=hint)
    found = template_preview.of_wording(own, body.values)
    if found.missing:
        name = found.missing[0]
        raise Invalid(f"There is no value for {name!r}.", field=f"values.{name}", hint=hint)
    return _previewed(found)
