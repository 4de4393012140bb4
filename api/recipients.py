"""What became of each person in a campaign, for ever."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.responses import StreamingResponse

from api.auth import needs
from api.bodies import Shown
from api.campaigns import WhichQuery
from api.deps import Id, PlatformDep, Str, Tx
from api.errors import documented
from api.idempotent import Signed
from api.messages import RECEIPTS, Receipt
from api.pages import Page, PlaceDep, page
from core import campaigns, occurrences, outcomes, variants
from core.bootstrap import Platform
from core.outcomes import Outcome

router = APIRouter(prefix="/api/v3/campaigns/{campaign_id}", tags=["campaigns"], route_class=Signed)

State = Literal["queued", "claimed", "sending", "sent", "failed", "skipped", "unknown"]
StateFilter = Annotated[State | None, Query(description="Only with this outcome.")]
ReasonFilter = Annotated[Str | None, Query(max_length=80, description="Only for this reason.", examples=["opted_out"])]
VariantFilter = Annotated[Str | None, Query(max_length=40, description="Only who gets this one.", examples=["B"])]
_CSV_PAGE = 1_000


class RecipientOut(Shown):
    """A person within a campaign."""

    id: int
    occurrence: int = Field(examples=[1])
    contact_id: int
    name: str = Field(description="Empty once the person was erased.", examples=["نورة"])
    phone: str | None = Field(description="As the person is reached now.", examples=["+966501234567"])
    variant: str | None = Field(description="The one they get; null where there are none.", examples=["B"])
    state: State
    reason: str | None = Field(description="Why failed, skipped or unknown.", examples=["opted_out"])
    attempts: int
    receipt: Receipt
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    replied_at: datetime | None
    late: bool = Field(description="The proof came after we had given up waiting for it.")
    client_id: str | None = Field(description="The message's id, ours; null where none was written.")
    provider_id: str | None = Field(description="The message's id at WhatsApp.")


def show(outcome: Outcome) -> RecipientOut:
    recipient, message = outcome.recipient, outcome.message
    return RecipientOut(
        id=recipient.id,
        occurrence=recipient.occurrence,
        contact_id=recipient.contact_id,
        name=outcome.name,
        phone=outcome.phone,
        variant=outcome.variant,
        state=recipient.state,
        reason=recipient.reason,
        attempts=recipient.attempts,
        receipt=RECEIPTS[recipient.receipt],
        sent_at=recipient.sent_at,
        delivered_at=message.delivered_at if message else None,
        read_at=message.read_at if message else None,
        replied_at=recipient.replied_at,
        late=message.late if message else False,
        client_id=message.client_id if message else None,
        provider_id=message.provider_id if message else None,
    )


@router.get("/recipients", dependencies=[Depends(needs("recipients.read"))], responses=documented(404))
async def list_recipients(
    campaign_id: Id,
    tx: Tx,
    place: PlaceDep,
    state: StateFilter = None,
    reason: ReasonFilter = None,
    variant: VariantFilter = None,
    occurrence: WhichQuery = "latest",
) -> Page[RecipientOut]:
    """Everybody in an occurrence of the campaign with the outcome and its reason."""
    number = await occurrences.chosen(tx, await campaigns.get(tx, campaign_id), occurrence)
    chosen = await _Chosen.by(tx, campaign_id, state, reason, variant, number)
    rows = await chosen.page(tx, after=place.after, limit=place.limit)
    return page(rows, place, id_of=lambda row: row.recipient.id, show=show)


@router.get(
    "/recipients.csv",
    dependencies=[Depends(needs("contacts.export"))],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}, "description": "One line per person."}, **documented(404)},
)
async def download_recipients(
    campaign_id: Id,
    platform: PlatformDep,
    state: StateFilter = None,
    reason: ReasonFilter = None,
    variant: VariantFilter = None,
    occurrence: WhichQuery = "latest",
) -> StreamingResponse:
    """The same as a file, however many there are."""
    async with platform.database.reading() as tx:
        number = await occurrences.chosen(tx, await campaigns.get(tx, campaign_id), occurrence)
        chosen = await _Chosen.by(tx, campaign_id, state, reason, variant, number)
    return StreamingResponse(
        _lines(platform, chosen),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="campaign-{campaign_id}-recipients.csv"'},
    )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Whom to show."""

    campaign_id: int
    state: str | None
    reason: str | None
    occurrence: int | None
    variant: int | None

    @classmethod
    async def by(
        cls, tx: Tx, campaign_id: int, state: str | None, reason: str | None, variant: str | None, number: int | None
    ) -> "_Chosen":
        its = None if variant is None else (await variants.named(tx, campaign_id, variant)).number
        return cls(campaign_id, state, reason, number, its)

    async def page(self, tx: Tx, *, after: int, limit: int) -> Sequence[Outcome]:
        return await outcomes.listed(tx, after=after, limit=limit, **asdict(self))


async def _lines(platform: Platform, chosen: _Chosen) -> AsyncIterator[str]:
    """A page per transaction: a slow reader holds none open."""
    yield "\ufeff" + _csv([list(RecipientOut.model_fields)])  # the mark lets Excel read Arabic names
    after = 0
    while True:
        async with platform.database.reading() as tx:
            rows = await chosen.page(tx, after=after, limit=_CSV_PAGE)
        if not rows:
            return
        after = rows[-1].recipient.id
        yield _csv([[cell(value) for value in show(row).model_dump(mode="json").values()] for row in rows])


def _csv(rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def cell(value: object) -> object:
    """A name that a spreadsheet would run as a formula is made text."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
