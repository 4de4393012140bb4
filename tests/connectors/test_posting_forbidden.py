"""What a stranger's address may not reach is counted at the socket: no connection, in whatever way it is written."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network

import pytest

import forbidden
import receiving
from connectors.posting import Posting
from core.ports import Letter, PostError
from core.webhook_addresses import Rules, ports
from receiving import Receiver, receiver

LOOPBACK = ip_network("127.0.0.0/8")
PUBLIC = "93.184.216.34"
STRICT = Rules((), http=True, ports=ports("1-65535"))


@dataclass
class Sockets:
    """Every address that a socket was made for. None leaves this machine."""

    to: list[str] = field(default_factory=list)

    def make(self, info: tuple[object, ...]) -> socket.socket:
        self.to.append(str(info[4][0]))  # type: ignore[index]
        if self.to[-1] == PUBLIC:
            raise OSError("nothing leaves this machine")
        return socket.socket(info[0], info[1])  # type: ignore[arg-type]


def names(host: str, port: int) -> Sequence[str]:
    """As the system does with what looks like an address; else by a table."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        known = forbidden.NAMES.get(host.rstrip(".").lower())
        if known is None:
            raise
        return known
    return [str(info[4][0]) for info in found]


@asynccontextmanager
async def everywhere() -> AsyncIterator[list[Receiver]]:
    """Whoever gets through to this machine is noticed, over IPv4 and IPv6."""
    async with receiver(host="0.0.0.0") as four:
        if not _has_ipv6():
            yield [four]
            return
        async with receiver(host="::1") as six:
            yield [four, six]


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as one:
        try:
            one.bind(("::1", 0))
        except OSError:
            return False
    return True


async def refused(poster: Posting, url: str) -> str:
    with pytest.raises(PostError) as error:
        await poster.post(Letter(url, {}, b"{}"))
    assert not error.value.sent, url
    return error.value.reason


def test_there_are_more_than_two_hundred_of_them() -> None:
    assert len(set(forbidden.urls(80))) > 200


@pytest.mark.parametrize("through_a_proxy", [False, True])
async def test_no_connection_is_made_to_what_is_not_on_the_public_internet(through_a_proxy: bool) -> None:
    sockets = Sockets()
    async with everywhere() as there, receiver() as proxy:
        poster = Posting(
            STRICT, look_up=names, new_socket=sockets.make, proxy=proxy.url("") if through_a_proxy else None
        )
        reasons: dict[str, str] = {}
        for receiving_at in there:
            for url in forbidden.urls(receiving_at.port):
                for scheme in ("http:", "https:"):
                    written = url.replace("http:", scheme)
                    reasons[written] = await refused(poster, written)
        await poster.close()
        assert [one.connections for one in there] == [0] * len(there)
        # Some of these look like another address than they are: that one may be tried, for it is public.
        assert set(sockets.to) <= ({"127.0.0.1"} if through_a_proxy else {PUBLIC})
        asked = [request.line for request in proxy.requests]
        assert all(line.startswith(f"CONNECT {PUBLIC}:") for line in asked), asked
    by_reason = {why: sum(1 for one in reasons.values() if one == why) for why in set(reasons.values())}
    assert by_reason.keys() <= {"forbidden_address", "invalid_url", "not_resolved", "connect_failed"}
    assert by_reason["forbidden_address"] > 200 * (1 if through_a_proxy else 2)


async def test_a_name_that_leads_elsewhere_the_second_time_gets_nothing() -> None:
    """Public when it is looked at, at home when it is connected to; or at home only for one of several."""
    asked: list[str] = []

    def turning(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return [PUBLIC] if len(asked) % 2 else ["127.0.0.1"]

    sockets = Sockets()
    async with everywhere() as there:
        poster = Posting(STRICT, look_up=turning, new_socket=sockets.make)
        for number in range(4):
            # Another name each time, so that nothing is remembered.
            url = there[0].url(host=f"turning{number}.example.com")
            assert await refused(poster, url) == ("forbidden_address" if number % 2 else "connect_failed")
        assert len(asked) == 4
        assert sockets.to == [PUBLIC, PUBLIC]
        assert there[0].connections == 0
        await poster.close()


async def test_every_forbidden_address_as_the_answer_of_a_name_server() -> None:
    sockets = Sockets()
    answers = [*forbidden.NETWORKS, *(one.replace("%25", "%") for one in forbidden.NETWORKS_6)]
    for mixed in (False, True):
        poster = Posting(
            STRICT,
            look_up=lambda host, port: [*([PUBLIC] if mixed else []), answers[int(host.split(".")[0][1:])]],  # noqa: B023
            new_socket=sockets.make,
        )
        for number in range(len(answers)):
            assert await refused(poster, f"https://n{number}.example.com/") == "forbidden_address"
        await poster.close()
    assert sockets.to == []


async def test_where_a_redirect_leads_nobody_goes() -> None:
    async with everywhere() as there, receiver() as first:
        here = Rules((LOOPBACK,), http=True, ports=ports("1-65535"))
        poster = Posting(here, look_up=names)
        for url in [one for one in forbidden.urls(there[0].port) if one.isascii()]:
            head = f"HTTP/1.1 307 Over there\r\nLocation: {url}\r\nRefresh: 0; url={url}\r\nContent-Length: 0\r\n\r\n"
            first.answering = receiving.saying(head.encode())
            answer = await poster.post(Letter(first.url(), {}, b"{}"))
            assert answer.status == 307
        await poster.close()
        assert [one.connections for one in there] == [0] * len(there)


async def test_a_network_that_is_allowed_opens_itself_and_no_other_spelling_of_more() -> None:
    rules = Rules((LOOPBACK,), http=True, ports=ports("1-65535"))
    sockets = Sockets()
    async with receiver() as there:
        poster = Posting(rules, look_up=names, new_socket=sockets.make)
        for host in ("127.0.0.1", "localhost", "0x7f.1"):
            assert (await poster.post(Letter(there.url(host=host), {}, b"{}"))).status == 204
        for host in ("[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "10.0.0.1", "[::1]", "mixed6.example.com"):
            assert await refused(poster, there.url(host=host)) == "forbidden_address"
        await poster.close()
    assert set(sockets.to) == {"127.0.0.1"}


async def test_only_ports_and_schemes_that_are_allowed() -> None:
    rules = Rules((LOOPBACK,), http=False, ports=ports("443 8000-8999"))
    poster = Posting(rules, look_up=names)
    for url in (
        "http://example.com/",
        "https://example.com:22/",
        "https://example.com:25/",
        "https://example.com:9000/",
        "https://user:secret@example.com/",
        "https://user@example.com/",
    ):
        assert await refused(poster, url) == "invalid_url"
    assert await refused(poster, "https://127.0.0.1:8000/") == "connect_failed"
    await poster.close()
