"""Files of contacts: kept when they have come in, then taken in chunks, with a report per row."""

import asyncio
import csv
import io

from fastapi import APIRouter, Depends, Request, Response

from api.auth import needs
from api.deps import Id, PlatformDep, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Streamed, asked, replayed
from api.import_bodies import (
    SAMPLE,
    SHOWN,
    UPLOAD,
    Consent,
    ImportOut,
    ImportPreview,
    ImportReport,
    Mapping,
    RejectedOut,
    SampleOut,
)
from api.pages import OrderedDep, Page, PlaceDep, page
from api.recipients import cell
from api.uploads import Upload, field_json, receive
from core import attributes, idempotency, import_files, imports, kept_files
from core.bootstrap import Platform
from core.errors import Invalid
from core.idempotency import Answer, Ask
from core.import_columns import tags_in
from core.imports import Agreed, Asked

# A file goes in by many transactions, so the route opens its own (`Streamed`, not `Once`).
router = APIRouter(prefix="/api/v3", tags=["imports"], route_class=Streamed)

_ROUTE = "/api/v3/contacts/import"
_WAIT_S = 5.0  # a file that is done by then is one call


@router.post(
    "/contacts/import",
    status_code=201,
    response_model=ImportReport,
    dependencies=[Depends(needs("contacts.write"))],
    responses={202: {"model": ImportReport, "description": "Kept, and still being taken."}, **documented()},
    openapi_extra={**DOCUMENTED, **UPLOAD},
)
async def import_contacts(request: Request, platform: PlatformDep) -> Response:
    """Take a file (multipart field `file`): CSV, XLSX (first sheet) or JSON (an array of objects, or one per line).
    `phone` is needed; `name`, `language`, `tags` (`;` between them) and `opted_out` are understood, also by their usual
    names in Arabic and English or as `mapping` says; every other column becomes an attribute.

    A row that is not right is reported and left out; the others are taken. The same file again changes nothing. With
    `consent` each person taken has a line in the ledger of consents, but for whom has opted out. A file that is not
    done within 5 seconds is answered with 202; its `state` and `rows` tell how far it is.
    """
    upload = await _received(request, platform)
    ask = asked(request, _ROUTE, upload.digest)
    begun = await _begin(platform, upload, ask)
    if isinstance(begun, Answer):
        return replayed(begun)
    await asyncio.wait({request.app.state.importing.start(begun)}, timeout=_WAIT_S)
    async with platform.database.reading() as tx:
        shown = await _report(tx, begun)
    if shown.state == imports.FAILED:
        if ask:
            async with platform.database.transaction() as tx:
                await idempotency.forget(tx, ask)
        raise Invalid(shown.reason or "The file cannot be read.", field="file", hint=_hint(shown))
    answer = Answer(202 if shown.state == imports.RUNNING else 201, shown.model_dump_json())
    if ask:
        async with platform.database.transaction() as tx:
            await idempotency.remember(tx, platform.key, ask, answer, at=await platform.clock.now(tx))
    return Response(answer.body, status_code=answer.status, media_type="application/json")


async def _received(request: Request, platform: Platform) -> Upload:
    return await receive(
        request,
        limit=platform.settings.max_upload_bytes,
        default_name="contacts.csv",
        too_large="Split it: each part may be taken by itself. Or raise WAQTOR_MAX_UPLOAD_BYTES.",
    )


def _hint(shown: ImportReport) -> str | None:
    return f"The {shown.rows:,} rows before were taken: import {shown.id}." if shown.rows else None


async def _begin(platform: Platform, upload: Upload, ask: Ask | None) -> int | Answer:
    """Keep the file and note it. From the commit on it will be taken, and a repeated request is told of it."""
    asked_for = await _asked_for(platform, upload)
    stored = await asyncio.to_thread(kept_files.keep, platform.settings, upload.file.file)
    is_noted = False
    try:
        await asyncio.to_thread(imports.check, asked_for, kept_files.path_of(platform.settings, stored))
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            if ask and (answer := await idempotency.recall(tx, platform.key, ask)):
                return answer
            job = await imports.create(tx, asked_for, stored=stored, lease_s=platform.settings.lease_s, at=now)
            if ask:
                shown = ImportReport.model_validate({**ImportOut.model_validate(job).model_dump(), "report": []})
                answer = Answer(202, shown.model_dump_json())
                await idempotency.remember(tx, platform.key, ask, answer, at=now)
        is_noted = True
        return job.id
    finally:
        if not is_noted:
            kept_files.forget(platform.settings, stored)


