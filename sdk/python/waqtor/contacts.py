"""People, and files of them."""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from waqtor import errors
from waqtor.asking import (
    Ask,
    C,
    Model,
    Order,
    Pages,
    Resource,
    Sleep,
    Steps,
    call,
    get,
    given,
    paged,
    pages,
    steps,
    write,
)

File = str | PathLike[str] | bytes
"""A path, or the content itself."""
_UPLOAD_S = 300.0


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
    timezone: str | None = None
    tags: list[str]
    attributes: dict[str, str]
    identities: list[Identity]
    opted_out: bool
    created_at: datetime
    updated_at: datetime


class Merge(Model):
    """Two contacts that became one."""

    id: int
    kept_id: int
    gone_id: int
    merged_at: datetime
    undone_at: datetime | None


class Entry(Model):
    """One thing that happened to a person: a message, campaign, consent, merged or parted."""

    at: datetime
    kind: str
    id: int
    details: dict[str, Any]


class RejectedRow(Model):
    """A row that was not taken; `row` counts from 1 below the heading."""

    row: int
    field: str
    message: str


class Consent(Model):
    """That the people in a file agreed: where, to which words, and when."""

    source: str
    wording: str
    given_at: datetime | date
    purpose: str = "marketing"


class Import(Model):
    """A file of contacts. `state` is running, finished or failed; `rows` of `total` (None while unknown) are done.
    `report` has the first rows that were not taken, and is None in lists."""

    id: int
    filename: str
    format: str
    state: str
    rows: int
    total: int | None
    created: int
    updated: int
    rejected: int
    tags: tuple[str, ...] = ()
    reason: str | None = None
    report: list[RejectedRow] | None = None
    created_at: datetime
    finished_at: datetime | None


class ReadContact(Model):
    """A person as read from a row of a file."""

    phone: str
    name: str
    language: str | None
    tags: list[str]
    attributes: dict[str, str]
    opted_out: bool


