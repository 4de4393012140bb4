"""Which way a list goes."""

from typing import Any, Literal

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

Order = Literal["oldest", "newest"]
"""What comes first."""


def some(
    query: Select[Any], by: InstrumentedAttribute[int], *, after: int, limit: int, order: Order = "oldest"
) -> Select[Any]:
    """What follows `after` in the order of `by`; `after` is 0 at the beginning."""
    if order == "newest":
        query = query.where(by < after) if after else query
        return query.order_by(by.desc()).limit(limit)
    return query.where(by > after).order_by(by).limit(limit)
