"""Segments: filters over people, with a name."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from waqtor.asking import Ask, C, Model, Order, Pages, Resource, call, get, given, paged, pages, write


class Segment(Model):
    """`filter` is the text, `structure` the same as a tree."""

    id: int
    name: str
    filter: str
    structure: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class Count(Model):
    """How many people a filter chooses now; `sample` are the ids of at most ten."""

    count: int
    sample: list[int]
    filter: str
    structure: dict[str, Any]


class Segments(Resource[C]):
    @call
    def create(
        self, name: str, filter: "str | Mapping[str, Any]", *, idempotency_key: str | None = None
    ) -> Ask[Segment]:
        """`filter` as text or as structure."""
        return write("POST", "/segments", Segment, json={"name": name, **_filter(filter)}, key=idempotency_key)

    @paged
    def list(self, *, name: str | None = None, order: Order = "oldest", limit: int = 100) -> Pages[Segment]:
        """All, or the one of exactly this name. `order` is oldest or newest: what comes first."""
        return pages("/segments", Segment, name=name, order=order, limit=limit)

    @call
    def get(self, segment_id: int) -> Ask[Segment]:
        return get(f"/segments/{segment_id}", Segment)

    @call
    def update(
        self,
        segment_id: int,
        *,
        name: str | None = None,
        filter: "str | Mapping[str, Any] | None" = None,
        idempotency_key: str | None = None,
    ) -> Ask[Segment]:
        """What is not given stays."""
        body = given(name=name) | ({} if filter is None else _filter(filter))
        return write("PATCH", f"/segments/{segment_id}", Segment, json=body, key=idempotency_key)

    @call
    def delete(self, segment_id: int, *, idempotency_key: str | None = None) -> Ask[Segment]:
        """Refused while a campaign that is not over is for it."""
        return write("DELETE", f"/segments/{segment_id}", Segment, key=idempotency_key)

    @call
    def count(self, segment: "int | str | Mapping[str, Any]") -> Ask[Count]:
        """Of a segment by its id, or of a filter that is not saved."""
        if isinstance(segment, int):
            return get(f"/segments/{segment}/count", Count)
        return Ask("POST", "/segments/count", Count.model_validate, json=_filter(segment))


def _filter(given: "str | Mapping[str, Any]") -> dict[str, Any]:
    return {"filter": given} if isinstance(given, str) else {"structure": dict(given)}
