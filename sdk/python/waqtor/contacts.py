"""People, and files of them."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path

from waqtor.asking import Ask, C, Model, Pages, Resource, call, get, given, paged, pages, write

_IMPORT_S = 1800.0


class Identity(Model):
    """One way to reach a person: `kind` is phone, lid or bsuid."""

    kind: str
    value: str


class Contact(Model):
    """A person. `opted_out` is never written to."""

    id: int
    phone: str | None
    name: str
    language: str | None
    tags: list[str]
    attributes: dict[str, str]
    identities: list[Identity]
    opted_out: bool
    created_at: datetime
    updated_at: datetime


class RejectedRow(Model):
    """A row that was not taken; `row` counts from 1 below the heading."""

    row: int
    field: str
    message: str


class Import(Model):
    """A file of contacts. `report` is None in lists."""

    id: int
    filename: str
    state: str
    rows: int
    created: int
    updated: int
    rejected: int
    report: list[RejectedRow] | None = None
    created_at: datetime
    finished_at: datetime | None


class Contacts(Resource[C]):
    @call
    def create(
        self,
        phone: str,
        *,
        name: str = "",
        language: str | None = None,
        tags: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[Contact]:
        """Add a person, or update the one with this number."""
        body = given(phone=phone, name=name, language=language, tags=list(tags), attributes=dict(attributes or {}))
        return write("POST", "/contacts", Contact, json=body, key=idempotency_key)

    @paged
    def list(self, *, tag: str | None = None, limit: int = 500) -> Pages[Contact]:
        """Everybody, or everybody with a tag; `limit` is the size of a page."""
        return pages("/contacts", Contact, tag=tag, limit=limit)

    @call
    def get(self, contact_id: int) -> Ask[Contact]:
        return get(f"/contacts/{contact_id}", Contact)

    @call
    def opt_out(
        self, contact_id: int, *, reason: str = "asked", wording: str = "", idempotency_key: str | None = None
    ) -> Ask[Contact]:
        """Never write to this person again. `wording` is what was said, kept as proof."""
        body = {"reason": reason, "wording": wording}
        return write("POST", f"/contacts/{contact_id}/opt-out", Contact, json=body, key=idempotency_key)

    @call
    def import_csv(
        self,
        file: "str | PathLike[str] | bytes",
        *,
        filename: str | None = None,
        idempotency_key: str | None = None,
        timeout_s: float = _IMPORT_S,
    ) -> Ask[Import]:
        """Take a CSV file, given by its path or as its bytes; returns when all of it is taken."""
        if isinstance(file, bytes):
            content, name = file, filename or "contacts.csv"
        else:
            content, name = Path(file).read_bytes(), filename or Path(file).name
        key = idempotency_key or str(uuid.uuid4())
        return Ask(
            "POST", "/contacts/import", Import.model_validate, file=(name, content), key=key, timeout_s=timeout_s
        )

    @paged
    def imports(self, *, limit: int = 100) -> Pages[Import]:
        """Files taken so far."""
        return pages("/imports", Import, limit=limit)

    @call
    def get_import(self, import_id: int) -> Ask[Import]:
        """One file, with the rows that were not taken."""
        return get(f"/imports/{import_id}", Import)
