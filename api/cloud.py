"""What WhatsApp posts to us. Needs no API key: the signature over the raw body is the proof."""

import hmac
import time
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import PlainTextResponse, Response

from api.deps import Id
from api.errors import ErrorAnswer
from api.requests import whole
from connectors import cloud_webhook
from core import senders
from core.bootstrap import Platform
from core.errors import BadSignature, NotFound
from core.models import Sender

router = APIRouter(prefix="/webhooks/cloud", tags=["whatsapp"])

MAX_BODY_BYTES = 4 * 1024 * 1024
_KNOWN_S = 5.0  # a changed secret counts after this long
_ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorAnswer} for status in (401, 404, 413, 422, 503)}


@dataclass(frozen=True, slots=True)
class Secrets:
    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)


class KnownSecrets:
    """Decrypted secrets, kept for seconds: thousands of statuses a second need no look-up each."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._known: dict[int | str, tuple[float, Secrets | None]] = {}

    async def of_sender(self, sender_id: int) -> Secrets:
        found = await self._get(sender_id)
        if found is None:
            raise NotFound(f"There is no sender {sender_id}.", field="sender_id")
        return found

    async def of_number(self, phone_number_id: str) -> Secrets | None:
        return await self._get(phone_number_id)

    async def of_account(self, waba_id: str) -> list[Secrets]:
        """Of all senders of a WhatsApp Business Account; asked seldom, so not kept."""
        async with self._platform.database.reading() as tx:
            return [self._opened(sender) for sender in await senders.of_account(tx, waba_id)]

    def _opened(self, sender: Sender) -> Secrets:
        key = self._platform.key
        return Secrets(senders.config(sender, key).app_secret, senders.verify_token(sender, key))

    async def _get(self, name: int | str) -> Secrets | None:
        until, secrets = self._known.get(name, (0.0, None))
        now = time.monotonic()
        if now < until:
            return secrets
        async with self._platform.database.reading() as tx:
            if isinstance(name, int):
                sender = await senders.get(tx, name)
            elif (found := await senders.by_phone_number_id(tx, name)) is None:
                return None
            else:
                sender = found
        secrets = self._opened(sender)
        self._known[name] = now + _KNOWN_S, secrets
        return secrets


_CHALLENGE = {"description": "The challenge.", "content": {"text/plain": {"schema": {"type": "string"}}}}


@router.get("/{sender_id}", response_class=Response, responses={200: _CHALLENGE, **_ERRORS})
async def verify_webhook(
    sender_id: Id,
    request: Request,
    mode: Annotated[str, Query(alias="hub.mode", max_length=100)] = "",
    token: Annotated[str, Query(alias="hub.verify_token", max_length=4096)] = "",
    challenge: Annotated[str, Query(alias="hub.challenge", max_length=1000)] = "",
) -> Response:
    """Meta asks this once, when the address is entered: the verify token must be the sender's."""
    known: KnownSecrets = request.app.state.known_secrets
    expected = (await known.of_sender(sender_id)).verify_token
    if mode != "subscribe" or not hmac.compare_digest(token.encode(), expected.encode()):
        raise BadSignature("This is not the verify token of the sender.", field="hub.verify_token")
    return PlainTextResponse(challenge)


@router.post("/{sender_id}", response_class=Response, responses={200: {"description": "Stored."}, **_ERRORS})
async def receive_webhook(sender_id: Id, request: Request) -> Response:
    """Receipts and messages. Answered once they are stored, applied right after; a repetition does no harm."""
    known: KnownSecrets = request.app.state.known_secrets
    signature = request.headers.get("x-hub-signature-256")
    secrets = await known.of_sender(sender_id)
    body = await whole(request, limit=MAX_BODY_BYTES)
    cloud_webhook.verify(body, signature, secrets.app_secret)
    claims = cloud_webhook.claims(body)
    for number in claims.numbers:  # nobody signs for one account and speaks of another
        other = await known.of_number(number)
        if other is not None and other.app_secret != secrets.app_secret:
            cloud_webhook.verify(body, signature, other.app_secret)
    for account in claims.accounts:
        of_account = await known.of_account(account)
        if of_account and secrets.app_secret not in {one.app_secret for one in of_account}:
            raise BadSignature("The webhook is not signed with a secret of the account whose template it is about.")
    await request.app.state.storing.store(body)
    return Response(status_code=200)
