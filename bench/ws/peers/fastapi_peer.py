"""An ordinary FastAPI app on uvicorn: a set of connections and a loop over it. Arguments: port, off|true."""

import sys

import uvicorn
from common import Message, Publish, acknowledged, notice, said
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
everybody: set[WebSocket] = set()
by_id: dict[int, WebSocket] = {}


@app.websocket("/ws")
async def connected(client: WebSocket) -> None:
    await client.accept()
    name = client.query_params["id"]
    if not name.startswith("ctl"):
        everybody.add(client)
        by_id[int(name)] = client
    try:
        while True:
            match said(await client.receive_text()):
                case Message(id=number):
                    await client.send_text(acknowledged(number).decode())
                case Publish(seq=seq):
                    text = notice(seq).decode()
                    for one in list(everybody):
                        await one.send_text(text)
                case to:
                    for place, number in enumerate(to.ids):
                        await by_id[number].send_text(notice(place).decode())
    except WebSocketDisconnect:
        pass
    finally:
        everybody.discard(client)


uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(sys.argv[1]),
    ws="websockets",
    ws_per_message_deflate=sys.argv[2] != "off",
    ws_max_size=1 << 20,
    ws_ping_interval=30,
    ws_ping_timeout=30,
    loop="uvloop",
    http="httptools",
    log_level="error",
    access_log=False,
    backlog=4096,
)
