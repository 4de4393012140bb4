"""Messages with `{name}` variables."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field

from api.auth import needs
from api.bodies import Body, Shown
from api.deps import Id, Now, Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once, Signed
from api.pages import Page, PlaceDep, page
from core import templates
from core.content import Text
from core.errors import Invalid
from core.models import Template

router = APIRouter(prefix="/api/v3/templates", tags=["templates"], route_class=Once)
looking = APIRouter(prefix="/api/v3/templates", tags=["templates"], route_class=Signed)


class TemplateIn(Body):
    """A message to be written to many."""

    name: Annotated[Str, Field(min_length=1, max_length=100)] = Field(examples=["Spring offer"])
    body: Annotated[Str, Field(max_length=100_000)] = Field(
        description="Variables are written {name}.", examples=["Hello {name}, spring has come to {city}."]
    )
    language: Annotated[Str, Field(min_length=2, max_length=20)] = Field(default="en", examples=["ar"])
    defaults: dict[Annotated[Str, Field(max_length=50)], Annotated[Str, Field(max_length=1000)]] = Field(
        default={}, max_length=100, description="For people who lack a value.", examples=[{"name": "friend"}]
    )
    cloud_name: Annotated[Str, Field(min_length=1, max_length=512)] | None = Field(
        default=None,
        description="The name of the template approved at Meta; its variables are filled in order.",
        examples=["spring_offer"],
    )


class TemplateOut(Shown):
    """A message with its variables."""

    id: int = Field(examples=[3])
    name: str = Field(examples=["Spring offer"])
    body: str = Field(examples=["Hello {name}, spring has come to {city}."])
    language: str = Field(examples=["en"])
    defaults: dict[str, str] = Field(examples=[{"name": "friend"}])
    cloud_name: str | None = Field(examples=["spring_offer"])
    variables: list[str] = Field(description="In order of first use.", examples=[["name", "city"]])
    created_at: datetime


class PreviewIn(Body):
    """Values to try."""

    values: dict[Annotated[Str, Field(max_length=50)], Annotated[Str, Field(max_length=1000)]] = Field(
        default={}, examples=[{"name": "نورة", "city": "Riyadh"}]
    )


class PreviewOut(Shown):
    """What a person with these values would read."""

    text: str = Field(examples=["Hello نورة, spring has come to Riyadh."])
    parameters: list[str] = Field(
        description="What Meta's template would be filled with.", examples=[["نورة", "Riyadh"]]
    )


def show(template: Template) -> TemplateOut:
    return TemplateOut(
        id=template.id,
        name=template.name,
        body=template.body,
        language=template.language,
        defaults=template.defaults,
        cloud_name=template.cloud_name,
        variables=templates.variables(template.body),
        created_at=template.created_at,
    )


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(needs("write"))],
    responses=documented(409),
    openapi_extra=DOCUMENTED,
)
async def create_template(body: TemplateIn, tx: Tx, now: Now) -> TemplateOut:
    """Save a message. Its variables are filled from the contact's name and attributes, then from `defaults`."""
    return show(await templates.create(tx, **body.model_dump(), at=now))


@router.get("", dependencies=[Depends(needs("read"))], responses=documented())
async def list_templates(tx: Tx, place: PlaceDep) -> Page[TemplateOut]:
    """All templates, oldest first."""
    rows = await templates.listed(tx, after=place.after, limit=place.limit)
    return page(rows, place, id_of=lambda row: row.id, show=show)


@router.get("/{template_id}", dependencies=[Depends(needs("read"))], responses=documented(404))
async def get_template(template_id: Id, tx: Tx) -> TemplateOut:
    """One template."""
    return show(await templates.get(tx, template_id))


@looking.post("/{template_id}/preview", dependencies=[Depends(needs("read"))], responses=documented(404))
async def preview_template(template_id: Id, body: PreviewIn, tx: Tx) -> PreviewOut:
    """What a person would read. Changes nothing, so it needs no idempotency key."""
    template = await templates.get(tx, template_id)
    used = templates.variables(template.body)
    hint = f"Variables of the template: {', '.join(used) or 'none'}."
    if unknown := sorted(set(body.values) - set(used)):
        raise Invalid(f"The template has no variable {unknown[0]!r}.", field=f"values.{unknown[0]}", hint=hint)
    try:
        content = templates.render(template, body.values)
    except templates.MissingVariable as missing:
        name = missing.args[0]
        raise Invalid(f"There is no value for {name!r}.", field=f"values.{name}", hint=hint) from None
    if isinstance(content, Text):
        return PreviewOut(text=content.body, parameters=[])
    return PreviewOut(text=content.text, parameters=list(content.parameters))