async def _asked_for(platform: Platform, upload: Upload) -> Asked:
    beginning = await upload.file.read(64)
    await upload.file.seek(0)
    mapping = field_json(upload, "mapping", Mapping)
    consent = field_json(upload, "consent", Consent)
    return Asked(
        filename=upload.filename,
        format=import_files.format_of(upload.filename, beginning),
        country=upload.fields.get("country", "").strip().upper() or platform.settings.default_country,
        mapping=mapping.root if mapping else {},
        tags=tags_in(upload.fields.get("tags", "")),
        consent=Agreed(**consent.model_dump()) if consent else None,
    )


@router.post(
    "/contacts/import/preview",
    dependencies=[Depends(needs("contacts.write"))],
    responses=documented(),
    openapi_extra=UPLOAD,
)
async def preview_import(request: Request, platform: PlatformDep) -> ImportPreview:
    """What a file would come to, by its first 1,000 rows. Nothing is written."""
    upload = await _received(request, platform)
    asked_for = await _asked_for(platform, upload)
    stored = await asyncio.to_thread(kept_files.keep, platform.settings, upload.file.file)
    try:
        path = kept_files.path_of(platform.settings, stored)
        async with platform.database.reading() as tx:
            kinds = await attributes.kinds(tx)
        found = await asyncio.to_thread(imports.preview, asked_for, path, kinds)
    finally:
        kept_files.forget(platform.settings, stored)
    return ImportPreview(
        format=asked_for.format,
        columns=dict(found.places),
        rows=found.rows,
        rejected=len(found.rejected),
        sample=[SampleOut.model_validate(one) for one in found.taken[:SAMPLE]],
        report=[RejectedOut.model_validate(one) for one in found.rejected[:SHOWN]],
    )


@router.get("/imports", dependencies=[Depends(needs("contacts.read"))], responses=documented())
async def list_imports(tx: Tx, place: OrderedDep) -> Page[ImportOut]:
    """Files taken so far, oldest first unless `order` says otherwise."""
    rows = await imports.listed(tx, after=place.after, limit=place.limit, order=place.order)
    return page(rows, place, id_of=lambda row: row.id, show=ImportOut.model_validate)


@router.get("/imports/{import_id}", dependencies=[Depends(needs("contacts.read"))], responses=documented(404))
async def get_import(import_id: Id, tx: Tx) -> ImportReport:
    """One file and how far it is, with the first rows that were not taken."""
    return await _report(tx, import_id)


async def _report(tx: Tx, import_id: int) -> ImportReport:
    job = ImportOut.model_validate(await imports.get(tx, import_id))
    lines = await imports.report(tx, import_id) if job.rejected or job.state == imports.FAILED else []
    reason = lines[-1]["message"] if job.state == imports.FAILED else None
    return ImportReport(**job.model_dump(), reason=reason, report=[RejectedOut(**line) for line in lines[:SHOWN]])


@router.get("/imports/{import_id}/rejected", dependencies=[Depends(needs("contacts.read"))], responses=documented(404))
async def list_rejected(import_id: Id, tx: Tx, place: PlaceDep) -> Page[RejectedOut]:
    """The rows that were not taken, the first 100,000 of them; the last line of a file that failed says why."""
    lines = await imports.report(tx, import_id)
    some = list(enumerate(lines, start=1))[place.after : place.after + place.limit]
    return page(some, place, id_of=lambda one: one[0], show=lambda one: RejectedOut(**one[1]))


@router.get(
    "/imports/{import_id}/rejected.csv",
    dependencies=[Depends(needs("contacts.export"))],
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "row, field, message"}, **documented(404)},
)
async def get_rejected(import_id: Id, tx: Tx) -> Response:
    """The same as a file."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["row", "field", "message"])
    lines = await imports.report(tx, import_id)
    writer.writerows([one["row"], cell(one["field"]), cell(one["message"])] for one in lines)
    name = f"import-{import_id}-rejected.csv"
    return Response(
        out.getvalue(), media_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
