"""Signing in, people and the audit log through the shipped client."""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor

import pytest

import waqtor as sdk
from accounts import PASSWORD
from serving import Server
from waqtor import AsyncClient, Client

NEXT = "another marble kettle"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40)


async def test_a_person_from_invitation_to_the_end(server: Server, waqtor: AsyncClient) -> None:
    link = await waqtor.users.invite("noura@example.com", role="viewer")
    assert link.token not in repr(link)
    async with AsyncClient("http://waqtor", "", transport=server.transport) as nobody:
        user = await nobody.auth.accept(link.token, PASSWORD, name="نورة")
        assert (user.role, user.name) == ("viewer", "نورة")
        with pytest.raises(sdk.NotSignedIn):
            await nobody.auth.sign_in("noura@example.com", "not this one")
        signed_in = await nobody.auth.sign_in("noura@example.com", PASSWORD)
        assert signed_in.access_token not in repr(signed_in)
        renewed = await nobody.auth.refresh(signed_in.refresh_token)
    async with AsyncClient("http://waqtor", renewed.access_token, transport=server.transport) as noura:
        assert "contacts.read" in (await noura.auth.me()).permissions
        assert (await noura.auth.change_me(name="Noura")).name == "Noura"
        with pytest.raises(sdk.NotAllowed):
            await noura.contacts.create("+966501234567")
        assert [one.kind for one in await noura.auth.sign_ins()] == ["tokens"]
        assert (await waqtor.users.change(user.id, role="user")).role == "user"
        await noura.contacts.create("+966501234567")
        assert (await noura.auth.begin_totp(PASSWORD)).secret
        with pytest.raises(sdk.Invalid):
            await noura.auth.confirm_totp("000000")
        await noura.auth.drop_totp(PASSWORD)
        await noura.auth.change_password(PASSWORD, NEXT)
        with pytest.raises(sdk.NotSignedIn):
            await noura.auth.me()
    assert [one.email async for one in waqtor.users.list()] == ["noura@example.com"]
    assert (await waqtor.users.get(user.id)).last_sign_in_at
    assert (await waqtor.users.reset_link(user.id)).link
    assert not (await waqtor.users.drop_second_factor(user.id)).has_second_factor
    assert (await waqtor.users.sign_out(user.id)).ended == 0
    assert (await waqtor.users.change(user.id, disabled=True)).state == "disabled"
    done = [entry.action async for entry in waqtor.audit.list(subject=f"user:{user.id}")]
    assert {"change_user", "user.joined", "user.password_changed", "sign_in.failed"} <= set(done)
    assert (await waqtor.audit.verify()).state == "whole"


def test_over_a_real_socket_and_at_once(socket_client: Client) -> None:
    link = socket_client.users.invite("huda@example.com", role="user")
    url = socket_client._manner.url
    with Client(url, "") as nobody:
        nobody.auth.accept(link.token, PASSWORD, name="Huda")
        first, second = (nobody.auth.sign_in("huda@example.com", PASSWORD) for _ in range(2))
    with Client(url, first.access_token) as huda:
        assert len(huda.auth.sign_ins()) == 2
        huda.auth.end_sign_in(second.sign_in_id)
        assert huda.auth.end_sign_ins().ended == 1
        with pytest.raises(sdk.NotSignedIn):
            huda.auth.sign_out()
    done = {(entry.actor.split(":")[0], entry.action) for entry in socket_client.audit.list()}
    assert {("api_key", "invite_user"), ("user", "sign_in")} <= done


def test_a_refused_sign_in_is_not_tried_again_by_itself(socket_client: Client) -> None:
    with Client(socket_client._manner.url, "") as nobody:
        for _ in range(5):
            with pytest.raises(sdk.NotSignedIn):
                nobody.auth.sign_in("nobody@example.com", "not this one")
        with pytest.raises(sdk.TooMany):
            nobody.auth.sign_in("nobody@example.com", "not this one")


async def test_pages_behind_a_code_and_keys_of_services(server: Server, waqtor: AsyncClient) -> None:
    link = await waqtor.users.invite("noura@example.com")
    async with AsyncClient("http://waqtor", "", transport=server.transport) as nobody:
        await nobody.auth.accept(link.token, PASSWORD)
        token = (await nobody.auth.sign_in("noura@example.com", PASSWORD)).access_token
    assert (await waqtor.protected_pages.protect("contacts", open_minutes=5)).open_minutes == 5
    async with AsyncClient("http://waqtor", token, transport=server.transport) as noura:
        assert (await noura.auth.me()).closed_pages == ["contacts"]
        with pytest.raises(sdk.NotAllowed) as refused:
            await noura.contacts.create("+966501234567")
        assert refused.value.code == "page_closed"
        code = await waqtor.protected_pages.issue_code("contacts", user_id=1)
        assert code.code not in repr(code)
        assert (await noura.auth.open_page("contacts", code.code)).is_open
        await noura.contacts.create("+966501234567")
        assert [one.is_open for one in await noura.auth.pages()] == [True]
        assert (await noura.auth.me()).closed_pages == []
        assert not (await noura.auth.close_page("contacts")).is_open
        assert not (await noura.auth.page("contacts")).is_open
    assert [one.name for one in await waqtor.protected_pages.list()] == ["contacts"]
    assert not (await waqtor.protected_pages.release("contacts")).is_protected
    made = await waqtor.api_keys.create("reports", ["read"], kind="service")
    assert [one.id async for one in waqtor.api_keys.list(kind="service")] == [made.id]


