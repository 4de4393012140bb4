"""Whatever comes in, what comes out is a refusal in the caller's own language, never a stumble."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import messages
from simulator.accounts import Accounts
from simulator.contacts import Contacts
from simulator.errors import ControlError, GraphError
from simulator.faults import KINDS, Faults
from simulator.profiles import PROFILES

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ACCOUNT = Accounts(rate_per_s=0, tier_per_day=0).account("200000000000001")


def some(**fields):
    """An object in which each of these fields may be right, may be anything, may be missing."""
    return st.fixed_dictionaries({}, optional={name: known | anything for name, known in fields.items()})


reply = some(type=st.just("reply"), reply=some(id=st.text(max_size=4), title=st.text(max_size=24)))
row = some(id=st.text(max_size=4), title=st.text(max_size=30))
action = some(buttons=st.lists(reply, max_size=4), sections=st.lists(some(rows=st.lists(row, max_size=3)), max_size=2))
parameter = some(type=st.sampled_from(["text", "currency", "image"]), text=st.text(max_size=4))
component = some(
    type=st.sampled_from(["body", "header", "button"]),
    parameters=st.lists(parameter, max_size=3),
    index=anything,
)
template = some(
    name=st.sampled_from(["order_update", "hello_world", "spring_offer"]),
    language=st.sampled_from([{"code": "en"}, {"code": "en_US"}]),
    components=st.lists(component, max_size=3),
)
media = some(id=st.text(max_size=4), link=st.just("https://example.com"), caption=st.text(max_size=4))
contents = {
    "text": some(body=st.text(max_size=9)),
    "image": media,
    "document": media,
    "location": some(latitude=st.floats(-90, 90), longitude=st.floats(-180, 180)),
    "contacts": st.lists(some(name=some(formatted_name=st.text(max_size=4))), max_size=2),
    "reaction": some(message_id=st.just("wamid.x"), emoji=st.just("👍")),
    "interactive": some(type=st.sampled_from(["button", "list", "flow"]), body=some(text=st.text()), action=action),
    "template": template,
}
message = st.sampled_from(list(contents)).flatmap(
    lambda kind: some(
        messaging_product=st.just("whatsapp"),
        to=st.just("+49 170 1234567"),
        type=st.just(kind),
        biz_opaque_callback_data=st.text(max_size=5),
        context=some(message_id=st.just("wamid.x")),
        **{kind: contents[kind]},
    ).map(lambda body: {"messaging_product": "whatsapp", "to": "491701234567", "type": kind} | body)
)


@settings(max_examples=600, deadline=None)
@given(message | anything)
def test_a_message_is_read_or_refused(body):
    with contextlib.suppress(GraphError):
        read = messages.read(body, ACCOUNT)
        assert read.to.isdigit()
        assert isinstance(read.text, str)


@settings(max_examples=200, deadline=None)
@given(
    some(
        kind=st.sampled_from(KINDS),
        match=some(to=st.text(max_size=3)),
        count=st.integers(),
        probability=st.floats(),
        params=some(seconds=st.floats(), code=st.integers()),
    )
)
def test_a_fault_is_taken_or_refused(wanted):
    faults = Faults(1)
    with contextlib.suppress(ControlError):
        faults.add(wanted)
    faults.on_call(path="/v23.0/1/messages", number="1", to="1", key="k")


@settings(max_examples=200, deadline=None)
@given(some(name=st.text(max_size=4), replies=st.lists(anything, max_size=3), stop_after=st.integers()))
def test_a_contact_is_changed_or_left_as_it_was(wanted):
    contact = Contacts(1, PROFILES["chaos"]).get("491701234567")
    before = contact.shown()
    try:
        contact.override(wanted)
    except ControlError:
        assert contact.shown() == before
    contact.reply_to("hi")


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_draws_a_life_for_everybody(name):
    contacts = Contacts(1, PROFILES[name])
    for n in range(300):
        receipts = contacts.receipts(contacts.get(f"4917{n:07d}"), "k")
        assert 0 < receipts.sent_s < receipts.delivered_s
        assert receipts.read_s is None or receipts.read_s > receipts.delivered_s
