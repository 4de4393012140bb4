"""What a send means, for every way a network can break. Only `effect` none may ever be tried again."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import traceback

import orjson
import pytest

from connectors.cloud import CloudConnector
from core.ports import (
    Ambiguous,
    Expired,
    PermanentContent,
    RateLimited,
    Retryable,
    SendError,
    SessionLost,
)
from tests.connectors.conftest import ACCEPTED, PHONE, TOKEN, graph_error, http

OK = http(200, orjson.dumps(ACCEPTED))


def always(data):
    async def script(peer):
        while True:
            await peer.request()
            await peer.answer(data)

    return script


async def failure(connector, message) -> SendError:
    with pytest.raises(SendError) as caught:
        await connector.send(message)
    return caught.value


async def test_accepted_message_carries_our_mark_and_returns_the_proof(server, connector, outgoing):
    server.script = always(OK)
    accepted = await connector.send(outgoing(reply_to="wamid.before"))
    assert accepted.provider_id == ACCEPTED["messages"][0]["id"]
    head, body = bytes(server.received).split(b"\r\n\r\n", 1)
    assert head.startswith(b"POST /v23.0/106540352242922/messages HTTP/1.1")
    assert f"Authorization: Bearer {TOKEN}".encode() in head
    sent = orjson.loads(body)
    assert sent["biz_opaque_callback_data"] == "wq1:3EB0AABBCCDD"
    assert sent["context"] == {"message_id": "wamid.before"}
    assert sent["to"] == PHONE


async def test_connections_are_kept_for_the_next_message(server, connector, outgoing):
    server.script = always(OK)
    for _ in range(5):
        await connector.send(outgoing())
    assert server.connections == 1


# Nothing was written: it may be tried again


async def test_refused_connection_had_no_effect(sender, outgoing):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v23.0"
    connector = CloudConnector(sender, base_url=url, request_timeout_s=1)
    error = await failure(connector, outgoing())
    assert type(error) is Retryable
    assert error.code == "not_connected"
    await connector.close()


async def test_unknown_host_had_no_effect(sender, outgoing):
    connector = CloudConnector(sender, base_url="http://no-such-host.invalid/v23.0", request_timeout_s=5)
    error = await failure(connector, outgoing())
    assert isinstance(error, Retryable)
    await connector.close()


async def test_failed_tls_handshake_had_no_effect(server, sender, outgoing):
    async def not_tls(peer):
        await peer.reader.read(10)
        await peer.answer(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server.script = not_tls
    connector = CloudConnector(sender, base_url=server.url.replace("http:", "https:"), request_timeout_s=1)
    error = await failure(connector, outgoing())
    assert type(error) is Retryable
    await connector.close()


async def test_handshake_that_lasts_past_send_by_expires_without_a_request(server, sender, outgoing):
    async def silent(peer):
        await asyncio.sleep(5)

    server.script = silent
    connector = CloudConnector(sender, base_url=server.url.replace("http:", "https:"), request_timeout_s=5)
    started = time.monotonic()
    error = await failure(connector, outgoing(within_s=0.3))
    assert type(error) is Expired
    assert time.monotonic() - started < 1.5  # it does not hold its place until the request would time out
    await connector.close()


async def test_send_by_in_the_past_opens_no_connection(server, connector, outgoing):
    server.script = always(OK)
    assert type(await failure(connector, outgoing(within_s=-0.001))) is Expired
    await asyncio.sleep(0.05)
    assert server.connections == 0


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="later Pythons write within send itself")
async def test_process_that_stalls_between_connection_and_write_writes_nothing(server, connector, outgoing):
    server.script = always(OK)
    await connector.send(outgoing())  # a connection is waiting, so the next send has nothing to wait for
    before = server.requests
    sending = asyncio.create_task(connector.send(outgoing(within_s=0.1)))
    asyncio.get_running_loop().call_soon(time.sleep, 0.2)  # runs after `send`, before the writing task
    with pytest.raises(Expired):
        await sending
    await asyncio.sleep(0.1)
    assert server.requests == before
    await connector.send(outgoing())
    assert server.requests == before + 1


async def test_stopped_process_does_not_write_late():
    """SIGSTOP while connecting; the connection comes about meanwhile; SIGCONT after send_by."""
    child_code = textwrap.dedent(
        """
        import asyncio, sys, time
        from connectors.cloud import CloudConnector
        from core.content import Text
        from core.ports import Address, Outgoing, SenderConfig, SendError

        async def main(port):
            sender = SenderConfig(sender_id=1, kind="cloud", phone_number_id="1", waba_id="1",
                                  access_token="t", app_secret="s")
            cloud = CloudConnector(sender, base_url=f"http://127.0.0.1:{port}/v23.0", request_timeout_s=20)
            print("sending", flush=True)
            try:
                await cloud.send(Outgoing("c", Address("phone", "+491"), Text(body="x"), time.monotonic() + 2))
                print("accepted", flush=True)
            except SendError as error:
                print(type(error).__name__, flush=True)

        asyncio.run(main(int(sys.argv[1])))
        """
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(2)]
        for filler in fillers:  # a full backlog: the child's SYN is dropped and sent again after 1 s
            filler.setblocking(False)
            filler.connect_ex(address)
        child = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", child_code, str(address[1])], stdout=subprocess.PIPE, text=True
        )
        try:
            assert child.stdout is not None
            assert await asyncio.to_thread(child.stdout.readline) == "sending\n"
            await asyncio.sleep(0.2)
            os.kill(child.pid, signal.SIGSTOP)
            listener.settimeout(8)
            mine = {filler.getsockname()[1] for filler in fillers}
            while True:
                accepted, peer = await asyncio.to_thread(listener.accept)
                if peer[1] not in mine:
                    break
                accepted.close()
            await asyncio.sleep(2.5)
            os.kill(child.pid, signal.SIGCONT)
            verdict = await asyncio.to_thread(child.stdout.readline)
            accepted.settimeout(2)
            written = await asyncio.to_thread(accepted.recv, 1000)
        finally:
            os.kill(child.pid, signal.SIGCONT)
            child.kill()
            child.wait()
            for filler in fillers:
                filler.close()
    assert verdict == "Expired\n"
    assert written == b""
    accepted.close()


async def test_connection_closed_while_idle_had_no_effect(server, connector, outgoing):
    """Once the loop knows that a kept connection is gone, a new one is opened and used."""

    async def once(peer):
        await peer.request()
        await peer.answer(OK)

    server.script = once
    for _ in range(3):
        await connector.send(outgoing())
        await asyncio.sleep(0.05)
    assert server.connections == 3


async def test_stray_answer_on_an_idle_connection_is_not_taken_for_ours(server, connector, outgoing):
    async def chatty(peer):
        await peer.request()
        await peer.answer(OK)
        await asyncio.sleep(0.05)
        await peer.answer(OK)  # as a proxy that times an idle connection out
        await peer.request()

    server.script = chatty
    await connector.send(outgoing())
    await asyncio.sleep(0.15)
    error = await failure(connector, outgoing())
    assert type(error) is Retryable
    await asyncio.sleep(0.1)
    assert server.requests == 1


# Something was written and no whole answer came: in doubt


async def reset_after_reading(peer):
    await peer.request()
    peer.reset()


async def reset_before_reading(peer):
    await asyncio.sleep(0.05)
    peer.reset()


async def close_after_reading(peer):
    await peer.request()


async def half_head(peer):
    await peer.request()
    await peer.answer(OK[:20])


async def half_body(peer):
    await peer.request()
    await peer.answer(OK[:-10])


async def half_refusal(peer):
    await peer.request()
    await peer.answer(graph_error(400, 131026)[:-10])


async def hang(peer):
    await peer.request()
    await asyncio.sleep(10)


async def hang_within_the_body(peer):
    await peer.request()
    await peer.answer(OK[:-10])
    await asyncio.sleep(10)


async def no_http(peer):
    await peer.request()
    await peer.answer(b"\x00\x01 this is not HTTP\r\n\r\n")


@pytest.mark.parametrize(
    "script",
    [
        reset_after_reading,
        reset_before_reading,
        close_after_reading,
        half_head,
        half_body,
        half_refusal,
        hang,
        hang_within_the_body,
        no_http,
    ],
    ids=lambda script: script.__name__,
)
async def test_broken_exchange_is_in_doubt_and_never_repeated(server, connector, outgoing, script):
    server.script = script
    error = await failure(connector, outgoing())
    assert type(error) is Ambiguous
    assert error.effect == "unknown"
    assert error.code == "in_doubt"
    await asyncio.sleep(0.1)
    assert server.connections == 1
    assert server.requests <= 1


async def test_dropped_kept_connection_does_not_make_the_client_repeat(server, connector, outgoing):
    """aiohttp repeats idempotent methods on a kept connection that drops; a send must not be one of them."""

    async def second_dies(peer):
        await peer.request()
        await peer.answer(OK)
        await peer.request()
        peer.reset()

    server.script = second_dies
    await connector.send(outgoing())
    assert type(await failure(connector, outgoing())) is Ambiguous
    await asyncio.sleep(0.1)
    assert (server.connections, server.requests) == (1, 2)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(http(500, b""), id="500 empty"),
        pytest.param(http(502, b"<html>Bad gateway</html>"), id="502 page"),
        pytest.param(graph_error(500, None), id="500 without code"),
        pytest.param(graph_error(500, 999999), id="500 unknown code"),
        pytest.param(graph_error(500, 131000), id="500 known to be unclear"),
        pytest.param(graph_error(400, 1), id="400 known to be unclear"),
        pytest.param(http(408, b""), id="408"),
        pytest.param(http(302, b"", "Location: /elsewhere"), id="redirect"),
        pytest.param(http(307, b"", "Location: /elsewhere"), id="redirect that keeps the method"),
        pytest.param(http(200, b""), id="200 empty"),
        pytest.param(http(200, b"{not json"), id="200 garbage"),
        pytest.param(http(200, b"[]"), id="200 list"),
        pytest.param(http(200, b'{"messages":[]}'), id="200 no message"),
        pytest.param(http(200, b'{"messages":[{"id":7}]}'), id="200 odd id"),
        pytest.param(http(200, b'{"messages":[{"id":""}]}'), id="200 empty id"),
    ],
)
async def test_unclear_answer_is_in_doubt(server, connector, outgoing, answer):
    server.script = always(answer)
    assert type(await failure(connector, outgoing())) is Ambiguous
    assert server.requests == 1


# Whole refusals


async def test_refusal_with_an_unknown_code_is_about_the_message(server, connector, outgoing):
    server.script = always(graph_error(400, 999999))
    error = await failure(connector, outgoing())
    assert type(error) is PermanentContent
    assert (error.code, error.provider_code, error.effect) == ("refused", 999999, "none")


async def test_busy_service_is_known_to_have_done_nothing_even_with_a_500(server, connector, outgoing):
    server.script = always(graph_error(500, 131016))
    assert type(await failure(connector, outgoing())) is Retryable


async def test_429_without_a_code_slows_the_sender_for_as_long_as_asked(server, connector, outgoing):
    server.script = always(http(429, b"", "Retry-After: 30"))
    error = await failure(connector, outgoing())
    assert isinstance(error, RateLimited)
    assert (error.scope, error.retry_after_s) == ("sender", 30)


async def test_unknown_number_of_ours_stops_the_sender_and_not_one_message_after_the_other(server, connector, outgoing):
    server.script = always(graph_error(400, 100, error_subcode=33))
    assert type(await failure(connector, outgoing())) is SessionLost


async def test_cancelling_is_passed_on(server, connector, outgoing):
    server.script = hang
    sending = asyncio.create_task(connector.send(outgoing()))
    await asyncio.sleep(0.1)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_closed_session_had_no_effect(server, connector, outgoing):
    server.script = always(OK)
    await connector.close()
    assert type(await failure(connector, outgoing())) is Retryable


async def test_many_at_once_are_each_answered_once(server, connector, outgoing):
    server.script = always(OK)
    await asyncio.gather(*(connector.send(outgoing()) for _ in range(64)))
    assert server.requests == 64


async def test_no_token_and_no_number_in_any_text(server, connector, outgoing, caplog):
    caplog.set_level(logging.DEBUG)
    message = f"Malformed access token {TOKEN} for +966 51 234 5678 or 966512345678"
    scripts = [always(graph_error(400, code, message)) for code in (190, 100, 131026, 999999, 1)]
    for script in [*scripts, half_body, no_http, close_after_reading]:
        server.script = script
        error = await failure(connector, outgoing())
        # An exception of the HTTP client would know the headers.
        assert (error.__context__, error.__cause__) == (None, None)
        text = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
        for secret in (TOKEN, "966512345678", "234 5678"):
            assert secret not in text
    for secret in (TOKEN, "966512345678"):
        assert secret not in caplog.text