async def test_tokens_are_renewed_in_time_once_for_all_who_ask(server: Server, waqtor: AsyncClient) -> None:
    link = await waqtor.users.invite("noura@example.com", role="viewer")
    async with AsyncClient("http://waqtor", "", transport=server.transport) as nobody:
        await nobody.auth.accept(link.token, PASSWORD)
        signed_in = await nobody.auth.sign_in("noura@example.com", PASSWORD)
    for stale in (
        signed_in.model_copy(update={"access_expires_in_s": 0}),  # its time is over by our own clock
        signed_in.model_copy(update={"access_token": "a.b.c"}),  # the server refuses it
    ):
        kept: list[sdk.SignedIn] = []
        now = stale.model_copy(update={"refresh_token": signed_in.refresh_token})
        async with AsyncClient(
            "http://waqtor", signed_in=now, on_refresh=kept.append, transport=server.transport
        ) as noura:
            answers = await asyncio.gather(*(noura.auth.me() for _ in range(5)))
            assert {one.email for one in answers} == {"noura@example.com"}
            assert len(kept) == 1, "a refresh token is good once"
            (signed_in,) = kept
            async with AsyncClient("http://waqtor", signed_in.access_token, transport=server.transport) as elsewhere:
                await elsewhere.auth.me()
    await waqtor.users.sign_out(signed_in.user.id)
    async with AsyncClient("http://waqtor", signed_in=signed_in, transport=server.transport) as gone:
        with pytest.raises(sdk.NotSignedIn):
            await gone.auth.me()


def test_threads_share_one_renewal(socket_client: Client) -> None:
    link = socket_client.users.invite("maha@example.com", role="user")
    url = socket_client._manner.url
    with Client(url, "") as nobody:
        nobody.auth.accept(link.token, PASSWORD)
        signed_in = nobody.auth.sign_in("maha@example.com", PASSWORD)
    kept: list[sdk.SignedIn] = []
    stale = signed_in.model_copy(update={"access_expires_in_s": 0})
    with Client(url, signed_in=stale, on_refresh=kept.append) as maha, ThreadPoolExecutor(4) as threads:
        assert {one.email for one in threads.map(lambda _: maha.auth.me(), range(8))} == {"maha@example.com"}
    assert len(kept) == 1


async def test_a_server_speaks_for_a_browser(server: Server, waqtor: AsyncClient) -> None:
    link = await waqtor.users.invite("noura@example.com", role="user")
    async with AsyncClient("http://waqtor", "", transport=server.transport) as nobody:
        assert (await nobody.auth.look_at_link(link.token)).email == "noura@example.com"
        await nobody.auth.accept(link.token, PASSWORD)
        with pytest.raises(sdk.NotFound):
            await nobody.auth.look_at_link(link.token)
        entered = await nobody.auth.sign_in_browser("noura@example.com", PASSWORD)
        assert entered.cookie not in repr(entered)
    reader = sdk.Browser(cookie=entered.cookie)
    async with AsyncClient("http://waqtor", browser=reader, transport=server.transport) as reading:
        me = await reading.auth.me()
        assert (me.csrf_token, me.language) == (entered.csrf_token, None)
        with pytest.raises(sdk.NotAllowed):
            await reading.auth.change_me(language="ar")
    browser = sdk.Browser(cookie=entered.cookie, csrf_token=entered.csrf_token)
    async with AsyncClient("http://waqtor", browser=browser, transport=server.transport) as noura:
        assert (await noura.auth.change_me(language="ar")).language == "ar"
        with pytest.raises(sdk.Invalid):
            await noura.auth.change_me(language="no language")
        assert (await noura.auth.avatar()).picture is None
        await noura.auth.set_avatar(PICTURE)
        assert base64.b64decode((await noura.auth.avatar()).picture or "") == PICTURE
        for wrong in (b"<svg/>", PICTURE + bytes(64 * 1024)):
            with pytest.raises(sdk.Invalid):
                await noura.auth.set_avatar(wrong)
        await noura.auth.set_avatar(None)
        assert (await noura.auth.avatar()).picture is None
        await noura.auth.sign_out()
        with pytest.raises(sdk.NotSignedIn):
            await noura.auth.me()


async def test_a_list_is_read_page_by_page(waqtor: AsyncClient) -> None:
    for number in range(3):
        await waqtor.contacts.create(f"+96650123456{number}", tags=["vip"])
    first = await waqtor.contacts.list.page(None, tag="vip", limit=2)
    second = await waqtor.contacts.list.page(first.next_cursor, tag="vip", limit=2)
    assert ([len(first.data), len(second.data)], second.next_cursor) == ([2, 1], None)
    assert [one.id async for one in waqtor.contacts.list(tag="vip")] == [one.id for one in first.data + second.data]
