"""Segments, merges and history by the shipped client."""

from waqtor import AsyncClient


async def test_segments_and_people(waqtor: AsyncClient) -> None:
    one = await waqtor.contacts.create("+966501234567", name="نورة", tags=["vip"])
    two = await waqtor.contacts.create("+966501234568")
    segment = await waqtor.segments.create("VIPs", 'tag = "vip"')
    assert (await waqtor.segments.count(segment.id)).sample == [one.id]
    assert (await waqtor.segments.count(segment.structure)).count == 1
    assert (await waqtor.segments.count('not tag = "vip"')).sample == [two.id]
    changed = await waqtor.segments.update(segment.id, filter={"field": "tag", "op": "has"})
    assert await waqtor.segments.get(segment.id) == changed
    assert [found.filter async for found in waqtor.segments.list()] == ["has tag"]
    assert (await waqtor.segments.delete(segment.id)).name == "VIPs"
    assert [found.id async for found in waqtor.contacts.list(filter="not has tag")] == [two.id]
    assert (await waqtor.contacts.update(two.id, name="Sara", attributes={"age": 30})).attributes == {"age": "30"}
    merge = await waqtor.contacts.merge(one.id, two.id)
    assert (await waqtor.contacts.undo_merge(merge.id)).undone_at
    assert [entry.kind async for entry in waqtor.contacts.history(one.id, limit=1)] == ["parted", "merged"]


async def test_kinds_of_attributes(waqtor: AsyncClient) -> None:
    assert await waqtor.attributes.list() == []
    declared = await waqtor.attributes.declare("age", "number")
    assert [declared] == await waqtor.attributes.list()
    assert (declared.name, declared.kind) == ("age", "number")
