"""The tags that people have."""

from waqtor.asking import C, Model, Pages, Resource, paged, pages


class Tag(Model):
    """One that somebody has."""

    name: str


class Tags(Resource[C]):
    @paged
    def list(self, *, limit: int = 500) -> Pages[Tag]:
        """All, by name; `limit` is the size of a page."""
        return pages("/tags", Tag, limit=limit)
