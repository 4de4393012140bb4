"""API keys: shown once, kept as a hash, refused when their time is over."""

from datetime import timedelta

import pytest

from core import apikeys
from core.bootstrap import Platform
from core.errors import Invalid, NotFound, NotSignedIn
from core.models import ApiKey


async def test_a_key_comes_in_and_is_kept_only_as_a_hash(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        made = await apikeys.create(tx, name=" nightly ", scopes=["write", "read", "read"], at=now)
    async with platform.database.reading() as tx:
        row = await apikeys.authenticate(tx, made.full, at=now)
        assert (row.id, row.name, row.scopes) == (made.row.id, "nightly", ["read", "write"])
        assert made.full.split("_", 2)[2] not in str(vars(await tx.get_one(ApiKey, row.id)))


async def test_revoked_and_expired_keys_are_refused(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        later = now + timedelta(hours=1)
        revoked = await apikeys.create(tx, name="r", scopes=["read"], at=now)
        short = await apikeys.create(tx, name="s", scopes=["read"], expires_at=later, at=now)
        await apikeys.revoke(tx, revoked.row.id, at=now)
        await apikeys.revoke(tx, revoked.row.id, at=later)
        with pytest.raises(NotSignedIn, match="revoked"):
            await apikeys.authenticate(tx, revoked.full, at=now)
        await apikeys.authenticate(tx, short.full, at=now)
        with pytest.raises(NotSignedIn, match="expired"):
            await apikeys.authenticate(tx, short.full, at=later)
        with pytest.raises(NotFound):
            await apikeys.revoke(tx, 99, at=now)
        assert (await apikeys.listed(tx, after=0, limit=10))[0].revoked_at == now


@pytest.mark.parametrize("full", ["", "wq", "wq_", "wq__", "wq_a_b", "xx_a_b", "wq_é_é", "\ud800", "wq_" + "a" * 9999])
async def test_what_is_no_key_is_refused(platform: Platform, full: str) -> None:
    async with platform.database.reading() as tx:
        with pytest.raises(NotSignedIn):
            await apikeys.authenticate(tx, full, at=await platform.clock.now(tx))


async def test_a_key_needs_a_name_and_known_scopes(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        for name, scopes in (("", ["read"]), ("x", []), ("x", ["root"]), ("x" * 101, ["read"])):
            with pytest.raises(Invalid):
                await apikeys.create(tx, name=name, scopes=scopes, at=now)
        with pytest.raises(Invalid):
            await apikeys.create(tx, name="x", scopes=["read"], expires_at=now, at=now)
