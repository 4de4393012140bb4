"""Drafts through the client, against the real API."""

import pytest

from waqtor import AsyncClient, Conflict, Invalid

SECRETS = {"access_token": "token", "app_secret": "secret", "verify_token": "verify"}


async def test_a_draft_is_found_by_name_and_changed(waqtor: AsyncClient) -> None:
    sender = await waqtor.senders.create("shop", phone_number_id="1", waba_id="2", **SECRETS)
    template = await waqtor.templates.create("t", "Hello")
    made = await waqtor.campaigns.create("spring", sender_id=sender.id, template_id=template.id)
    assert [one.id async for one in waqtor.campaigns.list(name="spring", state="draft")] == [made.id]
    assert [one.id async for one in waqtor.senders.list(name="nobody")] == []
    changed = await waqtor.campaigns.change(made.id, {"audience": {"tag": "vip"}, "timezone": "Asia/Riyadh"})
    assert (changed.audience["tag"], changed.timezone, changed.state) == ("vip", "Asia/Riyadh", "draft")
    await waqtor.campaigns.launch(made.id)
    with pytest.raises(Conflict):
        await waqtor.campaigns.change(made.id, {"name": "summer"})


async def test_lists_begin_with_the_oldest_or_the_newest(waqtor: AsyncClient) -> None:
    sender = await waqtor.senders.create("shop", phone_number_id="1", waba_id="2", **SECRETS)
    template = await waqtor.templates.create("t0", "Hello")
    for number in range(1, 4):
        await waqtor.templates.create(f"t{number}", "Hello")
        await waqtor.segments.create(f"s{number}", f'tag = "{number}"')
        await waqtor.campaigns.create(f"c{number}", sender_id=sender.id, template_id=template.id)
        await waqtor.contacts.import_file(f"phone\n+96650123456{number}\n".encode(), filename="a.csv")
    for listing in (
        waqtor.templates.list,
        waqtor.segments.list,
        waqtor.campaigns.list,
        waqtor.contacts.imports,
    ):
        oldest = [one.id async for one in listing(limit=2)]
        assert oldest == sorted(oldest)
        assert [one.id async for one in listing(order="newest", limit=2)] == oldest[::-1]
    in_state = await waqtor.campaigns.list.page(None, state="draft", order="newest", limit=1)
    assert [one.name for one in in_state.data] == ["c3"]
    with pytest.raises(Invalid, match="other order"):
        await waqtor.campaigns.list.page(in_state.next_cursor, limit=1)
