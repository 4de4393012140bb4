"""Single messages as they are asked for: checked, worded, addressed, and put into the queue. They leave by `outbox`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlalchemy import select

from core import campaigns, consents, contacts, media, media_uploads, messages, senders, templates, variants
from core.addressing import PREFERRED
from core.bootstrap import Platform
from core.contacts import NewContact
from core.content import Content, Media, Reaction, media_of
from core.database import Tx
from core.errors import Invalid, NotFound, WaqtorError
from core.events import ContactSaved, MessagesMoved, publish
from core.models import Contact, Identity, MediaFile, Merge, Message, Sender
from core.templates import Family
from core.wordings import MissingVariable

T = TypeVar("T")
MOST = 1_000
"""At once, in one transaction."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A template of ours with its variables; what is not given comes from the person's record, then its defaults.
    `as_contact_id`: from that person's record instead, and in their language. `instead` goes before the defaults."""

    template_id: int
    variables: Mapping[str, str] = field(default_factory=dict)
    language: str | None = None
    as_contact_id: int | None = None
    instead: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReactionTo:
    """`message_id` is ours. An empty `emoji` takes an earlier reaction back."""

    message_id: int
    emoji: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """One message somebody wants sent, to a number as they write it or to a contact."""

    sender_id: int
    content: Content | Filled | ReactionTo
    phone: str | None = None
    contact_id: int | None = None
    purpose: str = "service"
    not_before: datetime | None = None
    expires_at: datetime | None = None
    reply_to: int | None = None
    test_of: int | None = None


@dataclass(frozen=True, slots=True)
class _Person:
    """`id` is None of a number nobody has yet."""

    id: int | None
    address: str
    name: str = ""
    language: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)


async def accept(tx: Tx, platform: Platform, wanted: Wanted, *, at: datetime) -> Message:
    """Raises what is wrong with it."""
    (taken,) = await accept_many(tx, platform, [wanted], at=at)
    if isinstance(taken, WaqtorError):
        raise taken
    return taken


async def try_out(
    tx: Tx,
    platform: Platform,
    campaign_id: int,
    *,
    phone: str | None,
    contact_id: int | None,
    as_contact_id: int | None,
    variant: str | None = None,
    at: datetime,
) -> Message:
    """The campaign's message to one person, as the campaign would write it to `as_contact_id` (else to them): this
    variant of it, or the first that it has. They are no recipient of it, and need not have agreed to anything; who has
    said stop gets nothing all the same."""
    campaign = await campaigns.get(tx, campaign_id)
    tried = next(iter(await variants.of_one(tx, campaign_id)), None)
    if variant is not None:
        tried = await variants.named(tx, campaign_id, variant)
    wanted = Wanted(
        sender_id=campaign.sender_id,
        content=Filled(
            (tried and tried.template_id) or campaign.template_id,
            as_contact_id=as_contact_id,
            instead=tried.defaults if tried else {},
        ),
        phone=phone,
        contact_id=contact_id,
        test_of=campaign_id,
    )
    return await accept(tx, platform, wanted, at=at)


async def accept_many(
    tx: Tx, platform: Platform, wanted: Sequence[Wanted], *, at: datetime
) -> Sequence[Message | WaqtorError]:
    """Each queued, or refused with its own error; a refused one leaves nothing behind, not even a new contact."""
    desk = _Desk(tx, platform, at)
    await desk.prepare(wanted)
    taken: list[Message | WaqtorError] = []
    for one in wanted:
        try:
            taken.append(await desk.written(one))
        except WaqtorError as refused:
            taken.append(refused)
    rows = [one for one in taken if isinstance(one, Message)]
    await desk.make_newcomers(rows)
    tx.add_all(rows)
    await tx.flush()
    for row in rows:
        row.client_id = messages.client_id(platform.installation, "message", row.id)
    await tx.flush()
    for sender_id in sorted({row.sender_id for row in rows if row.media_id}):
        files = {row.media_id for row in rows if row.media_id and row.sender_id == sender_id}
        await media_uploads.ask(tx, sender_id, files, at=at)
    if rows:
        queued = MessagesMoved("queued", [row.id for row in rows], messages.chats_of(rows))
        await publish(tx, queued, at=at)
    return taken


