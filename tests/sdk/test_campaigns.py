"""Drafts through the client, against the real API."""

import pytest

from waqtor import AsyncClient, Conflict

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
