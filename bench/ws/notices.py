"""256 events of about 1.1 KB, as a busy installation has them: alike in form, different in content."""

import random
import string
from typing import Any

COUNT = 256
_WORDS = (
    "hello thanks appointment Tuesday Thursday afternoon card order address invoice price size colour tomorrow confirm "
    "cancel agent help shop hours open closed return change receipt number account مرحبا شكرا موعد الثلاثاء الفاتورة"
).split()


def notices() -> list[dict[str, Any]]:
    """The same in every run. `seq`, `prev` and the time are set by who sends them; `end` shows that all of it came."""
    draw = random.Random(7)
    return [_one(draw, number) for number in range(COUNT)]


def _one(draw: random.Random, number: int) -> dict[str, Any]:
    while True:
        data = {
            "chat_id": draw.randrange(10**6),
            "sender_id": draw.randrange(1, 20),
            "contact": {
                "id": draw.randrange(10**6),
                "name": f"{draw.choice(_WORDS).title()} {draw.choice(_WORDS).title()}",
                "language": "ar",
                "tags": draw.sample(["vip", "returning", "newsletter", "new", "b2b", "trial"], 2),
                "last_seen_ms": 1_793_448_000_000 + number * 977,
            },
            "message": {
                "id": draw.randrange(10**9),
                "wa_id": "wamid." + "".join(draw.choices(string.ascii_letters + string.digits, k=56)),
                "kind": "text",
                "body": " ".join(draw.choices(_WORDS, k=draw.randrange(20, 50))),
                "reply_to": "wamid." + "".join(draw.choices(string.ascii_letters + string.digits, k=56)),
                "state": "received",
                "attachments": [],
            },
            "agent": {"id": draw.randrange(100), "name": "Front desk", "state": "typing", "queue": "appointments"},
            "counts": {name: draw.randrange(200) for name in ("unread", "open", "pending", "resolved_today")},
            "links": {"self": f"/api/v3/chats/{number}", "messages": f"/api/v3/chats/{number}/messages"},
            "end": 1,
        }
        size = len(str(data).encode())
        if 1040 <= size <= 1180:
            return data
