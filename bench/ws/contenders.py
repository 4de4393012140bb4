"""The servers that are measured, and what the generator says to each."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bench.ws.notices import notices
from core import apikeys, keys, schema
from core.database import DatabaseClock, connect
from core.settings import Settings

HERE = Path(__file__).resolve().parent
OURS = "waqtor"
_SAY_OURS = '{"type":"ping","id":"%u"}'
RAISED = {
    "live_connections": 20_000,
    "live_per_address": 20_000,
    "live_per_principal": 20_000,
    "live_messages_per_s": 1e7,
    "live_messages_at_once": 10_000_000,
    "requests_per_s": 1e6,
}
"""Limits that are looked at for each message and connection all the same, but never reached."""


class NotHere(Exception):
    """Something the measurement needs is not on this machine; the message says what to install."""


@dataclass(frozen=True)
class Contender:
    """`command` has PORT where the port goes; `says` are further arguments of the generator."""

    name: str
    command: tuple[str, ...]
    says: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


def build(folder: Path) -> None:
    """The generator, the peers from npm and the messages. Raises `NotHere`."""
    folder.mkdir(parents=True, exist_ok=True)
    for tool, package in (("gcc", "gcc zlib1g-dev"), ("npm", "npm"), ("taskset", "util-linux")):
        if shutil.which(tool) is None:
            raise NotHere(f"bench.ws: no {tool} on the PATH. Debian and Ubuntu: apt-get install {package}")
    command = ["gcc", "-O2", "-o", str(folder / "load"), str(HERE / "load.c"), "-lz"]
    if (done := subprocess.run(command, capture_output=True, text=True)).returncode:
        raise NotHere(f"bench.ws: the generator cannot be built (apt-get install zlib1g-dev?):\n{done.stderr[-800:]}")
    wanted = (HERE / "package.json").read_text()
    kept = folder / "package.json"
    if not kept.exists() or kept.read_text() != wanted or not (folder / "node_modules").exists():
        kept.write_text(wanted)
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"],
            cwd=folder,
            check=True,
        )
    (folder / "notices.json").write_text(json.dumps(notices(), ensure_ascii=False))


def contenders(folder: Path, installation: Path, *, deflate: bool) -> list[Contender]:
    """Ours first. With `deflate`, Node's `ws` twice: by its own defaults, and as its README advises."""
    mode = "true" if deflate else "off"
    modules = folder / "node_modules"
    node = {"NODE_ENV": "production", "NODE_PATH": str(modules)}
    python = {"PYTHONPATH": os.pathsep.join((str(HERE / "peers"), str(HERE.parent.parent)))}
    bun = modules / "@oven" / "bun-linux-x64" / "bin" / "bun"
    found = [
        _ours(installation),
        Contender("node ws", ("node", str(HERE / "peers" / "node_ws.js"), "PORT", mode), environment=node),
        Contender(
            "socket.io",
            ("node", str(HERE / "peers" / "socketio.js"), "PORT", mode),
            ("--sio", "1"),
            node,
        ),
        Contender(
            "websockets", (sys.executable, str(HERE / "peers" / "websockets_peer.py"), "PORT", mode), environment=python
        ),
        Contender(
            "fastapi", (sys.executable, str(HERE / "peers" / "fastapi_peer.py"), "PORT", mode), environment=python
        ),
        Contender("bun", (str(bun), str(HERE / "peers" / "bun.js"), "PORT", mode), environment=node),
    ]
    if deflate:
        found.insert(
            2, Contender("node ws, README", ("node", str(HERE / "peers" / "node_ws.js"), "PORT", "readme"), (), node)
        )
    return found


def _ours(installation: Path) -> Contender:
    settings = Settings(data_dir=installation)
    key = asyncio.run(_first_key(settings))
    return Contender(
        OURS,
        (sys.executable, "-m", "bench.ws.gateway", "PORT"),
        (
            *("--header", f"X-API-Key: {key}"),
            *("--control", "/control"),
            *("--hello", '{"type":"subscribe","topics":["messages"]}'),
            *("--ready", '"type":"subscribed"'),
            *("--say", _SAY_OURS),
        ),
        {
            "WAQTOR_DATA_DIR": str(installation),
            **{f"WAQTOR_{name.upper()}": str(value) for name, value in RAISED.items()},
        },
    )


async def _first_key(settings: Settings) -> str:
    if not settings.key_file.exists():
        keys.init(settings.key_file)
    database = connect(settings)
    try:
        await schema.upgrade(database)
        async with database.transaction() as tx:
            at = await DatabaseClock().now(tx)
            return (await apikeys.create(tx, keys.load(settings.key_file), name="bench", scopes=["read"], at=at)).full
    finally:
        await database.close()
