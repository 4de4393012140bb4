"""Files of contacts: taken while they arrive, in pieces, with a report per row."""

import csv
import hashlib
import io
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from api.auth import needs
from api.bodies import Shown
from api.deps import Id, PlatformDep, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Signed, asked, replayed
from api.pages import Page, PlaceDep, page
from api.requests import pieces
from core import contacts, idempotency
from core.bootstrap import Platform
from core.errors import Invalid, TooLarge
from core.idempotency import Answer
from core.models import Import

# A file goes in by many transactions, so the route opens its own (`Signed`, not `Once`).
router = APIRouter(prefix="/api/v3", tags=["imports"], route_class=Signed)

_LAPSES = timedelta(minutes=30)  # after which a first request that never ended counts as dead
_FRAME_BYTES = 64 * 1024  # what multipart adds around the file


class RejectedOut(Shown):
    """A row that was not taken, and why."""

    row: int = Field(description="Counted from 1 below the heading.", examples=[3])
    field: str = Field(examples=["phone"])
    message: str = Field(examples=["No such number exists in its country."])


class ImportOut(Shown):
    """One file of contacts and what became of its rows."""

    id: int = Field(examples=[1])
    filename: str = Field(examples=["customers.csv"])
    state: str = Field(description="running, finished, or failed where the rest could not be read.")
    rows: int = Field(examples=[1000])
    created: int = Field(examples=[962])
    updated: int = Field(examples=[35])
    rejected: int = Field(examples=[3])
    created_at: datetime
    finished_at: datetime | None


class ImportReport(ImportOut):
    """With the rows that were not taken."""

    report: list[RejectedOut] = Field(description="The first 10,000 of them.")


_UPLOAD: dict[str, Any] = {
    **DOCUMENTED,
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary", "description": "UTF-8 CSV"}},
                }
            }
        },
    },
}


@router.post(
    "/contacts/import",
    status_code=201,
    response_model=ImportReport,
    dependencies=[Depends(needs("write"))],
    responses=documented(409, 413),
    openapi_extra=_UPLOAD,
)
async def import_contacts(request: Request, platform: PlatformDep) -> Response:
    """Take a CSV file (multipart field `file`). Its first line names the columns: `phone` is needed; `name`,
    `language`, `tags` (`;` between them) and `opted_out` are understood; every other column becomes an attribute.

    A row that is not right is reported and left out; the others are taken. The same file again changes nothing.
    """
    upload = await _receive(request, limit=platform.settings.max_upload_bytes)
    ask = asked(request, "/api/v3/contacts/import", await _digest(upload))
    if ask:
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            if answer := await idempotency.reserve(tx, platform.key, ask, at=now, lapses=_LAPSES):
                return replayed(answer)
    try:
        body = (await _take(platform, upload)).model_dump_json()
    except BaseException:  # whatever ended it, also a cancellation: it is undone, then raised
        if ask:
            async with platform.database.transaction() as tx:
                await idempotency.give_up(tx, ask)
        raise
    if ask:
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            await idempotency.remember(tx, platform.key, ask, Answer(201, body), at=now)
    return Response(body, status_code=201, media_type="application/json")


@router.get("/imports", dependencies=[Depends(needs("read"))], responses=documented())
async def list_imports(tx: Tx, place: PlaceDep) -> Page[ImportOut]:
    """Files taken so far, oldest first."""
    rows = await contacts.imports(tx, after=place.after, limit=place.limit)
    return page(rows, place, id_of=lambda row: row.id, show=ImportOut.model_validate)


@router.get("/imports/{import_id}", dependencies=[Depends(needs("read"))], responses=documented(404))
async def get_import(import_id: Id, tx: Tx) -> ImportReport:
    """One file, with the rows that were not taken."""
    return ImportReport.model_validate(await contacts.get_import(tx, import_id))


@router.get(
    "/imports/{import_id}/rejected.csv",
    dependencies=[Depends(needs("read"))],
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "row, field, message"}, **documented(404)},
)
async def get_rejected(import_id: Id, tx: Tx) -> Response:
    """The rows that were not taken, as a file."""
    job = await contacts.get_import(tx, import_id)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["row", "field", "message"])
    writer.writerows([one["row"], one["field"], one["message"]] for one in job.report)
    name = f"import-{import_id}-rejected.csv"
    return Response(
        out.getvalue(), media_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


async def _receive(request: Request, *, limit: int) -> UploadFile:
    """The file, on disk where it is large. Reading stops at the limit."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Invalid("A file is needed, as multipart/form-data.", field="file", hint="curl -F file=@contacts.csv …")

    async def stream() -> AsyncIterator[bytes]:
        async for piece in pieces(request, limit=limit + _FRAME_BYTES):
            yield piece

    try:
        form = await MultiPartParser(request.headers, stream(), max_files=1, max_fields=10).parse()  # type: ignore[arg-type]
    except MultiPartException as error:
        raise Invalid(f"The upload cannot be read: {error.message}", field="file") from None
    except TooLarge:
        raise TooLarge(
            f"The file is larger than {limit:,} bytes.",
            field="file",
            hint="Split it: each part may be taken by itself. Or raise WAQTOR_MAX_UPLOAD_BYTES.",
        ) from None
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise Invalid("There is no file in the field 'file'.", field="file")
    return upload


async def _digest(upload: UploadFile) -> "hashlib._Hash":
    digest = hashlib.sha256((upload.filename or "").encode())
    while piece := await upload.read(1024 * 1024):
        digest.update(piece)
    await upload.seek(0)
    return digest


async def _take(platform: Platform, upload: UploadFile) -> ImportReport:
    rows = contacts.read_csv(upload.file, country=platform.settings.default_country)
    filename = (upload.filename or "contacts.csv").replace("\0", "")
    job: Import = await contacts.import_rows(platform.database, platform.clock, platform.key, rows, filename=filename)
    return ImportReport.model_validate(job)
