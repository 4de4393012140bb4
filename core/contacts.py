"""People: told apart by their identities. Files of them: `imports.py`."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import phonenumbers
from sqlalchemy import ColumnElement, bindparam, insert, select

from core import audiences, bulk, consents
from core.database import Tx, is_postgres
from core.errors import Invalid, NotFound
from core.events import ContactSaved, publish
from core.keys import MasterKey
from core.models import Contact, ContactTag, Identity, Merge
from core.ports import Address

_IDENTITY_LOCK = 7_726_003  # two writers must not both make the person of one number
_HOLDS_IDENTITIES = "waqtor_holds_identities"


@dataclass(frozen=True, slots=True)
class NewContact:
    """`phone` is E.164."""

    phone: str
    name: str = ""
    language: str | None = None
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    opted_out: bool = False
    timezone: str | None = None


def e164(raw: str, country: str) -> str:
    """The number in international form; Arabic digits are digits, and the marks of writing direction that come along
    when a number is copied out of Arabic text are nothing. Raises `Invalid` with what is wrong."""
    if not raw.isascii():
        raw = "".join(char for char in raw if unicodedata.category(char) != "Cf")
    try:
        number = phonenumbers.parse(raw, country)
    except phonenumbers.NumberParseException:
        raise Invalid("This is not a phone number.", field="phone", hint="Example: +966501234567") from None
    if not phonenumbers.is_valid_number(number):
        raise Invalid(
            "No such number exists in its country.",
            field="phone",
            hint=f"A number without a leading + is read as one of {country}.",
        )
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


async def save(tx: Tx, key: MasterKey, people: Sequence[NewContact], *, at: datetime) -> tuple[int, int]:
    """Make or update these people; returns (created, updated). Of a number given twice the last row wins;
    tags, attributes and an opt-out are added to what is known."""
    by_hash: dict[str, NewContact] = {}
    for one in people:
        value_hash = key.hash("phone", one.phone)
        by_hash[value_hash] = _merged(by_hash[value_hash], one) if value_hash in by_hash else one
    await lock_identities(tx)
    known = {
        row.value_hash: row.contact_id
        for row in await tx.execute(
            select(Identity.value_hash, Identity.contact_id).where(
                Identity.kind == "phone", Identity.value_hash.in_(list(by_hash))
            )
        )
    }
    new = [one for one in by_hash if one not in known]
    fresh = await _make(tx, {one: by_hash[one] for one in new}, at=at) if new else {}
    await _update(tx, {contact_id: by_hash[one] for one, contact_id in known.items()}, at=at)
    everyone = fresh | known
    tags = [
        {"contact_id": contact_id, "tag": tag}
        for one, contact_id in everyone.items()
        for tag in dict.fromkeys(by_hash[one].tags)
    ]
    if tags:
        await bulk.run(
            tx,
            f"INSERT INTO contact_tags (contact_id, tag) SELECT r.contact_id, r.tag "
            f"FROM {bulk.table(tx, contact_id='bigint', tag='text')} WHERE true ON CONFLICT DO NOTHING",
            tags,
        )
    refused = [one for one in everyone if by_hash[one].opted_out]
    if refused:
        await consents.lock(tx, [everyone[one] for one in refused])
        await consents.suppress(tx, refused, reason="imported", source="import", wording="", at=at)
    return len(new), len(people) - len(new)


async def _make(tx: Tx, people: Mapping[str, NewContact], *, at: datetime) -> dict[str, int]:
    """By hash of their numbers; returns the ids. These are taken first: rows that are written together tell theirs in
    no order."""
    ids = dict(zip(people, await bulk.take_ids(tx, Contact.__tablename__, len(people)), strict=True))
    rows = [
        {
            "id": ids[value_hash],
            "name": one.name,
            "language": one.language,
            "timezone": one.timezone,
            "attributes": one.attributes,
            "phone": one.phone,
            "value_hash": value_hash,
        }
        for value_hash, one in people.items()
    ]
    columns = {"id": "bigint", "name": "text", "language": "text", "timezone": "text", "attributes": "jsonb"}
    await bulk.run(
        tx,
        "INSERT INTO contacts (id, name, language, timezone, attributes, created_at, updated_at) "
        f"SELECT r.id, r.name, r.language, r.timezone, r.attributes, {bulk.now(tx)}, {bulk.now(tx)} "
        f"FROM {bulk.table(tx, **columns)}",
        rows,
        now=at,
    )
    await bulk.run(
        tx,
        "INSERT INTO identities (contact_id, kind, value, value_hash, created_at) "
        f"SELECT r.id, 'phone', r.phone, r.value_hash, {bulk.now(tx)} "
        f"FROM {bulk.table(tx, id='bigint', phone='text', value_hash='text')}",
        rows,
        now=at,
    )
    return ids


def _merged(first: NewContact, then: NewContact) -> NewContact:
    """Two rows of one person in one chunk come to the same as in two."""
    return NewContact(
        phone=then.phone,
        name=then.name or first.name,
        language=then.language or first.language,
        timezone=then.timezone or first.timezone,
        tags=first.tags + then.tags,
        attributes={**first.attributes, **then.attributes},
        opted_out=first.opted_out or then.opted_out,
    )


async def add(tx: Tx, key: MasterKey, one: NewContact, *, at: datetime) -> tuple[int, bool]:
    """Make or update one person; returns the id and whether it is new."""
    created, _ = await save(tx, key, [one], at=at)
    contact_id = await who(tx, key, [Address("phone", one.phone)], name="", at=at)
    await publish(tx, ContactSaved(contact_id=contact_id), at=at)
    return contact_id, bool(created)


async def _update(tx: Tx, known: Mapping[int, NewContact], *, at: datetime) -> None:
    if not known:
        return
    rows = (await tx.execute(select(Contact).where(Contact.id.in_(list(known))))).scalars()
    for contact in rows:
        given = known[contact.id]
        contact.name = given.name or contact.name
        contact.language = given.language or contact.language
        contact.timezone = given.timezone or contact.timezone
        contact.attributes = {**contact.attributes, **given.attributes}
        contact.updated_at = at
    await tx.flush()


async def known(tx: Tx, key: MasterKey, addresses: Iterable[Address]) -> Sequence[int]:
    """The people behind those of these addresses that we know."""
    hashes = {key.hash(address.kind, address.value) for address in addresses}
    rows = await tx.execute(select(Identity.contact_id).where(Identity.value_hash.in_(hashes)))
    return sorted(set(rows.scalars()))


_KNOWN = (
    select(Identity.value_hash, Identity.contact_id)
    .where(Identity.value_hash.in_(bindparam("hashes", expanding=True)))
    .order_by(Identity.id)
)


async def who(tx: Tx, key: MasterKey, addresses: Sequence[Address], *, name: str, at: datetime) -> int:
    """The person behind these addresses, made if new. An address not seen before is added to the person."""
    await lock_identities(tx)
    hashes = {key.hash(address.kind, address.value): address for address in addresses}
    rows = await tx.execute(_KNOWN, {"hashes": list(hashes)})
    known = {row.value_hash: row.contact_id for row in rows}
    if known:
        contact_id = next(iter(known.values()))
    else:
        contact_id = (
            await tx.execute(
                insert(Contact)
                .values(name=name[:200], attributes={}, created_at=at, updated_at=at)
                .returning(Contact.id)
            )
        ).scalar_one()
    for value_hash, address in hashes.items():
        if value_hash not in known:
            await tx.execute(
                insert(Identity).values(
                    contact_id=contact_id,
                    kind=address.kind,
                    value=address.value,
                    value_hash=value_hash,
                    created_at=at,
                )
            )
    return int(contact_id)


async def get(tx: Tx, contact_id: int) -> Contact:
    """Raises `NotFound`, which says of somebody merged into another into whom."""
    contact = await tx.get(Contact, contact_id)
    if contact is None:
        raise NotFound(f"There is no contact {contact_id}.", field="contact_id")
    if merge := (
        await tx.execute(select(Merge).where(Merge.gone_id == contact_id, Merge.undone_at.is_(None)))
    ).scalar():
        raise NotFound(
            f"Contact {contact_id} was merged into contact {merge.kept_id}.",
            field="contact_id",
            hint=f"To part them again: POST /api/v3/contacts/merges/{merge.id}/undo",
        )
    return contact


@dataclass(frozen=True, slots=True)
class Card:
    """A contact as others see it."""

    contact: Contact
    identities: Sequence[Address]
    tags: Sequence[str]
    suppressed: bool


async def cards(
    tx: Tx, *, after: int, limit: int, tag: str | None = None, matching: ColumnElement[bool] | None = None
) -> Sequence[Card]:
    """Contacts in order of id, with all that belongs to them. `matching` is a condition of `audiences.matching`."""
    query = select(Contact).where(Contact.id > after, audiences.is_there()).order_by(Contact.id).limit(limit)
    if matching is not None:
        query = query.where(matching)
    if tag is not None:
        query = query.join(ContactTag, ContactTag.contact_id == Contact.id).where(ContactTag.tag == tag)
    return await _with_belongings(tx, (await tx.execute(query)).scalars().all())


async def card(tx: Tx, contact_id: int) -> Card:
    return (await _with_belongings(tx, [await get(tx, contact_id)]))[0]


async def _with_belongings(tx: Tx, people: Sequence[Contact]) -> Sequence[Card]:
    ids = [contact.id for contact in people]
    identities: dict[int, list[Address]] = {}
    for row in await tx.execute(select(Identity).where(Identity.contact_id.in_(ids)).order_by(Identity.id)):
        one = row[0]
        identities.setdefault(one.contact_id, []).append(Address(one.kind, one.value))
    tags: dict[int, list[str]] = {}
    for contact_id, tag in await tx.execute(
        select(ContactTag.contact_id, ContactTag.tag).where(ContactTag.contact_id.in_(ids)).order_by(ContactTag.tag)
    ):
        tags.setdefault(contact_id, []).append(tag)
    refused = await consents.suppressed(tx, ids)
    return [
        Card(contact, identities.get(contact.id, []), tags.get(contact.id, []), contact.id in refused)
        for contact in people
    ]


async def lock_identities(tx: Tx) -> None:
    """Comes before any lock on a contact: an import holds it while it updates people."""
    if is_postgres(tx) and not tx.info.get(_HOLDS_IDENTITIES):
        await bulk.run(tx, f"SELECT pg_advisory_xact_lock({_IDENTITY_LOCK})")
        tx.info[_HOLDS_IDENTITIES] = not tx.in_nested_transaction()  # a savepoint that is rolled back lets go of it
