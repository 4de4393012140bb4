"""Every kind of content through the real connector to the simulated WhatsApp and back, and what is lost on the way."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

import scenes
from cli.local import VERIFY_TOKEN
from cli.main import main
from connectors import choose
from core import runs
from core.bootstrap import Platform, build
from core.models import MediaUpload
from core.settings import Settings
from fakes import FakeJobs
from serving import Process, api_process, made_key, new_installation
from simulator.config import ACCOUNT_ID, APP_SECRET
from simulator.files import made
from waqtor import Client
from waqtor.messages import Message

pytestmark = pytest.mark.slow
FILES = ("image", "document", "audio", "video", "sticker")
PICTURE = [{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Hello {{1}}"}]


@pytest.fixture(scope="module")
def simulated() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--profile", "bench"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().rsplit(" on ", 1)[1].strip()
    process.terminate()
    process.wait(10)


@dataclass
class Shop:
    """An API process that can be killed, with one sender at the simulated WhatsApp."""

    simulated: str
    settings: Settings
    stack: ExitStack
    number: str
    key: str = ""
    sender_id: int = 0
    process: Process = field(init=False)
    client: Client = field(init=False)

    def start(self) -> None:
        self.process = self.stack.enter_context(api_process(self.settings))
        self.client = self.stack.enter_context(Client(self.process.url, self.key))
        if not self.sender_id:
            secrets = {"access_token": f"token-{self.number}", "app_secret": APP_SECRET, "verify_token": VERIFY_TOKEN}
            made = self.client.senders.create(
                "shop", phone_number_id=self.number, waba_id=ACCOUNT_ID, rate=100, **secrets
            )
            self.sender_id = made.id
        self.control(
            "POST",
            "accounts",
            phone_number_id=self.number,
            waba_id=ACCOUNT_ID,
            token=f"token-{self.number}",
            app_secret=APP_SECRET,
            verify_token=VERIFY_TOKEN,
            callback_url=f"{self.process.url}/webhooks/cloud/{self.sender_id}",
        )

    def kill(self) -> None:
        os.kill(self.process.popen.pid, signal.SIGKILL)
        self.process.popen.wait()

    def control(self, method: str, path: str, **body: Any) -> Any:
        answer = httpx.request(method, f"{self.simulated}/_sim/{path}", json=body or None, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()

    def fault(self, kind: str, match: dict[str, str], **more: Any) -> None:
        self.control("POST", "faults", kind=kind, match=match, **more)

    def effects(self) -> list[dict[str, Any]]:
        rows = self.control("GET", f"ledger/requests?phone_number_id={self.number}")["data"]
        return [row for row in rows if row["effect"]]

    def says(self, phone: str, **said: Any) -> Message:
        """The message of theirs, as we have it."""
        said_id = self.control("POST", f"contacts/{phone}/say", to=self.number, **said)["id"]
        return self.until(lambda: self.heard(said_id))

    def heard(self, provider_id: str) -> Message | None:
        for contact in self.client.contacts.list():
            for message in self.client.messages.list(contact.id):
                if message.provider_id == provider_id:
                    return message
        return None

    def until(self, found: Callable[[], Any], seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while not (what := found()):
            assert time.monotonic() < deadline, self.process.log.read_text()[-3000:]
            time.sleep(0.05)
        return what


@pytest.fixture
def shop(simulated: str, tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    changes = {
        "cloud_api_url": f"{simulated}/v23.0",
        "lease_s": 6,
        "send_by_s": 1,
        "request_timeout_s": 3,
        "lease_margin_s": 1,
        "suspect_after_messages": 5,
        "suspect_after_s": 1,
    }
    for name, value in changes.items():
        monkeypatch.setenv(f"WAQTOR_{name.upper()}", str(value))
    settings = new_installation(tmp_path, sqlite_template).model_copy(update=changes)
    with ExitStack() as stack:
        shop = Shop(simulated, settings, stack, f"20000000{time.monotonic_ns() % 10**6:06d}", made_key(settings))
        shop.start()
        yield shop
        shop.control("DELETE", "faults")


def within(shop: Shop, do: Callable[[Platform], Awaitable[Any]]) -> Any:
    """As another process on the same database."""

    async def run() -> Any:
        connectors = choose.CloudConnectors(shop.settings)
        platform = await build(shop.settings, connectors=connectors, jobs=FakeJobs())
        try:
            return await do(platform)
        finally:
            await platform.close()

    return asyncio.run(run())


async def _uploads(platform: Platform) -> Sequence[MediaUpload]:
    async with platform.database.reading() as tx:
        return (await tx.execute(select(MediaUpload))).scalars().all()


def test_each_kind_of_content_reaches_the_person(shop: Shop) -> None:
    phone, client = "966501234567", shop.client
    asked = shop.says(phone, text="hello")
    contact_id = asked.contact_id or 0
    files = {kind: client.media.upload(made(kind, 5_000), filename=f"{kind}.bin").id for kind in FILES}
    link = client.templates.create("plain", "Hello {name}", defaults={"name": "you"}, cloud_name="spring_offer")
    shop.control("POST", "templates", name="picture", waba_id=ACCOUNT_ID, components=PICTURE)
    above = client.templates.create(
        "above",
        "Hello {name}",
        defaults={"name": "you"},
        cloud_name="picture",
        header={"type": "image", "media_id": files["image"]},
    )
    contents: list[tuple[str, dict[str, Any], str]] = [
        ("text", {"body": "مرحبا 👋"}, "مرحبا 👋"),
        ("template", {"template_id": link.id}, "Hello "),
        ("template", {"template_id": above.id, "variables": {"name": "Nora"}}, "[image]\nHello Nora"),
        ("image", {"link": "https://shop.example/a.png", "caption": "by link"}, "[image] by link"),
        ("location", {"latitude": 24.7, "longitude": 46.6, "name": "Shop"}, "[location] Shop 24.7, 46.6"),
        ("reaction", {"message_id": asked.id, "emoji": "👍"}, "👍"),
        *[
            (kind, {"media_id": file}, "[document.bin]" if kind == "document" else f"[{kind}]")
            for kind, file in files.items()
        ],
    ]
    sent = [
        client.messages.send(shop.sender_id, {"type": kind, **content}, contact_id=contact_id)
        for kind, content, _ in contents
    ]
    done = [client.messages.wait(one.id, every_s=0.05) for one in sent]
    assert [(one.state, one.reason) for one in done] == [("sent", None)] * len(contents)
    rows = {row["callback"]: row for row in shop.effects()}
    assert len(rows) == len(contents)
    for message, (kind, _, text) in zip(done, contents, strict=True):
        row = rows[f"wq1:{message.client_id}"]
        assert (row["type"], row["wamid"], row["to"]) == (kind, message.provider_id, phone)
        assert row["text"].startswith(text), row
    shop.until(lambda: all(client.messages.get(one.id).receipt in ("delivered", "read") for one in sent))
    uploads = within(shop, _uploads)
    assert {one.media_id for one in uploads} == set(files.values()), "each went up once"
    for one in uploads:
        headers = {"Authorization": f"Bearer token-{shop.number}"}
        there = httpx.get(f"{shop.settings.cloud_api_url}/{one.handle}", headers=headers).json()
        assert there["sha256"] == client.media.get(one.media_id).sha256


def test_what_people_send_is_fetched_and_given_back(shop: Shop) -> None:
    phone, client = "966501234568", shop.client
    for kind in FILES:
        message = shop.says(phone, media={"type": kind, "caption": "c", "bytes": 100_000 if kind != "sticker" else 0})
        file = client.media.wait(message.content["media_id"])
        assert (file.state, file.kind, file.direction, message.content["type"]) == ("stored", kind, "in", kind)
        assert len(client.media.content(file.id)) == file.size
    shop.control("PUT", f"contacts/{phone}", replies=[{"media": "image", "say": "my answer", "delay_s": 0}])
    question = client.messages.send(shop.sender_id, "Show me?", to=f"+{phone}")
    client.messages.wait(question.id)
    answers = shop.until(
        lambda: [
            one for one in client.messages.list(question.contact_id or 0) if one.content.get("caption") == "my answer"
        ]
    )
    file = client.media.wait(answers[0].content["media_id"])
    assert client.media.content(file.id).startswith(b"\x89PNG")


def test_the_command_line_sends_a_file_and_shows_the_chat(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAQTOR_URL", shop.process.url)
    monkeypatch.setenv("WAQTOR_API_KEY", shop.key)
    shop.says("966501234560", text="The receipt, please")
    receipt = tmp_path / "receipt.pdf"
    receipt.write_bytes(b"%PDF-1.4\n")
    to = ["messages", "send", "--sender", str(shop.sender_id), "--to", "+966501234560"]
    assert main([*to, "--file", str(receipt), "--caption", "Here it is"]) == 0
    assert [row["text"] for row in shop.effects()] == ["[receipt.pdf] Here it is"]
    capsys.readouterr()
    assert main(["chats", "list", "--unread"]) == 0
    chat_id = f"{shop.sender_id}-1"
    assert chat_id in (told := capsys.readouterr().out)
    assert "Here it is" in told
    assert main(["chats", "show", chat_id, "--mark-read"]) == 0
    told = capsys.readouterr().out
    assert told.index("← The receipt, please") < told.index("→ [document] Here it is")
    assert main(["chats", "list", "--unread"]) == 0
    assert "There is no chat" in capsys.readouterr().out


def test_a_killed_process_loses_no_file_and_repeats_no_message(shop: Shop) -> None:
    phone = "966501234569"
    first = shop.says(phone, text="hello")
    shop.fault("hang_before", {"path": "/_media/"}, count=1, params={"seconds": 20})
    shop.fault("hang_before", {"path": f"{shop.number}/media"}, count=1, params={"seconds": 20})
    theirs = shop.says(phone, media="document")
    ours = shop.client.media.upload(scenes.PICTURE, filename="a.png")
    message = shop.client.messages.send(
        shop.sender_id, {"type": "image", "media_id": ours.id}, contact_id=first.contact_id
    )
    shop.until(lambda: sum(one["applied"] for one in shop.control("GET", "faults")["data"]) == 2)
    assert shop.client.messages.get(message.id).state == "queued", "no intent before its file is there"
    shop.kill()
    shop.start()
    assert shop.client.messages.wait(message.id).state == "sent"
    assert shop.client.media.wait(theirs.content["media_id"]).state == "stored"
    assert [row["type"] for row in shop.effects()] == ["image"]


def test_a_sender_whose_webhooks_are_lost_rests_till_one_comes(shop: Shop) -> None:
    phones = [f"96650765432{place}" for place in range(6)]
    people = [shop.says(phone, text="hello").contact_id for phone in phones]
    shop.fault(
        "webhook_delayed", {"phone_number_id": shop.number, "to": phones[0]}, probability=1, params={"seconds": 7200}
    )
    shop.fault("webhook_lost", {"phone_number_id": shop.number}, probability=1)
    sent = [shop.client.messages.send(shop.sender_id, "hi", contact_id=one) for one in people[:5]]
    assert {shop.client.messages.wait(one.id).state for one in sent} == {"sent"}

    def is_suspect() -> bool:
        within(shop, runs.sweep)
        return shop.client.senders.get(shop.sender_id).state == "suspect"

    shop.until(is_suspect)
    sender = shop.client.senders.get(shop.sender_id)
    assert (sender.state, sender.state_reason) == ("suspect", "no_receipts")
    parked = shop.client.messages.send(shop.sender_id, "are you there?", contact_id=people[5])
    time.sleep(2)
    assert shop.client.messages.get(parked.id).state == "queued"
    assert len(shop.effects()) == 5
    shop.control("DELETE", "faults")
    shop.control("POST", "clock", advance_s=7300)
    assert shop.client.messages.wait(parked.id).state == "sent"
    assert shop.client.senders.get(shop.sender_id).state == "active"
    assert len(shop.effects()) == 6
