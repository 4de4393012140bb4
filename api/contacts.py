"""People: one by one. Files of them: `imports.py`."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from api.auth import needs, principal_of, require
from api.bodies import Body, Shown
from api.deps import Id, Now, PlatformDep, Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once, Signed
from api.masking import sees_numbers
from api.pages import Page, PlaceDep, page
from core import attributes, audiences, consents, contacts
from core.contacts import Card, NewContact
from core.filters import MAX_TEXT
from core.filters_text import parse
from core.ports import Address

router = APIRouter(prefix="/api/v3/contacts", tags=["contacts"], route_class=Once)
looking = APIRouter(prefix="/api/v3/contacts", tags=["contacts"], route_class=Signed)


Value = bool | int | float | Annotated[Str, Field(max_length=1000)]


class IdentityOut(Shown):
    """One way to reach the person."""

    kind: str = Field(description="phone, lid or bsuid (WhatsApp's own ids of a person).", examples=["phone"])
    value: str = Field(examples=["+966501234567"])


class ContactOut(Shown):
    """A person."""

    id: int = Field(examples=[7])
    phone: str | None = Field(description="The first phone number; null where only another identity is known.")
    name: str = Field(examples=["نورة"])
    language: str | None = Field(examples=["ar"])
    timezone: str | None = Field(examples=["Asia/Riyadh"])
    tags: list[str] = Field(examples=[["customers", "riyadh"]])
    attributes: dict[str, str] = Field(description="Fill in template variables.", examples=[{"city": "Riyadh"}])
    identities: list[IdentityOut]
    opted_out: bool = Field(description="Never written to: the person said STOP, or was entered so.")
    created_at: datetime
    updated_at: datetime


class ContactIn(Body):
    """A person to add. Known by the number: giving one again updates it, and adds tags and attributes."""

    phone: Annotated[Str, Field(max_length=40)] = Field(
        description="International form, or that of the default country.", examples=["+966501234567"]
    )
    name: Annotated[Str, Field(max_length=200)] = Field(default="", examples=["نورة"])
    language: Annotated[Str, Field(max_length=20)] | None = Field(default=None, examples=["ar"])
    tags: list[Annotated[Str, Field(min_length=1, max_length=80)]] = Field(
        default=[], max_length=50, examples=[["customers"]]
    )
    attributes: dict[Annotated[Str, Field(max_length=50)], Value] = Field(
        default={}, max_length=100, description="Each is of its kind; see attributes.", examples=[{"city": "Riyadh"}]
    )


class NumberIn(Body):
    """Whose number it is that one looks for."""

    phone: Annotated[Str, Field(min_length=1, max_length=40)] = Field(
        description="As it is usually written: +966 50 123 4567, 00966501234567, ٠٥٠١٢٣٤٥٦٧.", examples=["0501234567"]
    )
    country: Annotated[Str, Field(pattern="^[A-Za-z]{2}$")] | None = Field(
        default=None, description="Of numbers without a country; not given: the default country.", examples=["SA"]
    )


class FoundOut(Shown):
    """Who has the number."""

    contact: ContactOut | None = Field(description="null: nobody.")


class OptOutIn(Body):
    """Why the person is not to be written to any more."""

    reason: Annotated[Str, Field(min_length=1, max_length=40)] = Field(default="asked", examples=["asked by phone"])
    wording: Annotated[Str, Field(max_length=1000)] = Field(
        default="", description="What the person said, kept as proof.", examples=["Please take me off your list."]
    )


def show(card: Card) -> ContactOut:
    contact = card.contact
    return ContactOut(
        id=contact.id,
        phone=next((one.value for one in card.identities if one.kind == "phone"), None),
        name=contact.name,
        language=contact.language,
        timezone=contact.timezone,
        tags=list(card.tags),
        attributes=contact.attributes,
        identities=[IdentityOut.model_validate(one) for one in card.identities],
        opted_out=card.suppressed,
        created_at=contact.created_at,
        updated_at=contact.updated_at,
    )


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(needs("contacts.write"))],
    responses={200: {"model": ContactOut, "description": "The number was known; updated."}, **documented(409)},
    openapi_extra=DOCUMENTED,
)
async def create_contact(body: ContactIn, response: Response, platform: PlatformDep, tx: Tx, now: Now) -> ContactOut:
    """Add a person, or update the one with this number (200 instead of 201)."""
    one = NewContact(
        phone=contacts.e164(body.phone, platform.settings.default_country),
        name=body.name,
        language=body.language,
        tags=tuple(body.tags),
        attributes=await attributes.checked(tx, body.attributes),
    )
    contact_id, is_new = await contacts.add(tx, platform.key, one, at=now)
    response.status_code = 201 if is_new else 200
    return show(await contacts.card(tx, contact_id))


@router.get("", dependencies=[Depends(needs("contacts.read"))], responses=documented())
async def list_contacts(
    request: Request,
    tx: Tx,
    place: PlaceDep,
    now: Now,
    tag: Annotated[Str | None, Query(max_length=80, description="Only those with this tag.")] = None,
    filter: Annotated[
        Str | None,
        Query(max_length=MAX_TEXT, description="Only those it chooses.", examples=['tag = "vip" and age >= 18']),
    ] = None,
) -> Page[ContactOut]:
    """Contacts in the order they were added."""
    sees = sees_numbers(principal_of(request))
    matching = None if filter is None else await audiences.matching(tx, parse(filter), at=now, sees_numbers=sees)
    cards = await contacts.cards(tx, after=place.after, limit=place.limit, tag=tag, matching=matching)
    return page(cards, place, id_of=lambda card: card.contact.id, show=show)


@looking.post("/find", dependencies=[Depends(needs("contacts.read"))], responses=documented())
async def find_contact(body: NumberIn, request: Request, platform: PlatformDep, tx: Tx) -> FoundOut:
    """Who has exactly this phone number. It takes `numbers.read` too, since asking for one number after another tells
    numbers. Changes nothing; the number is in the body, because addresses are written into logs on the way."""
    require(principal_of(request), "numbers.read")
    country = (body.country or platform.settings.default_country).upper()
    number = Address("phone", contacts.e164(body.phone, country))
    theirs = await contacts.known(tx, platform.key, [number])
    return FoundOut(contact=show(await contacts.card(tx, theirs[0])) if theirs else None)


@router.get("/{contact_id}", dependencies=[Depends(needs("contacts.read"))], responses=documented(404))
async def get_contact(contact_id: Id, tx: Tx) -> ContactOut:
    """One person."""
    return show(await contacts.card(tx, contact_id))


@router.post(
    "/{contact_id}/opt-out",
    dependencies=[Depends(needs("contacts.write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def opt_out_contact(contact_id: Id, tx: Tx, now: Now, body: OptOutIn | None = None) -> ContactOut:
    """Never write to this person again, at any of their numbers. Counts before the next message leaves."""
    ask = body or OptOutIn()
    await contacts.get(tx, contact_id)
    await consents.opt_out(tx, contact_id, reason=ask.reason, source="api", wording=ask.wording, at=now)
    return show(await contacts.card(tx, contact_id))
