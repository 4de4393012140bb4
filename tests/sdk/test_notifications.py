"""Notifications by the shipped client."""

from waqtor import AsyncClient


async def test_told_read_and_taken_away(waqtor: AsyncClient) -> None:
    before = await waqtor.notifications.count()
    first = await waqtor.notifications.create("problem", "The shop is down", "since 9", about="sending")
    second = await waqtor.notifications.create("info", "It is up again")
    assert await waqtor.notifications.get(first.id) == first
    assert first.path == "/api/v3/sending"
    assert [one.id async for one in waqtor.notifications.list(kind="program", limit=1)] == [second.id, first.id]
    assert [one.id async for one in waqtor.notifications.list(unread=True, severity="problem")] == [first.id]
    assert (await waqtor.notifications.mark(first.id)).read_at is not None
    assert (await waqtor.notifications.mark(first.id, read=False)).read_at is None
    assert (await waqtor.notifications.mark_all(up_to=first.id)).read == before.unread + 1
    assert (await waqtor.notifications.count()).unread == 1
    assert (await waqtor.notifications.dismiss(first.id)).title == "The shop is down"
    assert (await waqtor.notifications.withdraw(second.id)).id == second.id
    assert (await waqtor.notifications.count()).total == before.total
