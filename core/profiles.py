"""What is known of one person, changed by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import delete, insert

from core import attributes, consents, contacts
from core.database import Tx
from core.errors import Invalid
from core.events import ContactSaved, publish
from core.models import ContactTag


@dataclass(frozen=True, slots=True)
class Changes:
    """None leaves as it is; an empty text takes away. `attributes` are added to, and one that is None is taken away.
    `tags` are all that the person has from now on."""

    name: str | None = None
    language: str | None = None
    timezone: str | None = None
    attributes: Mapping[str, object | None] | None = None
    tags: Sequence[str] | None = None


async def change(tx: Tx, contact_id: int, changes: Changes, *, at: datetime) -> None:
    """Locks the person: an import that adds to the same attributes waits."""
    await contacts.lock_identities(tx)
    await consents.lock(tx, [contact_id])
    contact = await contacts.get(tx, contact_id)
    await tx.refresh(contact)
    if changes.name is not None:
        contact.name = changes.name
    if changes.language is not None:
        contact.language = changes.language or None
    if changes.timezone is not None:
        contact.timezone = _zone(changes.timezone) if changes.timezone else None
    if changes.attributes is not None:
        given = {name: value for name, value in changes.attributes.items() if value is not None}
        checked = {name: value for name, value in (await attributes.checked(tx, given)).items() if value}
        left = {name: value for name, value in contact.attributes.items() if name not in changes.attributes}
        contact.attributes = left | checked
    if changes.tags is not None:
        await tx.execute(delete(ContactTag).where(ContactTag.contact_id == contact_id))
        rows = [{"contact_id": contact_id, "tag": tag} for tag in dict.fromkeys(changes.tags)]
        if rows:
            await tx.execute(insert(ContactTag), rows)
    contact.updated_at = at
    await tx.flush()
    await publish(tx, ContactSaved(contact_id=contact_id), at=at)


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError):  # no such zone, or what is no name of a zone at all
        raise Invalid(f"There is no time zone {name[:64]!r}.", field="timezone", hint="Example: Asia/Riyadh") from None
