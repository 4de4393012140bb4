"""API keys: shown once, kept as a hash, refused when their time is over."""

import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet

from core import apikeys, handshakes
from core.bootstrap import Platform
from core.errors import Invalid, MasterKeyWrong, NotFound, NotSignedIn
from core.handshakes import Signed
from core.keys import MasterKey
from core.models import ApiKey


async def test_a_key_comes_in_and_is_kept_only_as_a_hash(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        made = await apikeys.create(tx, platform.key, name=" nightly ", scopes=["write", "read", "read"], at=now)
    async with platform.database.reading() as tx:
        row = await apikeys.authenticate(tx, platform.key, made.full, at=now)
        assert (row.id, row.name, row.scopes) == (made.row.id, "nightly", ["read", "write"])
        assert made.full.split("_", 2)[2] not in str(vars(await tx.get_one(ApiKey, row.id)))


async def test_the_database_alone_lets_nobody_in_as_a_key(platform: Platform) -> None:
    """Whatever of its row is taken for what one signs with."""
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        made = await apikeys.create(tx, platform.key, name="stolen", scopes=["admin"], at=now)
        row = await tx.get_one(ApiKey, made.row.id)
        said = Signed(made.row.prefix, int(now.timestamp() * 1000), "a nonce of mine", "")
        right = replace(said, signature=handshakes.signature(made.full.split("_", 2)[2], said.text))
        assert (await handshakes.by_signature(tx, platform.key, right, address="", at=now)).id == row.id
        for word in (value for value in vars(row).values() if isinstance(value, str | bytes)):
            kept = word if isinstance(word, bytes) else word.encode()
            forged = replace(said, signature=hmac.new(kept, said.text, hashlib.sha256).hexdigest())
            with pytest.raises(NotSignedIn, match="not right"):
                await handshakes.by_signature(tx, platform.key, forged, address="", at=now)


async def test_a_key_made_before_its_secret_was_encrypted_comes_in_and_signs_nothing(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        made = await apikeys.create(tx, platform.key, name="old", scopes=["read"], at=now)
        secret = made.full.split("_", 2)[2]
        made.row.signing, made.row.key_hash = None, apikeys.signing_secret(secret)
        await tx.flush()
        assert (await apikeys.authenticate(tx, platform.key, made.full, at=now)).id == made.row.id
        said = Signed(made.row.prefix, int(now.timestamp() * 1000), "a nonce of mine", "")
        signed = replace(said, signature=handshakes.signature(secret, said.text))
        with pytest.raises(NotSignedIn, match="too old to sign"):
            await handshakes.by_signature(tx, platform.key, signed, address="", at=now)
        assert await apikeys.reseal(tx, platform.key) == 0


async def test_keys_sign_on_under_a_new_master_key(platform: Platform) -> None:
    newer = MasterKey((Fernet.generate_key(), *platform.key.encryption), platform.key.lookup)
    alone = MasterKey(newer.encryption[:1], newer.lookup)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        made = await apikeys.create(tx, platform.key, name="kept", scopes=["read"], at=now)
        with pytest.raises(MasterKeyWrong):
            apikeys.signs_with(alone, made.row)
        assert await apikeys.reseal(tx, newer) >= 1
        assert apikeys.signs_with(alone, made.row) == apikeys.signing_secret(made.full.split("_", 2)[2])
        assert (await apikeys.authenticate(tx, alone, made.full, at=now)).id == made.row.id


async def test_revoked_and_expired_keys_are_refused(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        later = now + timedelta(hours=1)
        revoked = await apikeys.create(tx, platform.key, name="r", scopes=["read"], at=now)
        short = await apikeys.create(tx, platform.key, name="s", scopes=["read"], expires_at=later, at=now)
        await apikeys.revoke(tx, revoked.row.id, at=now)
        await apikeys.revoke(tx, revoked.row.id, at=later)
        with pytest.raises(NotSignedIn, match="revoked"):
            await apikeys.authenticate(tx, platform.key, revoked.full, at=now)
        await apikeys.authenticate(tx, platform.key, short.full, at=now)
        with pytest.raises(NotSignedIn, match="expired"):
            await apikeys.authenticate(tx, platform.key, short.full, at=later)
        with pytest.raises(NotFound):
            await apikeys.revoke(tx, 99, at=now)
        assert (await apikeys.listed(tx, after=0, limit=10))[0].revoked_at == now


@pytest.mark.parametrize("full", ["", "wq", "wq_", "wq__", "wq_a_b", "xx_a_b", "wq_é_é", "\ud800", "wq_" + "a" * 9999])
async def test_what_is_no_key_is_refused(platform: Platform, full: str) -> None:
    async with platform.database.reading() as tx:
        with pytest.raises(NotSignedIn):
            await apikeys.authenticate(tx, platform.key, full, at=await platform.clock.now(tx))


async def test_a_key_needs_a_name_and_known_scopes(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        for name, scopes in (("", ["read"]), ("x", []), ("x", ["root"]), ("x" * 101, ["read"])):
            with pytest.raises(Invalid):
                await apikeys.create(tx, platform.key, name=name, scopes=scopes, at=now)
        with pytest.raises(Invalid):
            await apikeys.create(tx, platform.key, name="x", scopes=["read"], expires_at=now, at=now)
