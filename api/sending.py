"""The kill switch: stops every message of the installation before the next one leaves."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field

from api.auth import needs
from api.bodies import Body, Shown
from api.deps import Now, Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once
from core import senders

router = APIRouter(prefix="/api/v3/sending", tags=["sending"], route_class=Once)


class SendingOut(Shown):
    """Whether anything may leave at all."""

    on: bool = Field(validation_alias="is_on")
    reason: str = Field(examples=["wrong price in the offer"])
    changed_at: datetime


class SendingIn(Body):
    """Turn it."""

    on: bool
    reason: Annotated[Str, Field(max_length=500)] = Field(default="", examples=["wrong price in the offer"])


@router.get("", dependencies=[Depends(needs("senders.read"))], responses=documented())
async def get_sending(tx: Tx) -> SendingOut:
    """Whether sending is on."""
    return SendingOut.model_validate(await senders.sending(tx))


@router.put("", dependencies=[Depends(needs("sending.stop"))], responses=documented(409), openapi_extra=DOCUMENTED)
async def turn_sending(body: SendingIn, tx: Tx, now: Now) -> SendingOut:
    """Off: no message leaves after this has answered. On: campaigns go on with the next sweep."""
    await senders.turn_sending(tx, is_on=body.on, reason=body.reason, at=now)
    return SendingOut.model_validate(await senders.sending(tx))
