"""The messages edge: the hot path, and the faults that strike it."""

import asyncio
import secrets
from typing import Any

import orjson
from aiohttp import web

from simulator import media, messages
from simulator.accounts import Number
from simulator.answers import Answer, as_json, gone, half, refusal, reset
from simulator.draws import between, draw
from simulator.errors import GraphError
from simulator.faults import AFTER, Fault
from simulator.ledger import Request
from simulator.world import World

LARGEST_BODY = 1024 * 1024


class Sending:
    """Answers POST /{PNID}/messages."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def answer(self, request: web.Request, number: Number, version: int) -> web.StreamResponse:
        """Send a message, or mark one as read. Each call leaves a row in the ledger, except marks."""
        world = self.world
        body = await json_body(request)
        if isinstance(body, dict) and "status" in body:
            return await self.mark(body, number)
        world.ledger.seq += 1
        row = Request(world.ledger.seq, world.clock.now(), number.id, version=version)
        fault = self._fill(row, body, request.path, number)
        if world.profile.answer_latency_s[1]:
            await self._latency(row)
        late = 0
        try:
            if fault is not None:
                late = await before(request, fault)
                if gone(request):
                    world.ledger.write(row)
                    return Answer(b"")
            message = messages.read(body, number.account)
            if message.media_id and not await media.exists(world, message.media_id):
                raise GraphError(131009, f"Media ID {message.media_id} does not exist or has expired")
            row.to, row.type, row.text = message.to, message.type, message.text
            row.template = message.template.name if message.template else ""
            row.at = world.clock.now()
            world.accept(number, message, row, late=late)
        except GraphError as error:
            row.error = error.code
            world.ledger.write(row)
            return refusal(error, trace_id(), row=row, ledger=world.ledger)
        world.ledger.write(row)
        accepted: dict[str, Any] = {"id": row.wamid}
        if message.template is not None:
            accepted["message_status"] = "accepted"
        answer = Answer(
            orjson.dumps(
                {
                    "messaging_product": "whatsapp",
                    "contacts": [{"input": body["to"], "wa_id": message.to}],
                    "messages": [accepted],
                }
            ),
            row=row,
            ledger=world.ledger,
        )
        if fault is not None and fault.kind in AFTER:
            return await spoiled(self.world, request, fault, answer, row)
        return answer

    def _fill(self, row: Request, body: Any, path: str, number: Number) -> Fault | None:
        """What the row can know of an unchecked body, and the fault that is due for it."""
        if not isinstance(body, dict):
            return None
        to, callback = body.get("to"), body.get("biz_opaque_callback_data")
        row.to = to.lstrip("+")[:40] if isinstance(to, str) else ""
        row.callback = callback[:512] if isinstance(callback, str) else ""
        row.type = str(body.get("type", "text"))[:20]
        # Without callback data the n-th message of a contact is the n-th in every run.
        row.key = row.callback or f"#{self.world.contacts.get(row.to).sends + 1}"
        if not self.world.faults.calls:
            return None
        fault = self.world.faults.on_call(
            path=path,
            number=number.id,
            to=row.to,
            callback=row.callback,
            key=row.callback or f"{row.to}{row.key}",
        )
        if fault is not None:
            row.fault = fault.kind
        return fault

    async def _latency(self, row: Request) -> None:
        low, high = self.world.profile.answer_latency_s
        await asyncio.sleep(between(draw(self.world.config.seed, row.to, row.key, "latency")[0], low, high))

    async def mark(self, body: dict[str, Any], number: Number) -> Answer:
        """Mark an inbound message as read, perhaps with a typing indicator."""
        if body.get("messaging_product") != "whatsapp":
            raise GraphError(100, "The parameter messaging_product is required and must be 'whatsapp'.")
        if body["status"] != "read" or not isinstance(body.get("message_id"), str):
            raise GraphError(100, "Param status must be 'read' and message_id must be given.")
        typing = body.get("typing_indicator")
        if typing is not None and (not isinstance(typing, dict) or typing.get("type") != "text"):
            raise GraphError(100, "Param typing_indicator['type'] must be 'text'.")
        rows = await self.world.ledger.query(
            "SELECT id FROM inbounds WHERE wamid = ? AND phone_number_id = ?", (body["message_id"], number.id)
        )
        if not rows:
            raise GraphError(131009, "Param message_id: the message was not found")
        return as_json({"success": True})


async def before(request: web.Request, fault: Fault) -> int:
    """Let the fault act before anything took effect; answers the code the message shall fail with later."""
    params = fault.params
    if fault.kind == "reset_before":
        reset(request)
    elif fault.kind == "hang_before":
        await asyncio.sleep(params.get("seconds", 30))
    elif fault.kind == "token_expired":
        raise GraphError(190, "Error validating access token: Session has expired", subcode=463)
    elif fault.kind == "graph_error" and params.get("late"):
        return int(params.get("code", 131049))
    elif fault.kind in ("graph_error", "error_before"):
        fixed = 0 if fault.kind == "graph_error" else 500
        code = int(params.get("code", 131000))
        raise GraphError(code, str(params.get("details", "")), status=int(params.get("status", fixed)))
    return 0


async def spoiled(world: World, request: web.Request, fault: Fault, answer: Answer, row: Request) -> web.StreamResponse:
    """Spoil the answer to something that did take effect."""
    if fault.kind == "reset_after":
        return reset(request)
    if fault.kind == "partial_answer":
        return await half(request, answer)
    if fault.kind == "hang_after":
        await asyncio.sleep(fault.params.get("seconds", 30))
        return Answer(b"") if gone(request) else answer
    status = int(fault.params.get("status", 500))
    error = GraphError(int(fault.params.get("code", 131000)), status=status)
    return refusal(error, trace_id(), row=row, ledger=world.ledger)


def trace_id() -> str:
    """What Meta's errors carry as fbtrace_id."""
    return "A" + secrets.token_urlsafe(16)[:22]


async def json_body(request: web.Request) -> Any:
    """The body as JSON; a Graph error when it is too large or none."""
    if (request.content_length or 0) > LARGEST_BODY:
        raise GraphError(100, "The request body is too large", status=413)
    raw = await request.read()
    if len(raw) > LARGEST_BODY:
        raise GraphError(100, "The request body is too large", status=413)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise GraphError(100, f"The request body is not valid JSON: {error}") from None
