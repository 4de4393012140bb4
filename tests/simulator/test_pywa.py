"""A client nobody here wrote: pywa speaks to the simulator as it would to Meta."""

import importlib.util

import orjson
import pytest

from simulator.config import NUMBER_ID, TOKEN

ALICE = "491701234567"


@pytest.fixture
async def client(sim, request):
    if importlib.util.find_spec("pywa") is None:
        request.getfixturevalue("missing_for_test")("package pywa")
    from pywa_async import WhatsApp

    whatsapp = WhatsApp(phone_id=NUMBER_ID, token=TOKEN)
    whatsapp.api._session.base_url = f"{sim.url}/v26.0"
    yield whatsapp
    await whatsapp.api._session.aclose()


async def test_text_template_media_and_read(sim, hook, client):
    from pywa_async.types.templates import BodyText, TemplateLanguage

    sent = await client.send_message(to=ALICE, text="hi", tracker="pywa:1")
    assert sent.id.startswith("wamid.")
    await client.send_template(
        to=ALICE,
        name="order_update",
        language=TemplateLanguage.ENGLISH,
        params=[BodyText.params("Ann", "77")],
        tracker="pywa:2",
    )
    await client.send_image(to=ALICE, image=b"\x89PNG picture", mime_type="image/png", caption="look")
    await sim.idle()
    assert [row["text"] for row in await sim.rows()] == [
        "hi",
        "Hello Ann, your order 77 is on its way.",
        "[image] look",
    ]
    assert {s.get("biz_opaque_callback_data") for s in hook.statuses()} == {"pywa:1", "pywa:2", None}
    said = await sim.post(f"/_sim/contacts/{ALICE}/say", {"text": "hello"})
    assert (await client.mark_message_as_read(said["id"])).success


async def test_errors_become_its_exceptions(sim, client):
    from pywa_async.errors import ReEngagementMessage

    fault = {"kind": "graph_error", "params": {"code": 131047}}
    await sim.post("/_sim/faults", fault)
    with pytest.raises(ReEngagementMessage):
        await client.send_message(to=ALICE, text="hi")


async def test_it_reads_our_webhooks(sim, hook, client):
    await client.send_message(to=ALICE, text="hi")
    await sim.post(f"/_sim/contacts/{ALICE}/say", {"text": "مرحبا"})
    await sim.idle()
    from pywa_async.types import Message, MessageStatus

    seen = []
    for _, body in hook.posts:
        update = orjson.loads(body)
        kind = Message if "messages" in update["entry"][0]["changes"][0]["value"] else MessageStatus
        seen.append(kind.from_update(client, update))
    texts = [update.text for update in seen if isinstance(update, Message)]
    assert texts == ["مرحبا"]
    assert {update.status.value for update in seen if isinstance(update, MessageStatus)} <= {
        "sent",
        "delivered",
        "read",
    }
