"""Accounts come by invitation, links are good once, and somebody who may let others in remains."""

import asyncio

import pytest

from accounts import a_user
from core import signins, users
from core.bootstrap import Platform
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import User
from core.passwords import Passwords
from core.signins import Here
from core.users import Changes
from fakes import FakeClock


async def _change(platform: Platform, user: User, changes: Changes) -> User:
    async with platform.database.transaction() as tx:
        return await users.change(tx, user.id, changes, at=await platform.clock.now(tx))


async def _use(platform: Platform, token: str, **more: str) -> User:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        given = {"email": "new@example.com", "name": "New", **more}
        return await users.use_link(tx, platform.key, token, password_hash="x", at=now, **given)


async def test_the_first_admin_is_invited_as_long_as_there_is_nobody(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        old = await users.first_admin(tx, at=await platform.clock.now(tx))
    async with platform.database.transaction() as tx:
        token = await users.first_admin(tx, at=await platform.clock.now(tx))
    assert old is not None
    assert token is not None
    with pytest.raises(NotFound):
        await _use(platform, old)
    admin = await _use(platform, token, email=" Noura@Example.com ")
    assert (admin.email, admin.role, admin.state) == ("noura@example.com", "admin", "active")
    async with platform.database.transaction() as tx:
        assert await users.first_admin(tx, at=await platform.clock.now(tx)) is None


async def test_a_link_is_good_once_and_for_a_time(platform: Platform, clock: FakeClock) -> None:
    user = await a_user(platform)
    async with platform.database.transaction() as tx:
        first = await users.reset_link(tx, user.id, at=await platform.clock.now(tx))
        second = await users.reset_link(tx, user.id, at=await platform.clock.now(tx))
    with pytest.raises(NotFound):
        await _use(platform, first)
    await _use(platform, second)
    with pytest.raises(NotFound):
        await _use(platform, second)
    async with platform.database.transaction() as tx:
        late = await users.reset_link(tx, user.id, at=await platform.clock.now(tx))
    clock.advance(hours=25)
    with pytest.raises(NotFound):
        await _use(platform, late)


async def test_a_new_password_makes_every_link_for_another_void(platform: Platform) -> None:
    user, other = await a_user(platform), await a_user(platform, email="other@example.com")
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        theirs, others = await users.reset_link(tx, user.id, at=now), await users.reset_link(tx, other.id, at=now)
        await users.set_password(tx, platform.key, await users.get(tx, user.id, locked=True), "new", at=now)
    with pytest.raises(NotFound):
        await _use(platform, theirs)
    await _use(platform, others)


async def test_a_link_that_two_use_at_once_serves_one(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        token = await users.invite(tx, role="user", at=await platform.clock.now(tx))
    outcomes = await asyncio.gather(
        *(_use(platform, token, email=f"{one}@example.com") for one in "ab"), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in outcomes) == ["NotFound", "User"]


async def test_the_last_admin_stays_also_when_two_step_down_at_once(platform: Platform) -> None:
    one = await a_user(platform, "admin", email="one@example.com")
    with pytest.raises(Conflict):
        await _change(platform, one, Changes(role="viewer"))
    with pytest.raises(Conflict):
        await _change(platform, one, Changes(is_disabled=True))
    two = await a_user(platform, "admin", email="two@example.com")
    outcomes = await asyncio.gather(
        _change(platform, one, Changes(role="viewer")),
        _change(platform, two, Changes(role="viewer")),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "User"]


async def test_who_is_disabled_or_has_a_new_password_is_signed_out(platform: Platform) -> None:
    await a_user(platform)
    user = await a_user(platform, "user")
    for change in ("disable", "password"):
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            await signins.begin(tx, await users.get(tx, user.id), kind="browser", here=Here("", ""), at=now)
            assert len(await signins.listed(tx, user.id, at=now)) == 1
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            if change == "disable":
                await users.change(tx, user.id, Changes(is_disabled=True), at=now)
                await users.change(tx, user.id, Changes(is_disabled=False), at=now)
            else:
                kept = await Passwords().hash("another olive marble")
                await users.set_password(tx, platform.key, await users.get(tx, user.id), kept, at=now)
            assert await signins.listed(tx, user.id, at=now) == []


async def test_what_is_not_right_is_said(platform: Platform) -> None:
    user = await a_user(platform)
    await a_user(platform, "user")
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        with pytest.raises(Conflict):
            await users.invite(tx, role="user", email="ADMIN@example.com", at=now)
        with pytest.raises(Invalid):
            await users.invite(tx, role="root", email="x@example.com", at=now)
        for email in ("", "x", "x@y", "a b@c.de", "x@" + "y" * 260 + ".com"):
            with pytest.raises(Invalid):
                await users.invite(tx, role="user", email=email, at=now)
        with pytest.raises(Conflict):
            await users.change(tx, user.id, Changes(email="user@example.com"), at=now)
        with pytest.raises(NotFound):
            await users.get(tx, 99)
    with pytest.raises(NotAllowed):
        users.own_role_stays(3, 3, Changes(role="admin"))
    users.own_role_stays(3, None, Changes(role="admin"))
