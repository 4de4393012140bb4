"""The `websockets` library with its own broadcast. Arguments: port, off|true."""

import sys
from urllib.parse import parse_qs, urlsplit

import uvloop
from common import LIMIT_BYTES, Message, Publish, acknowledged, notice, said
from websockets.asyncio.server import ServerConnection, broadcast, serve

port, compression = int(sys.argv[1]), "deflate" if sys.argv[2] != "off" else None
everybody: set[ServerConnection] = set()
by_id: dict[int, ServerConnection] = {}


async def connected(client: ServerConnection) -> None:
    assert client.request is not None
    name = parse_qs(urlsplit(client.request.path).query)["id"][0]
    if not name.startswith("ctl"):
        everybody.add(client)
        by_id[int(name)] = client
    try:
        async for raw in client:
            match said(raw):
                case Message(id=number):
                    await client.send(acknowledged(number), text=True)
                case Publish(seq=seq):
                    free = [one for one in everybody if one.transport.get_write_buffer_size() <= LIMIT_BYTES]
                    broadcast(free, notice(seq), text=True)
                case to:
                    for place, number in enumerate(to.ids):
                        await by_id[number].send(notice(place), text=True)
    finally:
        everybody.discard(client)


async def main() -> None:
    options = {"max_size": 1 << 20, "ping_interval": 30, "ping_timeout": 30, "backlog": 4096, "open_timeout": 60}
    async with serve(connected, "127.0.0.1", port, compression=compression, **options) as server:
        await server.serve_forever()


uvloop.run(main())
