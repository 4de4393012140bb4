"""Who may open a WebSocket, and how much they may say on it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import parse_qs, urlsplit
from weakref import WeakValueDictionary

from starlette.requests import HTTPConnection, Request

from api import cookies
from api.addresses import address_of
from api.auth import admit, person, program
from api.buckets import Bucket
from api.connections import Client, Connections
from core import apikeys, handshakes, protected_pages, signins
from core.bootstrap import Platform
from core.errors import NotSignedIn, WaqtorError
from core.handshakes import Signed
from core.principals import Principal

_SIGNED = ("key", "ts", "nonce", "sig")


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


class Entrance:
    """Of this process; what it counts is what is connected here."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        settings = platform.settings
        self._origins = frozenset(settings.live_origins.replace(",", " ").split())
        self._allowed = _networks(settings.live_addresses)
        self._refused = _networks(settings.live_addresses_refused)
        self._buckets: WeakValueDictionary[str, Bucket] = WeakValueDictionary()
        self.is_closing = False

    async def admit(self, connection: HTTPConnection, connections: Connections) -> Entered:
        """Raises `Turned`. What costs least to look at comes first."""
        if self.is_closing:
            raise Turned("closing", "The server restarts. Come back in a moment.", status=503)
        request = _as_request(connection)
        address = address_of(request)
        self._look_at_address(address)
        self._look_at_origin(request)
        self._look_for_room(address, connections)
        try:
            principal = await self._principal(request, address)
        except NotSignedIn as unknown:
            why = "bad_signature" if unknown.field in ("sig", "ts", "nonce", "ip", "ticket") else "unauthorized"
            told = unknown.message if why == "bad_signature" else "Invalid API key"
            raise Turned(why, told, status=0) from None
        except WaqtorError as refused:
            raise Turned(refused.code, refused.message, status=0) from None
        settings = self._platform.settings
        if sum(one.principal.ref == principal.ref for one in connections.clients) >= settings.live_per_principal:
            raise Turned("too_many_of_principal", "You have too many connections open.", status=429)
        return Entered(principal, address)

    def buckets(self, entered: Entered) -> tuple[Bucket, Bucket]:
        """What a client of this address and principal draws on when it speaks."""
        return self._bucket(f"address {entered.address}"), self._bucket(f"principal {entered.principal.ref}")

    def _bucket(self, name: str) -> Bucket:
        found = self._buckets.get(name)
        if found is None:
            settings = self._platform.settings
            found = self._buckets[name] = Bucket(settings.live_messages_per_s, settings.live_messages_at_once)
        return found

    async def still_welcome(self, clients: Iterable[Client]) -> dict[Client, Principal]:
        """Who they are now, of those whose key or sign-in still counts."""
        known = list(clients)
        now_they_are = await self._anew({one.principal for one in known})
        return {one: now_they_are[one.principal] for one in known if one.principal in now_they_are}

    async def recognise(self, principal: Principal) -> Principal:
        """Who this is now; raises `NotSignedIn`."""
        if found := (await self._anew({principal})).get(principal):
            return found
        raise NotSignedIn("What you came in with is no longer valid.")

    async def _anew(self, principals: Collection[Principal]) -> dict[Principal, Principal]:
        keys = {one.id for one in principals if one.sign_in_id is None}
        people = {one.sign_in_id for one in principals if one.sign_in_id is not None}
        async with self._platform.database.reading() as tx:
            now = await self._platform.clock.now(tx)
            valid_keys = await apikeys.valid(tx, keys, at=now) if keys else {}
            valid_people = await signins.valid(tx, people, at=now) if people else {}
            closed = {one: await protected_pages.closed(tx, one, at=now) for one in valid_people}
        found: dict[Principal, Principal] = {}
        for one in principals:
            if one.sign_in_id is None:
                if key := valid_keys.get(one.id):
                    found[one] = program(key)
            elif pair := valid_people.get(one.sign_in_id):
                found[one] = person(*pair, closed[one.sign_in_id])
        return found

    async def ticket(self, principal: Principal) -> str:
        """For who asked by REST, to come in by within half a minute."""
        async with self._platform.database.reading() as tx:
            now = await self._platform.clock.now(tx)
        about = {"kind": principal.kind, "id": principal.id, "sign_in": principal.sign_in_id}
        return handshakes.ticket(self._platform.key, about, at=now)

    def _look_at_address(self, address: str) -> None:
        if not self._allowed and not self._refused:
            return
        try:
            from_where = ip_address(address)
        except ValueError:
            raise Turned("bad_address", "Not from here.", status=403) from None
        if any(from_where in one for one in self._refused):
            raise Turned("bad_address", "Not from here.", status=403)
        if self._allowed and not any(from_where in one for one in self._allowed):
            raise Turned("bad_address", "Not from here.", status=403)

    def _look_at_origin(self, request: Request) -> None:
        """A browser says of which page it comes; only a browser has our cookie, so with one there is an origin."""
        origin = request.headers.get("origin")
        if origin is None:
            if request.cookies.get(cookies.NAME) and not _brings_more_than_a_cookie(request):
                raise Turned("bad_origin", "A browser says of which page it comes.", status=403)
            return
        if origin not in self._origins and _host(origin) != _host(f"//{request.headers.get('host', '')}"):
            raise Turned("bad_origin", "Pages of this site may not come in: live_origins.", status=403)

    def _look_for_room(self, address: str, connections: Connections) -> None:
        settings = self._platform.settings
        if len(connections.clients) >= settings.live_connections:
            raise Turned("full", "There are too many connections.", status=503)
        if connections.of_address[address] >= settings.live_per_address:
            raise Turned("too_many_of_address", "There are too many connections from your address.", status=429)

    async def _principal(self, request: Request, address: str) -> Principal:
        query = {name: values[0] for name, values in parse_qs(request.url.query).items()}
        if ticket := query.get("ticket"):
            return await self._by_ticket(ticket)
        if "sig" in query:
            return await self._by_signature(query, address)
        return await admit(request)

    async def _by_ticket(self, ticket: str) -> Principal:
        async with self._platform.database.reading() as tx:
            now = await self._platform.clock.now(tx)
        about = handshakes.by_ticket(self._platform.key, ticket, at=now)
        await self._spend(f"ticket:{about['jti']}")
        return await self.recognise(
            Principal(kind=about["kind"], id=about["id"], may=frozenset(), has="", sign_in_id=about["sign_in"])
        )

    async def _by_signature(self, query: dict[str, str], address: str) -> Principal:
        if missing := [name for name in _SIGNED if not query.get(name)]:
            raise NotSignedIn(f"A signed request also says {missing[0]}.", field="sig")
        if not query["ts"].isdecimal():
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
            key = await handshakes.by_signature(tx, said, address=address, at=now)
        await self._spend(f"{key.id}:{said.nonce}")
        return program(key)

    async def _spend(self, word: str) -> None:
        async with self._platform.database.transaction() as tx:
            await handshakes.spend(tx, word, at=await self._platform.clock.now(tx))


def _as_request(connection: HTTPConnection) -> Request:
    """As a request for reading, so that it is looked at by the same functions. 2.3.0's `?apiKey=` is a header here."""
    query = parse_qs(connection.url.query)
    headers = list(connection.scope["headers"])
    if given := query.get("apiKey"):
        headers.append((b"x-api-key", given[0].encode()))
    scheme = {"wss": "https", "ws": "http"}.get(connection.scope["scheme"], connection.scope["scheme"])
    return Request({**connection.scope, "type": "http", "method": "GET", "scheme": scheme, "headers": headers})


def _brings_more_than_a_cookie(request: Request) -> bool:
    named = {"ticket", "sig"} & set(parse_qs(request.url.query))
    return bool(named or request.headers.get("authorization") or request.headers.get("x-api-key"))


def _networks(named: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(one, strict=False) for one in named.replace(",", " ").split())


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
