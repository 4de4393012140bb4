"""Who may open a WebSocket, and how much they may say on it."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection, Request

from api import cookies
from api.addresses import address_of, is_among
from api.auth import admit, authenticate, brought, by_credential, person, program
from api.cluster import Cluster
from api.connections import Client
from api.limits import Limits
from api.places import NoPlace, Place, Places
from api.shared_looks import SharedLooks
from core import apikeys, handshakes, protected_pages, signins
from core.bootstrap import Platform
from core.errors import NotSignedIn, TooMany, WaqtorError
from core.handshakes import Signed
from core.principals import Principal

_SIGNED = ("key", "ts", "nonce", "sig")
_REMEMBERED_S = 0.25
_LONGEST_TS = 16  # digits; a longer one is not even made a number


class Turned(Exception):
    """Not let in. `why` is what it is counted under. `status` is the HTTP answer; 0: let in and closed with 1008, the
    only way in which a browser's script is told why."""

    def __init__(self, why: str, message: str, *, status: int) -> None:
        super().__init__(message)
        self.why = why
        self.status = status


@dataclass(frozen=True, slots=True)
class Entered:
    principal: Principal
    address: str
    place: Place


class Entrance:
    """Of this process."""

    def __init__(self, platform: Platform, limits: Limits, cluster: Cluster) -> None:
        self._platform = platform
        self._limits = limits
        self._origins = frozenset(platform.settings.live_origins.replace(",", " ").split())
        self.places = Places(platform.settings, cluster)
        self._recent: SharedLooks[Principal] = SharedLooks(lasts_s=_REMEMBERED_S)
        self._asked_for: set[tuple[Principal, str]] = set()
        self._together: asyncio.Task[dict[tuple[Principal, str], Principal]] | None = None
        self.is_closing = False

    async def enter(self, connection: HTTPConnection) -> Entered:
        """Who comes, with a place taken. Raises `Turned`. What costs least to look at comes first."""
        if self.is_closing:
            raise Turned("closing", "The server restarts. Come back in a moment.", status=503)
        request = _as_request(connection)
        address = address_of(request)
        self.look_at_address(address)
        self._look_at_origin(request)
        try:
            place = await self.places.take(address)
            try:
                principal = await self._principal(request)
                await place.belongs_to(principal.ref)
            except BaseException:  # also who is cancelled leaves no place taken
                place.leave()
                raise
        except NoPlace as full:
            raise Turned(full.why, full.message, status=503 if full.why == "full" else 429) from None
        return Entered(principal, address, place)

    def may_speak(self, client: Client) -> bool:
        """One message more, of what its address and its principal may say."""
        said = self._limits.said
        return not (said.draw(client.spoken_for[0]) or said.draw(client.spoken_for[1]))

    async def still_welcome(self, clients: Iterable[Client]) -> dict[Client, Principal]:
        """Who they are now, of those whose key or sign-in still counts."""
        known = {one: (one.principal, one.address) for one in clients}
        now_they_are = await self._anew(set(known.values()))
        return {one: now_they_are[who] for one, who in known.items() if who in now_they_are}

    async def recognise(self, principal: Principal, address: str) -> Principal:
        """Who this is now; raises `NotSignedIn`. Those who ask in one turn of the loop are looked up together: a batch
        of events wakes all who stream."""
        who = principal, address
        self._asked_for.add(who)
        if self._together is None:
            self._together = asyncio.create_task(self._look_together())
        if found := (await asyncio.shield(self._together)).get(who):
            return found
        raise NotSignedIn("What you came in with is no longer valid, or not from here.", field="ticket")

    async def _look_together(self) -> dict[tuple[Principal, str], Principal]:
        await asyncio.sleep(0)
        comers, self._asked_for, self._together = self._asked_for, set(), None
        return await self._anew(comers)

    async def _anew(self, comers: Collection[tuple[Principal, str]]) -> dict[tuple[Principal, str], Principal]:
        """By who came from where: a key may be bound to addresses, and so is all that it opened."""
        keys = {one.id for one, _ in comers if one.sign_in_id is None}
        people = {one.sign_in_id for one, _ in comers if one.sign_in_id is not None}
        async with self._platform.database.reading() as tx:
            now = await self._platform.clock.now(tx)
            valid_keys = await apikeys.valid(tx, keys, at=now) if keys else {}
            valid_people = await signins.valid(tx, people, at=now) if people else {}
            closed = await protected_pages.closed_to(tx, valid_people.keys(), at=now) if valid_people else {}
        found: dict[tuple[Principal, str], Principal] = {}
        for one, address in comers:
            if one.sign_in_id is None:
                if (key := valid_keys.get(one.id)) and apikeys.is_taken_from(key, address):
                    found[one, address] = program(key)
            elif pair := valid_people.get(one.sign_in_id):
                found[one, address] = person(*pair, closed[one.sign_in_id])
        return found

    async def ticket(self, principal: Principal) -> str:
        """For who asked by REST, to come in by within half a minute."""
        async with self._platform.database.reading() as tx:
            now = await self._platform.clock.now(tx)
        about = {"kind": principal.kind, "id": principal.id, "sign_in": principal.sign_in_id}
        return handshakes.ticket(self._platform.key, about, at=now)

    def look_at_address(self, address: str) -> None:
        """Raises `Turned` from where nobody is let in."""
        allowed, refused = self._platform.settings.live_allowed, self._platform.settings.live_refused
        is_unknown = not address and bool(allowed or refused)
        if is_unknown or is_among(address, refused) or (allowed and not is_among(address, allowed)):
            raise Turned("bad_address", "Not from here.", status=403)

    def _look_at_origin(self, request: Request) -> None:
        """A browser says of which page it comes; only a browser has our cookie, so with one there is an origin."""
        origin = request.headers.get("origin")
        if origin is None:
            if request.cookies.get(cookies.NAME) and not _brings_more_than_a_cookie(request):
                raise Turned("bad_origin", "A browser says of which page it comes.", status=403)
            return
        if origin not in self._origins and not cookies.is_own(request, origin):
            raise Turned("bad_origin", "Pages of this site may not come in: live_origins.", status=403)

    async def _principal(self, request: Request) -> Principal:
        """Counted like requests, in whatever way they come: who guesses is soon not even looked at."""
        try:
            return await admit(request, by=self._way_of(request))
        except NotSignedIn as unknown:
            is_signed = unknown.field in ("sig", "ts", "nonce", "ip", "ticket")
            why, told = ("bad_signature", unknown.message) if is_signed else ("unauthorized", "Invalid API key")
            why = "expired_signature" if unknown.field == "ts" else why
            raise Turned(why, told, status=0) from None
        except TooMany as refused:
            raise Turned(refused.code, refused.message, status=429) from None
        except WaqtorError as refused:
            raise Turned(refused.code, refused.message, status=0) from None

    def _way_of(self, request: Request) -> Callable[[Request], Awaitable[Principal]]:
        if request.query_params.get("ticket"):
            return self._by_ticket
        if request.query_params.get("sig") is not None:
            return self._by_signature
        return self._by_key_or_token if _brings_a_key_or_token(request) else authenticate

    async def _by_key_or_token(self, request: Request) -> Principal:
        """What opens many connections at once is looked up once. Revoked meanwhile, it is found by the next look at
        who is connected: within a second in all."""
        credential = brought(request)
        word = hashlib.sha256(repr((credential, address_of(request))).encode()).digest()
        return await self._recent.get(word, lambda: by_credential(request, credential))

    async def _by_ticket(self, request: Request) -> Principal:
        async with self._platform.database.reading() as tx:
            now = await self._platform.clock.now(tx)
        about = handshakes.by_ticket(self._platform.key, request.query_params["ticket"], at=now)
        was = Principal(kind=about["kind"], id=about["id"], may=frozenset(), has="", sign_in_id=about["sign_in"])
        principal = await self.recognise(was, address_of(request))
        await self._spend(f"ticket:{about['jti']}")
        return principal

    async def _by_signature(self, request: Request) -> Principal:
        query = request.query_params
        if missing := [name for name in _SIGNED if not query.get(name)]:
            raise NotSignedIn(f"A signed request also says {missing[0]}.", field="sig")
        if not query["ts"].isdecimal() or len(query["ts"]) > _LONGEST_TS:
            raise NotSignedIn("ts is in milliseconds since 1970.", field="ts")
        said = Signed(
            key=query["key"],
            timestamp_ms=int(query["ts"]),
            nonce=query["nonce"],
            signature=query["sig"],
            bound_to=query.get("ip", ""),
        )
        async with self._platform.database.reading() as tx:
            now = await self._platform.clock.now(tx)
            key = await handshakes.by_signature(tx, self._platform.key, said, address=address_of(request), at=now)
        await self._spend(f"{key.id}:{said.nonce}")
        return program(key)

    async def _spend(self, word: str) -> None:
        async with self._platform.database.transaction() as tx:
            await handshakes.spend(tx, word, at=await self._platform.clock.now(tx))


def _as_request(connection: HTTPConnection) -> Request:
    """As a request for reading, so that it is looked at by the same functions. 2.3.0's `?apiKey=` is a header here."""
    query = parse_qs(connection.scope["query_string"].decode("latin-1"))
    headers = list(connection.scope["headers"])
    if given := query.get("apiKey"):
        headers.append((b"x-api-key", given[0].encode()))
    scheme = {"wss": "https", "ws": "http"}.get(connection.scope["scheme"], connection.scope["scheme"])
    return Request({**connection.scope, "type": "http", "method": "GET", "scheme": scheme, "headers": headers})


def _brings_more_than_a_cookie(request: Request) -> bool:
    named = {"ticket", "sig"} & set(parse_qs(request.url.query))
    return bool(named) or _brings_a_key_or_token(request)


def _brings_a_key_or_token(request: Request) -> bool:
    """Or says that it does: one that is empty is refused by who looks at it."""
    return bool(request.headers.get("authorization") or request.headers.get("x-api-key"))