class ImportPreview(Model):
    """What a file would come to, by its first `rows` rows. `columns` says where each column goes."""

    format: str
    columns: dict[str, str]
    rows: int
    rejected: int
    sample: list[ReadContact]
    report: list[RejectedRow]


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
    def list(self, *, tag: str | None = None, filter: str | None = None, limit: int = 500) -> Pages[Contact]:
        """Everybody, or everybody with a tag or whom a filter chooses; `limit` is the size of a page."""
        return pages("/contacts", Contact, tag=tag, filter=filter, limit=limit)

    @call
    def find(self, phone: str, *, country: str | None = None) -> Ask[Contact | None]:
        """Who has exactly this number, written in any usual way; None: nobody. `country` is for numbers without one.
        It takes the permission `numbers.read`."""
        return Ask("POST", "/contacts/find", _found, json=given(phone=phone, country=country))

    @call
    def update(
        self,
        contact_id: int,
        *,
        name: str | None = None,
        language: str | None = None,
        timezone: str | None = None,
        attributes: Mapping[str, str | float | bool | None] | None = None,
        tags: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[Contact]:
        """What is not given stays. `attributes` are added, one that is None is taken away; `tags` are all from now."""
        body = given(name=name, language=language, timezone=timezone)
        body |= {} if attributes is None else {"attributes": dict(attributes)}
        body |= {} if tags is None else {"tags": [*tags]}
        return write("PATCH", f"/contacts/{contact_id}", Contact, json=body, key=idempotency_key)

    @call
    def merge(self, contact_id: int, gone_id: int, *, idempotency_key: str | None = None) -> Ask[Merge]:
        """Make the contact `gone_id` part of this one."""
        return write("POST", f"/contacts/{contact_id}/merge", Merge, json={"gone_id": gone_id}, key=idempotency_key)

    @call
    def undo_merge(self, merge_id: int, *, idempotency_key: str | None = None) -> Ask[Merge]:
        """Part them again, the last merge first."""
        return write("POST", f"/contacts/merges/{merge_id}/undo", Merge, key=idempotency_key)

    @paged
    def history(self, contact_id: int, *, limit: int = 100) -> Pages[Entry]:
        """Everything of one person, newest first."""
        return pages(f"/contacts/{contact_id}/history", Entry, limit=limit)

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

    @steps
    def import_file(
        self,
        file: File,
        *,
        filename: str | None = None,
        mapping: Mapping[str, str] | None = None,
        country: str | None = None,
        consent: Consent | None = None,
        tags: Sequence[str] = (),
        wait: bool = True,
        on_progress: Callable[[Import], object] | None = None,
        every_s: float = 1.0,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[Import]:
        """Take a file: CSV, XLSX or JSON. `mapping` says where columns go: {"Mobile": "phone", "City":
        "attributes.city"}. With `consent` its people count as having agreed; `tags` are given to each. Returns when all
        of it is taken, or, with `wait=False`, soon."""
        fields = _fields(mapping, country, tags, consent)
        key = idempotency_key or str(uuid.uuid4())
        taken: Import = yield Ask(
            "POST",
            "/contacts/import",
            Import.model_validate,
            file=_named(file, filename),
            fields=fields,
            key=key,
            timeout_s=_UPLOAD_S,
        )
        if not wait:
            return taken
        return (yield from _until_taken(taken.id, on_progress, every_s, timeout_s))

    @steps
    def wait_import(
        self,
        import_id: int,
        *,
        on_progress: Callable[[Import], object] | None = None,
        every_s: float = 1.0,
        timeout_s: float | None = None,
    ) -> Steps[Import]:
        """Until the file is taken; raises `Invalid` where the rest of it cannot be read."""
        return (yield from _until_taken(import_id, on_progress, every_s, timeout_s))

    @call
    def preview_import(
        self,
        file: File,
        *,
        filename: str | None = None,
        mapping: Mapping[str, str] | None = None,
        country: str | None = None,
        tags: Sequence[str] = (),
    ) -> Ask[ImportPreview]:
        """What a file would come to, by its first rows. Nothing is written."""
        fields, content = _fields(mapping, country, tags), _named(file, filename)
        path = "/contacts/import/preview"
        return Ask("POST", path, ImportPreview.model_validate, file=content, fields=fields, timeout_s=_UPLOAD_S)

    @paged
    def imports(self, *, order: Order = "oldest", limit: int = 100) -> Pages[Import]:
        """Files taken so far. `order` is oldest or newest: what comes first."""
        return pages("/imports", Import, order=order, limit=limit)

    @call
    def get_import(self, import_id: int) -> Ask[Import]:
        """One file, with the rows that were not taken."""
        return get(f"/imports/{import_id}", Import)

    @paged
    def rejected_rows(self, import_id: int, *, limit: int = 500) -> Pages[RejectedRow]:
        """All rows of a file that were not taken."""
        return pages(f"/imports/{import_id}/rejected", RejectedRow, limit=limit)

    @call
    def rejected_csv(self, import_id: int) -> Ask[bytes]:
        """The same as a file."""
        return Ask("GET", f"/imports/{import_id}/rejected.csv", bytes, is_file=True, timeout_s=_UPLOAD_S)


def _named(file: File, filename: str | None) -> tuple[str, bytes]:
    if isinstance(file, bytes):
        return filename or "contacts.csv", file
    return filename or Path(file).name, Path(file).read_bytes()


def _found(answer: Any) -> Contact | None:
    return None if answer["contact"] is None else Contact.model_validate(answer["contact"])


def _fields(
    mapping: Mapping[str, str] | None, country: str | None, tags: Sequence[str], consent: Consent | None = None
) -> dict[str, str]:
    return given(
        tags=";".join(tags) or None,
        mapping=json.dumps(dict(mapping)) if mapping else None,
        country=country,
        consent=consent.model_dump_json() if consent else None,
    )


def _until_taken(
    import_id: int, on_progress: Callable[[Import], object] | None, every_s: float, timeout_s: float | None
) -> Steps[Import]:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        now: Import = yield get(f"/imports/{import_id}", Import)
        if on_progress is not None:
            on_progress(now)
        if now.state == "failed":
            raise errors.Invalid(now.reason or "The file cannot be read.", code="invalid", field="file")
        if now.state != "running":
            return now
        if deadline is not None and time.monotonic() >= deadline:
            raise errors.Error(f"Import {import_id} is still running after {timeout_s:g} s.", code="timeout")
        yield Sleep(every_s)
