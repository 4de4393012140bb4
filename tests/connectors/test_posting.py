import asyncio
import gc
import os
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
import uvloop

import receiving
from connectors.posting import MOST_OF_BODY, Posting
from core.ports import Letter, PostError
from core.webhook_addresses import Rules, ports
from receiving import Answer, Authority, Request, receiver

HERE = Rules((ip_network("127.0.0.0/8"),), http=True, ports=ports("1-65535"))
BODY = b'{"type":"message.sent"}'


@asynccontextmanager
async def posting(rules: Rules = HERE, **more: object) -> AsyncIterator[Posting]:
    made = Posting(rules, **more)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()


def letter(url: str, body: bytes = BODY, **headers: str) -> Letter:
    return Letter(url, {"Content-Type": "application/json", "webhook-id": "evt_1", **headers}, body)


async def reason(poster: Posting, url: str, body: bytes = BODY) -> str:
    with pytest.raises(PostError) as refused:
        await poster.post(letter(url, body))
    return refused.value.reason


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 (what is waited for is a socket's doing)
            await asyncio.sleep(0.01)


async def test_a_letter_arrives_as_it_was_signed_and_nothing_else_goes_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with (
        receiver(
            receiving.saying(b"HTTP/1.1 201 Yes\r\nRetry-After: 7\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok")
        ) as there,
        posting() as poster,
    ):
        for _ in range(2):
            answer = await poster.post(letter(there.url("/a%2Fb/?a=1&b=%26#part"), **{"X-Api-Key": "k"}))
        assert (answer.status, answer.body) == (201, b"ok")
        assert answer.headers == {"retry-after": "7", "content-length": "2"}
        assert answer.took_s > 0
        assert there.connections == 1
    for request in there.requests:
        assert request.line == "POST /a%2Fb/?a=1&b=%26 HTTP/1.1"
        assert request.body == BODY
        assert request.headers == {
            "Host": f"127.0.0.1:{there.port}",
            "User-Agent": "WaQtor-Webhook/3.0",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "Content-Length": str(len(BODY)),
            "webhook-id": "evt_1",
            "X-Api-Key": "k",
        }


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_told_and_never_followed(status: int) -> None:
    async with receiver() as target, posting() as poster:
        head = f"HTTP/1.1 {status} Over there\r\nLocation: {target.url()}\r\nContent-Length: 0\r\n\r\n"
        async with receiver(receiving.saying(head.encode())) as there:
            assert (await poster.post(letter(there.url()))).status == status
        assert target.connections == 0


async def test_tls_and_host_go_by_the_name_while_the_connection_goes_to_the_checked_address(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    asked: list[str] = []

    def look_up(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.2"]

    async with (
        receiver(tls=authority.serving("hooks.example.com"), host="127.0.0.2") as good,
        receiver(tls=authority.serving("other.example.com"), host="127.0.0.2") as bad,
        posting(tls=authority.trusted(), look_up=look_up) as poster,
        posting(look_up=look_up) as stranger,
    ):
        url = good.url(host="hooks.example.com", scheme="https")
        assert (await poster.post(letter(url))).status == 204
        assert (await poster.post(letter(url))).status == 204
        assert good.requests[0].headers["Host"] == f"hooks.example.com:{good.port}"
        assert asked == ["hooks.example.com"]
        assert good.connections == 1
        assert await reason(poster, bad.url(host="hooks.example.com", scheme="https")) == "tls"
        assert await reason(stranger, url) == "tls"
        assert await reason(poster, good.url(scheme="https", host="hooks.example.com").replace("https", "http")) in (
            "reset",
            "bad_answer",
        )
    assert not bad.requests


async def _half(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("answering", "why"),
    [
        (receiving.silent, "timeout"),
        (receiving.dripping, "timeout"),
        (receiving.dripping_head, "timeout"),
        (receiving.resetting, "reset"),
        (_half, "bad_answer"),
        (receiving.saying(b"SSH-2.0-OpenSSH_9.7\r\n\r\n"), "bad_answer"),
        (receiving.saying(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "bad_answer"),
        (receiving.saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "bad_answer"),
        (receiving.saying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"), "bad_answer"),
        (receiving.flooding(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 200), "bad_answer"),
        (receiving.flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "timeout"),
    ],
)
async def test_a_bad_receiver_has_its_reason_and_leaves_nothing_open(answering: Answer, why: str) -> None:
    async with receiver(answering) as there, posting(total_s=0.5) as poster:
        began = time.monotonic()
        assert await reason(poster, there.url()) == why
        assert time.monotonic() - began < 5
        await eventually(lambda: there.open == 0)
        assert there.connections == 1


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_receiver_that_does_not_read_holds_neither_us_nor_our_memory(
    run: Callable[[Coroutine[None, None, None]], None],
) -> None:
    """What was to be written to it is thrown away with the connection."""
    run(_to_one_that_does_not_read())


async def _to_one_that_does_not_read() -> None:
    held: list[asyncio.StreamWriter] = []

    async def not_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        held.append(writer)

    server = await asyncio.start_server(not_reading, "127.0.0.1", 0, limit=1024)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    made: list[socket.socket] = []

    def new_socket(info: tuple[object, ...]) -> socket.socket:
        made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        return made[-1]

    async with posting(total_s=0.3, new_socket=new_socket) as poster:
        assert await reason(poster, url, b"x" * 20_000_000) == "timeout"
        await eventually(lambda: made[0].fileno() == -1)
    for writer in held:
        writer.transport.abort()
    server.close()


@pytest.mark.parametrize("encoding", ["", "Content-Encoding: gzip\r\n"])
@pytest.mark.parametrize("chunked", [True, False])
async def test_of_a_gigabyte_16_kib_are_read_and_a_megabyte_is_not_needed(encoding: str, chunked: bool) -> None:
    piece = b"\x1f\x8b\x08" + b"\0" * 65533
    if chunked:
        head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{encoding}\r\n"
        piece = b"10000\r\n" + piece + b"\r\n"
    else:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 30}\r\n{encoding}\r\n"
    async with receiver(receiving.flooding(head.encode(), piece)) as there, posting() as poster:
        await poster.post(letter(there.url()))
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(5):
                answer = await poster.post(letter(there.url()))
                assert answer.status == 200
                assert len(answer.body) == MOST_OF_BODY
                assert answer.body[:3] == b"\x1f\x8b\x08"
            # The receiver is in this process too: it holds a piece or two of its own for each connection.
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
        await eventually(lambda: there.open == 0)


async def test_a_kept_connection_that_was_hung_up_on_costs_no_attempt() -> None:
    async def once(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(there.requests) == 2:
            receiving.reset(writer)
        else:
            writer.write(receiving.OK)

    async with receiver(once) as there, posting() as poster:
        assert (await poster.post(letter(there.url()))).status == 204
        assert (await poster.post(letter(there.url()))).status == 204
        assert there.connections == 2
        assert {request.headers["webhook-id"] for request in there.requests} == {"evt_1"}


async def test_who_is_not_there_is_told_from_who_does_not_answer() -> None:
    with socket.socket() as closed, socket.socket() as full:
        closed.bind(("127.0.0.1", 0))
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for one in fillers:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        async with posting(connect_s=0.3, look_up=_nobody) as poster:
            with pytest.raises(PostError) as told:
                await poster.post(letter(f"http://127.0.0.1:{closed.getsockname()[1]}/"))
            assert (told.value.reason, told.value.detail) == ("connect_failed", "Connection refused")
            assert await reason(poster, f"http://127.0.0.1:{full.getsockname()[1]}/") == "connect_timeout"
            assert await reason(poster, "http://nobody.example.com/") == "not_resolved"
            assert await reason(poster, f"http://{'x' * 64}.example.com/") in ("not_resolved", "invalid_url")
        for one in fillers:
            one.close()


def _nobody(host: str, port: int) -> Sequence[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_tls_that_never_comes_to_an_end_is_given_up() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100_000)

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with posting(connect_s=0.3) as poster:
        port = server.sockets[0].getsockname()[1]
        assert await reason(poster, f"https://127.0.0.1:{port}/") == "connect_timeout"
    server.close()


async def test_names_whose_servers_are_silent_hold_up_no_name_that_answered() -> None:
    import threading

    release = threading.Event()

    def look_up(host: str, port: int) -> Sequence[str]:
        if host.startswith("silent"):
            release.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return ["127.0.0.1"]

    async with receiver() as there, posting(look_up=look_up, connect_s=1, total_s=2) as poster:
        assert (await poster.post(letter(there.url(host="good.example.com")))).status == 204
        there.hang_up()
        waiting = [asyncio.create_task(reason(poster, f"http://silent{n}.example.com/")) for n in range(100)]
        await asyncio.sleep(0.1)
        # Another port: nothing of what is remembered of the first helps.
        async with receiver() as other:
            assert (await poster.post(letter(other.url(host="good.example.com")))).status == 204
        assert not any(task.done() for task in waiting)
        assert set(await asyncio.gather(*waiting)) == {"connect_timeout"}
        release.set()


async def test_good_and_bad_letters_leave_no_file_open() -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    async with receiver() as good, receiver(receiving.resetting) as bad, receiver(receiving.silent) as mute:
        async with posting(total_s=0.3) as poster:
            await poster.post(letter(good.url()))
            before = count()
            for _ in range(3):
                urls = [good.url(), bad.url(), mute.url(), "http://127.0.0.1:1/"] * 5
                await asyncio.gather(*(poster.post(letter(url)) for url in urls), return_exceptions=True)
        await eventually(lambda: good.open + bad.open + mute.open == 0)
        await eventually(lambda: count() <= before)


async def test_through_a_proxy_the_address_is_chosen_and_checked_here(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    answers = {"hooks.example.com": "127.0.0.2", "inside.example.com": "10.0.0.1"}
    asked: list[str] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode()
        asked.append(line)
        host, _, port = line.split(" ")[1].rpartition(":")
        up, down = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(_pipe(reader, down), _pipe(up, writer))

    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    rules = Rules((ip_network("127.0.0.2/32"),), http=True, ports=ports("1-65535"))
    async with (
        receiver(tls=authority.serving("hooks.example.com"), host="127.0.0.2") as there,
        posting(
            rules,
            proxy=f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}",
            tls=authority.trusted(),
            look_up=lambda host, port: [answers[host]],
        ) as poster,
    ):
        url = there.url(host="hooks.example.com", scheme="https")
        assert (await poster.post(letter(url))).status == 204
        assert asked == [f"CONNECT 127.0.0.2:{there.port} HTTP/1.1"]
        assert there.requests[0].headers["Host"] == f"hooks.example.com:{there.port}"
        assert await reason(poster, there.url(host="inside.example.com", scheme="https")) == "forbidden_address"
        assert await reason(poster, there.url(host="inside.example.com")) == "invalid_url"
        assert len(asked) == 1
    proxy.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()
