"""Live events for who cannot or will not open a WebSocket by itself: tickets, and a stream over plain HTTP."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from api import topics
from api.addresses import address_of
from api.auth import allows, needs, principal_of, require
from api.bell import envelope, is_for
from api.bodies import Shown
from api.cluster import Cluster
from api.entrance import Turned
from api.errors import documented
from api.events import LogPruned
from api.gateway import Live
from api.idempotent import Signed
from api.places import PRINCIPAL, NoPlace
from core.errors import Invalid, NotAllowed, NotSignedIn
from core.handshakes import TICKET_LASTS

router = APIRouter(prefix="/api/v3", tags=["events"], route_class=Signed)
_QUIET_S = 15.0  # a word now and then, so that nothing in between thinks the line dead
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events; `id` is the `seq`.", "content": {"text/event-stream": {}}}
}


class TicketOut(Shown):
    """A word to open one WebSocket with."""

    ticket: str = Field(description="Good once: `/ws?ticket=…`. It opens nothing else.", examples=["eyJhbGciOi…"])
    expires_in: int = Field(description="Seconds.", examples=[30])


@router.post("/ws-tickets", dependencies=[Depends(needs("events.read"))], status_code=201, responses=documented())
async def create_ticket(request: Request) -> TicketOut:
    """For a browser's script, which can send no header with a WebSocket. It comes in as you."""
    ticket = await _live(request).entrance.ticket(principal_of(request))
    return TicketOut(ticket=ticket, expires_in=int(TICKET_LASTS.total_seconds()))


class Connected(Shown):
    """Somebody who is connected now."""

    principal: str = Field(description="As in the audit log.", examples=["user:3"])
    connections: int = Field(description="WebSockets and streams, over all processes.", examples=[2])
    instances: list[str] = Field(description="The API processes they are at.", examples=[["9f86d081"]])


class Presence(Shown):
    """Who is connected at this moment."""

    data: list[Connected]
    instances: list[str] = Field(description="All API processes.", examples=[["9f86d081", "60303ae2"]])
    is_whole: bool = Field(description="False while Redis is away: then it is this process's alone.", examples=[True])


@router.get("/presence", dependencies=[Depends(needs("system.read"))], responses=documented())
async def show_presence(request: Request) -> Presence:
    """Who is connected, over all API processes."""
    cluster: Cluster = request.app.state.cluster
    present = await cluster.present()
    of_whom: dict[str, dict[str, int]] = {}
    for instance, taken in present.items():
        for name, count in taken.items():
            if name.startswith(PRINCIPAL):
                of_whom.setdefault(name.removeprefix(PRINCIPAL), {})[instance] = count
    data = [
        Connected(principal=ref, connections=sum(at.values()), instances=sorted(at))
        for ref, at in sorted(of_whom.items())
    ]
    return Presence(data=data, instances=sorted(present), is_whole=cluster.state != "away")


async def _placed(request: Request) -> AsyncIterator[None]:
    """A stream is a connection like a WebSocket: it takes a place as long as it lasts."""
    live, address = _live(request), address_of(request)
    try:
        live.entrance.look_at_address(address)
        place = await live.entrance.places.take(address)
        try:
            await place.belongs_to(principal_of(request).ref)
        except BaseException:  # also who is cancelled leaves no place taken
            place.leave()
            raise
    except Turned as turned:
        live.refused(turned.why, address)
        raise NotAllowed(str(turned)) from None
    except NoPlace as full:
        live.refused(full.why, address)
        raise
    try:
        yield
    finally:
        place.leave()


@router.get(
    "/events/stream",
    dependencies=[Depends(needs("events.read")), Depends(_placed)],
    response_class=StreamingResponse,
    responses={**documented(410), **_STREAM},
)
async def stream_events(
    request: Request,
    topic: Annotated[
        list[str], Query(max_length=200, description="As on the WebSocket; none for all you may follow.")
    ] = [],  # noqa: B006  FastAPI copies it
    since: Annotated[int | None, Query(ge=0, le=2**63 - 1, description="The last `seq` you have dealt with.")] = None,
    last_event_id: Annotated[
        str | None, Header(max_length=30, description="The same, as browsers send it when they come back.")
    ] = None,
) -> StreamingResponse:
    """What happens, as it happens, on the same cursor as the WebSocket. Ends when your key or sign-in does."""
    live = _live(request)
    wanted = _wanted(request, topic)
    after = since if last_event_id is None else _cursor(last_event_id)
    if after is not None:
        reach = await live.reach()
        if not reach.pruned <= after <= reach.head:
            raise LogPruned(
                "The log does not reach back to there.", field="since", hint="Reload by REST, then follow from now on."
            )
    return StreamingResponse(
        _stream(request, live, wanted, after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(request: Request, live: Live, wanted: frozenset[str], after: int | None) -> AsyncIterator[bytes]:
    principal, address = principal_of(request), address_of(request)
    async with live.following.entering():
        cursor = live.following.position if after is None else after
        yield b"retry: 2000\n\n"
        while not live.is_over:
            if cursor >= live.following.position:
                yield b": still here\nid: %d\n\n" % cursor  # so also who hears nothing knows how far it is
                await live.following.beyond(cursor, within_s=_QUIET_S)
            try:
                principal = await live.entrance.recognise(principal, address)
            except NotSignedIn:
                return
            events = await live.logged(cursor)
            rows = await live.bell.rows(events)
            for event in events:
                cursor = event.seq
                for topic in topics.of(event):
                    is_theirs = allows(principal, topics.permission(topic)) and is_for(principal, event, rows)
                    if topic in wanted and is_theirs:
                        said = envelope(event, topic, principal, rows)
                        data = orjson.dumps(said)
                        yield b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, said["type"].encode(), data)


def _wanted(request: Request, asked: list[str]) -> frozenset[str]:
    principal = principal_of(request)
    if not asked or topics.EVERYTHING in asked:
        return frozenset(name for name, needed in topics.SYSTEMS.items() if allows(principal, needed))
    for topic in asked:
        require(principal, topics.permission(topic))
    return frozenset(asked)


def _cursor(given: str) -> int:
    if not given.isdecimal():
        raise Invalid("Last-Event-ID is the id of the last event you had.", field="Last-Event-ID")
    return int(given)


def _live(request: Request) -> Live:
    live: Live = request.app.state.live
    return live
