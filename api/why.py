"""Why was this person written to, or why not?"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from api.auth import needs, principal_of, require
from api.bodies import Body, Shown
from api.campaigns import WhichQuery
from api.deps import Id, Now, PlatformDep, Str, Tx
from api.errors import documented
from api.idempotent import Signed
from core import campaigns, contacts, occurrences, why
from core.errors import Invalid

router = APIRouter(prefix="/api/v3/campaigns/{campaign_id}", tags=["campaigns"], route_class=Signed)


class WhoIn(Body):
    """The person, by one of the two. Asked for by POST, so that a number stands in no address and no log."""

    contact_id: int | None = Field(default=None, ge=1, le=2**63 - 1, examples=[17])
    phone: Annotated[Str, Field(max_length=40)] | None = Field(default=None, examples=["+966501234567"])


class EvidenceOut(Shown):
    """A row or a rule behind the answer."""

    kind: str = Field(
        description="rule, variant, message, consent, suppression, limit or audience.", examples=["suppression"]
    )
    facts: dict[str, str | int | float | bool | datetime | dict[str, object] | None] = Field(
        examples=[{"reason": "stop_word", "at": "2026-11-20T10:00:00Z"}]
    )


class AnswerOut(Shown):
    """What became of one person in one occurrence of the campaign, and why."""

    outcome: str = Field(description="The recipient's state, or `not_in_audience`.", examples=["skipped"])
    reason: str | None = Field(examples=["opted_out"])
    because: str = Field(examples=["The person has asked not to be written to."])
    occurrence: int = Field(examples=[0])
    evidence: list[EvidenceOut]


class WhyOut(Shown):
    """One answer; of `all` occurrences one for each that the person was planned for."""

    answers: list[AnswerOut]


@router.post("/why", dependencies=[Depends(needs("recipients.read"))], responses=documented(404))
async def why_or_why_not(
    campaign_id: Id,
    who: WhoIn,
    request: Request,
    tx: Tx,
    now: Now,
    platform: PlatformDep,
    occurrence: WhichQuery = "latest",
) -> WhyOut:
    """Why this person got the campaign's message, or why not, with the rows that prove it. Changes nothing. To name the
    person by phone takes `numbers.read` too, since asking for one number after another tells numbers."""
    if (who.contact_id is None) == (who.phone is None):
        raise Invalid("Name the person by contact_id or by phone.", field="contact_id")
    contact_id = who.contact_id
    if contact_id is None:
        require(principal_of(request), "numbers.read")
        phone = contacts.e164(who.phone or "", platform.settings.default_country)
        contact_id = await why.whose(tx, platform.key, phone)
    number = await occurrences.chosen(tx, await campaigns.get(tx, campaign_id), occurrence)
    answers = await why.ask(tx, campaign_id, contact_id, occurrence=number, now=now)
    return WhyOut(answers=[AnswerOut.model_validate(answer) for answer in answers])
