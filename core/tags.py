"""The tags that people have."""

from collections.abc import Sequence

from sqlalchemy import text

from core.database import Tx

# From one tag to the next through the index: it costs as many steps as there are tags, however many have them.
_EACH_ONCE = text(
    "WITH RECURSIVE found (tag, number) AS ("
    " SELECT (SELECT min(tag) FROM contact_tags WHERE tag > :after), 1"
    " UNION ALL"
    " SELECT (SELECT min(one.tag) FROM contact_tags AS one WHERE one.tag > found.tag), found.number + 1"
    " FROM found WHERE found.tag IS NOT NULL AND found.number < :limit"
    ") SELECT tag FROM found WHERE tag IS NOT NULL ORDER BY number"
)


async def listed(tx: Tx, *, after: str, limit: int) -> Sequence[str]:
    """By name, each once; `after` is empty at the beginning."""
    return (await tx.execute(_EACH_ONCE, {"after": after, "limit": limit})).scalars().all()
