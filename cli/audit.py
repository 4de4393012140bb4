"""The audit log, read on the machine itself."""

import argparse
import asyncio

from rich.console import Console

from cli.settings import load_settings
from core import audit, keys, schema
from core.audit import Verdict
from core.database import connect

console = Console()
_CODES = {"whole": 0, "altered": 1, "truncated": 3}  # 2: it could not be looked at


def audit_verify(_: argparse.Namespace) -> int:
    settings = load_settings()

    async def run() -> Verdict:
        key = keys.load(settings.key_file)
        database = connect(settings)
        try:
            await schema.require_current(database)
            async with database.reading() as tx:
                verdict = await audit.verify(tx, key, audit.anchored(settings))
                if verdict.state == "whole":
                    await audit.drop_anchor(tx, settings)
                return verdict
        finally:
            await database.close()

    verdict = asyncio.run(run())
    if verdict.state == "whole":
        console.print(f"The audit log is whole: {verdict.entries:,} entries.")
    else:
        console.print(f"The audit log was {verdict.state}, entry {verdict.at}: {verdict.why}.", markup=False)
    return _CODES[verdict.state]