class _Desk:
    """Looks up for many what each of them needs."""

    def __init__(self, tx: Tx, platform: Platform, at: datetime) -> None:
        self._tx = tx
        self._key = platform.key
        self._country = platform.settings.default_country
        self._at = at
        self._phones: dict[str, str | WaqtorError] = {}
        self._by_phone: dict[str, _Person] = {}
        self._by_id: dict[int, _Person | WaqtorError] = {}
        self._answered: dict[int, Message] = {}
        self._senders: dict[int, Sender | WaqtorError] = {}
        self._families: dict[tuple[int, str], Family | WaqtorError] = {}
        self._files: dict[tuple[int, str], MediaFile | WaqtorError] = {}

    async def prepare(self, wanted: Sequence[Wanted]) -> None:
        for phone in {one.phone for one in wanted if one.phone is not None}:
            try:
                self._phones[phone] = contacts.e164(phone, self._country)
            except Invalid as wrong:
                self._phones[phone] = Invalid(wrong.message, field="to", hint=wrong.hint)
        await self._find_by_phone([one for one in self._phones.values() if isinstance(one, str)])
        named = {one.contact_id for one in wanted} | {
            one.content.as_contact_id for one in wanted if isinstance(one.content, Filled)
        }
        await self._find_by_id(sorted(contact_id for contact_id in named if contact_id is not None))
        referred = {one.reply_to for one in wanted if one.reply_to is not None}
        referred |= {one.content.message_id for one in wanted if isinstance(one.content, ReactionTo)}
        rows = await self._tx.execute(select(Message).where(Message.id.in_(referred)))
        self._answered = {row.id: row for row in rows.scalars()}

    async def written(self, one: Wanted) -> Message:
        sender = await self._sender(one.sender_id)
        purpose = consents.purpose(one.purpose)
        not_before = max(one.not_before or self._at, self._at)
        if one.expires_at is not None and one.expires_at <= not_before:
            raise Invalid("It would expire before it may leave.", field="expires_at")
        person = self._person(one)
        content = await self._content(one, person, sender)
        file = None if (named := media_of(content)) is None else await self._file(*named)
        if file is not None and isinstance(content, Media) and content.type == "document" and not content.filename:
            content = content.model_copy(update={"filename": file.filename})
        reply_to = None if one.reply_to is None else self._provider_id(one.reply_to, one, person, "reply_to")
        return Message(
            direction="out",
            sender_id=sender.id,
            contact_id=person.id,
            address=person.address,
            content=content.model_dump(mode="json"),
            state="queued",
            purpose=purpose,
            not_before=not_before,
            expires_at=one.expires_at,
            reply_to=reply_to,
            test_of=one.test_of,
            media_id=None if file is None else file.id,
            at=self._at,
        )

    async def make_newcomers(self, rows: Sequence[Message]) -> None:
        """Make the people of numbers that nobody had."""
        new = [row for row in rows if row.contact_id is None]
        phones = list(dict.fromkeys(row.address for row in new))
        if not phones:
            return
        await contacts.save(self._tx, self._key, [NewContact(phone=phone) for phone in phones], at=self._at)
        await self._find_by_phone(phones)
        for row in new:
            row.contact_id = self._by_phone[row.address].id
        for phone in phones:
            await publish(self._tx, ContactSaved(contact_id=self._by_phone[phone].id or 0), at=self._at)

    async def _find_by_phone(self, phones: Sequence[str]) -> None:
        hashes = {self._key.hash("phone", phone): phone for phone in phones}
        rows = await self._tx.execute(
            select(Identity.value_hash, Contact.id, Contact.name, Contact.language, Contact.attributes)
            .join(Contact, Contact.id == Identity.contact_id)
            .where(Identity.value_hash.in_(hashes), Identity.kind == "phone")
        )
        for value_hash, contact_id, name, language, attributes in rows:
            phone = hashes[value_hash]
            self._by_phone[phone] = _Person(contact_id, phone, name, language, attributes)

    async def _find_by_id(self, ids: Sequence[int]) -> None:
        rows = await self._tx.execute(
            select(Contact, Identity.kind, Identity.value)
            .outerjoin(Identity, Identity.contact_id == Contact.id)
            .where(Contact.id.in_(ids))
            .order_by(Contact.id, Identity.id)
        )
        best: dict[int, tuple[int, Contact, str]] = {}
        for contact, kind, value in rows:
            rank = PREFERRED.get(kind, 9)
            if contact.id not in best or rank < best[contact.id][0]:
                best[contact.id] = rank, contact, value
        for contact_id, (_, contact, value) in best.items():
            self._by_id[contact_id] = (
                _Person(contact_id, value, contact.name, contact.language, contact.attributes)
                if value
                else Invalid(f"No address of contact {contact_id} is known.", field="contact_id")
            )
        merged = select(Merge.gone_id, Merge.kept_id).where(Merge.gone_id.in_(ids), Merge.undone_at.is_(None))
        for gone, kept in await self._tx.execute(merged):
            self._by_id[gone] = NotFound(f"Contact {gone} was merged into contact {kept}.", field="contact_id")

    async def _sender(self, sender_id: int) -> Sender:
        if sender_id not in self._senders:
            try:
                self._senders[sender_id] = await senders.get(self._tx, sender_id)
            except NotFound as missing:
                self._senders[sender_id] = missing
        return _found(self._senders[sender_id])

    def _person(self, one: Wanted) -> _Person:
        if (one.phone is None) == (one.contact_id is None):
            raise Invalid("A message goes to a number or to a contact: give one of them.", field="to")
        if one.contact_id is not None:
            return self._contact(one.contact_id, "contact_id")
        phone = _found(self._phones[one.phone or ""])
        return self._by_phone.get(phone) or _Person(None, phone)

    def _contact(self, contact_id: int, field: str) -> _Person:
        return _found(self._by_id.get(contact_id, NotFound(f"There is no contact {contact_id}.", field=field)))

    async def _content(self, one: Wanted, person: _Person, sender: Sender) -> Content:
        match one.content:
            case Filled() as wish:
                return await self._filled(wish, person, sender)
            case ReactionTo(message_id=message_id, emoji=emoji):
                about = self._provider_id(message_id, one, person, "content.message_id")
                return Reaction(provider_id=about, emoji=emoji)
            case content:
                return content

    async def _filled(self, wish: Filled, person: _Person, sender: Sender) -> Content:
        family = await self._family(wish.template_id, sender)
        if wish.as_contact_id is not None:
            person = self._contact(wish.as_contact_id, "as_contact_id")
        values = {"name": person.name, **person.attributes, **wish.variables}
        try:
            content = family.with_defaults(wish.instead).wording(wish.language or person.language).fill(values)
        except MissingVariable as missing:
            raise Invalid(
                f"There is no value for {missing.args[0]!r}, and the template has no default.",
                field=f"content.variables.{missing.args[0]}",
                hint="Give it, or name a person who has it.",
            ) from None
        if templates.is_too_long(content):
            raise Invalid("With its values filled in, the text is too long for WhatsApp.", field="content.variables")
        return content

    async def _family(self, template_id: int, sender: Sender) -> Family:
        key = template_id, sender.waba_id
        if key not in self._families:
            try:
                template = await templates.get(self._tx, template_id)
                await templates.check_sendable(self._tx, template, sender.waba_id)
                self._families[key] = await templates.family(self._tx, template_id)
            except WaqtorError as refused:
                self._families[key] = refused
        return _found(self._families[key])

    async def _file(self, media_id: int, as_type: str) -> MediaFile:
        key = media_id, as_type
        if key not in self._files:
            try:
                self._files[key] = await media.usable(self._tx, media_id, as_type, field="content.media_id")
            except WaqtorError as refused:
                self._files[key] = refused
        return _found(self._files[key])

    def _provider_id(self, message_id: int, one: Wanted, person: _Person, field: str) -> str:
        """WhatsApp's id of a message of this very chat."""
        row = self._answered.get(message_id)
        if row is None or row.sender_id != one.sender_id or row.contact_id != person.id:
            raise NotFound(f"There is no message {message_id} between this sender and this person.", field=field)
        if row.provider_id is None:
            raise Invalid(f"Message {message_id} is not known to have reached WhatsApp.", field=field)
        return row.provider_id


def _found(what: T | WaqtorError) -> T:
    if isinstance(what, WaqtorError):
        raise what
    return what
