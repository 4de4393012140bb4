"""What is done to the installation itself, on the machine it is on: schema, keys, settings."""

import argparse
import asyncio
from datetime import UTC, datetime

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from cli.settings import load_settings
from core import (
    apikeys,
    audit,
    idempotency,
    inbox,
    keys,
    media,
    media_files,
    schema,
    senders,
    service_credentials,
    totp,
    webhook_secrets,
)
from core import backup as backups
from core.audit import Happened
from core.database import DatabaseClock, connect
from core.errors import Invalid

console = Console()


def db_upgrade(_: argparse.Namespace) -> int:
    async def run() -> str | None:
        database = connect(load_settings())
        before = await schema.current(database)
        await schema.upgrade(database)
        await database.close()
        return before

    before = asyncio.run(run())
    console.print(f"The schema is at {schema.newest()}" + (f", it was at {before}." if before else ", made anew."))
    return 0


def inbox_again(_: argparse.Namespace) -> int:
    async def run() -> int:
        database = connect(load_settings())
        try:
            await schema.require_current(database)
            async with database.transaction() as tx:
                return await inbox.again(tx)
        finally:
            await database.close()

    number = asyncio.run(run())
    console.print(
        f"{number:,} webhooks are applied anew; what fails again is set aside again: waqtor doctor counts it."
    )
    return 0


def db_check(_: argparse.Namespace) -> int:
    async def run() -> list[str]:
        database = connect(load_settings())
        try:
            await schema.require_current(database)
            return await schema.drift(database)
        finally:
            await database.close()

    differences = asyncio.run(run())
    for difference in differences:
        console.print(f"differs: {difference}", markup=False)
    if not differences:
        console.print(f"The schema is at {schema.newest()}, as this version needs it.")
    return 1 if differences else 0


def backup(asked: argparse.Namespace) -> int:
    async def run() -> backups.Written:
        settings = load_settings()
        database = connect(settings)
        try:
            await schema.require_current(database)
            now = datetime.now(UTC)
            return await backups.write(database, settings, asked.file, at=now, with_media=not asked.without_media)
        finally:
            await database.close()

    with console.status(f"Writing {asked.file.name} …"):
        written = asyncio.run(run())
    what = f"{written.rows:,} rows of schema {written.revision} and {written.files:,} files of media"
    console.print(f"{what} are in {asked.file}.", soft_wrap=True)
    if asked.without_media:
        console.print(f"The media are not in it: keep {media_files.folder(load_settings())} too.", soft_wrap=True)
    if written.missing:
        console.print(f"{written.missing:,} files of media are not on this machine, and not in it.")
    console.print(f"Keep {load_settings().key_file} with it, in another place: without it the tokens cannot be read.")
    return 0


def restore(asked: argparse.Namespace) -> int:
    """Into an empty database; run `waqtor db upgrade` first."""
    settings = load_settings()

    async def run() -> backups.Restored:
        database = connect(settings)
        try:
            await schema.require_current(database)
            key = keys.load(settings.key_file)
            restored = await backups.read(database, settings, key, asked.file)
            async with database.transaction() as tx:
                audit.record(tx, key, Happened(audit.TERMINAL, "restore"), at=await DatabaseClock().now(tx))
            audit.lift_anchor(settings)
            return restored
        finally:
            await database.close()

    if not asked.file.is_file():
        raise Invalid(f"There is no file {asked.file}.", field="file")
    with console.status(f"Reading {asked.file.name} …"):
        restored = asyncio.run(run())
    console.print(
        f"{restored.rows:,} rows and {restored.files:,} files are back. {restored.senders} senders are paused."
    )
    if restored.missing:
        console.print(
            f"{restored.missing:,} files of media are neither in it nor in {media_files.folder(settings)}: "
            f"their rows say {media.LOST}."
        )
    if restored.unknown:
        console.print(
            f"{restored.unknown:,} people of started campaigns may have been written to since the backup: they are "
            "unknown until you decide (resend-unknown, or cancel the campaign)."
        )
    return 0


def keys_init(_: argparse.Namespace) -> int:
    path = load_settings().key_file
    keys.init(path)
    console.print(f"The master key is in {path}. Keep a copy somewhere else:", soft_wrap=True)
    console.print("without it, stored tokens and opt-outs can never be read again.")
    return 0


def keys_rotate(_: argparse.Namespace) -> int:
    settings = load_settings()

    async def run() -> int:
        database = connect(settings)
        try:
            await schema.require_current(database)
            key = keys.with_new_encryption_key(settings.key_file)
            async with database.transaction() as tx:
                number = await senders.reseal(tx, key) + await idempotency.reseal(tx, key)
                number += await totp.reseal(tx, key) + await webhook_secrets.reseal(tx, key)
                number += await apikeys.reseal(tx, key)
        finally:
            await database.close()
        keys.without_old_encryption_keys(settings.key_file)  # only now that all is committed under the new one
        return number

    console.print(f"{asyncio.run(run())} stored secrets are encrypted under a new key. Copy {settings.key_file} anew.")
    return 0


def keys_create(asked: argparse.Namespace) -> int:
    settings = load_settings()

    async def run() -> str:
        database = connect(settings)
        try:
            await schema.require_current(database)
            async with database.transaction() as tx:
                now: datetime = await DatabaseClock().now(tx)
                made = await apikeys.create(
                    tx,
                    keys.load(settings.key_file),
                    name=asked.name,
                    scopes=asked.scopes or (["read", "write", "send"] if asked.service else apikeys.SCOPES),
                    addresses=asked.addresses,
                    kind=apikeys.SERVICE if asked.service else apikeys.PROGRAM,
                    at=now,
                )
                said = {"kind": made.row.kind, "scopes": made.row.scopes}
                what = Happened(audit.TERMINAL, "create_api_key", f"api_key:{made.row.id}", details=said)
                audit.record(tx, keys.load(settings.key_file), what, at=now)
        finally:
            await database.close()
        return made.full

    print(asyncio.run(run()))  # alone on stdout, for $(waqtor keys create NAME)
    Console(stderr=True).print("This is the only time the key is shown. Use it as WAQTOR_API_KEY.")
    return 0


def keys_prefect(_: argparse.Namespace) -> int:
    """Alone on stdout. Not for a program: those that belong to the installation have the master key."""
    settings = load_settings()
    keys.load(settings.key_file)
    print(service_credentials.for_prefect(settings))
    return 0


def config_check(_: argparse.Namespace) -> int:
    load_settings()
    console.print("All settings are right.")
    return 0


def config_show(_: argparse.Namespace) -> int:
    settings = load_settings()
    table = Table("setting", "value", "default")
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if name == "database_url" and value:
            value = make_url(value).render_as_string(hide_password=True)
        shown = "********" if isinstance(value, SecretStr) else str(value)
        is_default = getattr(settings, name) == field.default
        table.add_row(name, shown, "" if is_default else str(field.default))
    console.print(table)
    return 0
