"""What the Python peers have in common: the messages, checked as ours are."""

import json
import os
import time
from pathlib import Path
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, Field, TypeAdapter

LIMIT_BYTES = 512 * 1024
_NOTICES = json.loads(Path(os.environ["NOTICES"]).read_text())


class Message(BaseModel):
    op: Literal["msg"]
    id: int
    to: str
    kind: Literal["text", "image"]
    body: Annotated[str, Field(max_length=4096)]


class Publish(BaseModel):
    op: Literal["pub"]
    seq: int


class To(BaseModel):
    op: Literal["to"]
    ids: list[int]


_SAID: TypeAdapter[Message | Publish | To] = TypeAdapter(Annotated[Message | Publish | To, Field(discriminator="op")])


def said(raw: str | bytes) -> Message | Publish | To:
    return _SAID.validate_json(raw)


def notice(seq: int) -> bytes:
    return orjson.dumps(
        {
            "type": "message.received",
            "topic": "messages",
            "seq": seq,
            "data": _NOTICES[seq & 255],
            "timestamp": int(time.time() * 1000),
            "prev": seq - 1,
        }
    )


def acknowledged(number: int) -> bytes:
    return orjson.dumps({"op": "ack", "id": number})
