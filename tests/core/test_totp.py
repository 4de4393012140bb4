"""The second factor: a code is good once, and so is a recovery code."""

import pyotp
import pytest

from accounts import a_user
from core import totp, users
from core.bootstrap import Platform
from core.errors import Conflict, Invalid
from core.keys import with_new_encryption_key
from fakes import FakeClock


async def _on(platform: Platform, user_id: int) -> tuple[str, list[str]]:
    async with platform.database.transaction() as tx:
        secret, uri = totp.begin(platform.key, await users.get(tx, user_id, locked=True))
    assert secret in uri
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        user = await users.get(tx, user_id, locked=True)
        with pytest.raises(Invalid):
            await totp.confirm(tx, platform.key, user, "000", at=now)
        codes = await totp.confirm(tx, platform.key, user, pyotp.TOTP(secret).at(now), at=now)
    return secret, list(codes)


async def _passes(platform: Platform, user_id: int, code: str) -> bool:
    async with platform.database.transaction() as tx:
        user = await users.get(tx, user_id, locked=True)
        return await totp.passes(tx, platform.key, user, code, at=await platform.clock.now(tx))


async def test_a_code_is_good_once_and_for_a_minute(platform: Platform, clock: FakeClock) -> None:
    user = await a_user(platform)
    assert await _passes(platform, user.id, "anything"), "as long as there is no second factor"
    secret, _ = await _on(platform, user.id)
    clock.advance(seconds=90)
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
    code = pyotp.TOTP(secret).at(now)
    assert await _passes(platform, user.id, f" {code[:3]} {code[3:]} ")
    assert not await _passes(platform, user.id, code), "seen over a shoulder"
    clock.advance(minutes=5)
    assert not await _passes(platform, user.id, code)
    for nonsense in ("", "12345", "1234567", "١٢٣٤٥٦", "abcdef"):
        assert not await _passes(platform, user.id, nonsense)


async def test_a_recovery_code_stands_in_once(platform: Platform) -> None:
    user = await a_user(platform)
    other = await a_user(platform, "user")
    _, codes = await _on(platform, user.id)
    await _on(platform, other.id)
    assert len(set(codes)) == 10
    assert not await _passes(platform, other.id, codes[0]), "of somebody else"
    assert await _passes(platform, user.id, codes[0].upper())
    assert not await _passes(platform, user.id, codes[0])
    async with platform.database.reading() as tx:
        assert await totp.recovery_codes_left(tx, user.id) == 9


async def test_it_is_sealed_survives_a_new_key_and_can_be_turned_off(platform: Platform) -> None:
    user = await a_user(platform)
    secret, _ = await _on(platform, user.id)
    newer = with_new_encryption_key(platform.settings.key_file)
    async with platform.database.transaction() as tx:
        row = await users.get(tx, user.id)
        assert row.totp is not None
        assert secret.encode() not in row.totp
        assert await totp.reseal(tx, newer) == 1
        with pytest.raises(Conflict):
            totp.begin(newer, row)
        assert newer.decrypt(row.totp) == {"totp": secret}
        await totp.off(tx, row)
        assert await totp.recovery_codes_left(tx, user.id) == 0
        with pytest.raises(Conflict):
            await totp.confirm(tx, newer, row, "123456", at=await platform.clock.now(tx))
