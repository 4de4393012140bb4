"""Keys by which programs come in. All of it needs an admin key."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from waqtor.asking import Ask, C, Model, Pages, Resource, call, given, paged, pages, write


class ApiKey(Model):
    """The key begins with `wq_<prefix>_`. `scopes` are among read, write, send, monitor, admin."""

    id: int
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    kind: str = "program"
    addresses: Sequence[str] | None = None
    last_used_at: datetime | None = None


class NewApiKey(ApiKey):
    """`key` is shown this once."""

    key: str = Field(repr=False)


class ApiKeys(Resource[C]):
    @call
    def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        expires_at: datetime | None = None,
        addresses: Sequence[str] | None = None,
        kind: str | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[NewApiKey]:
        """`addresses`: the only ones, or networks such as 10.0.0.0/8, that it is taken from. `kind="service"`: for a
        part of the installation, known in the audit log by its name."""
        sent = given(name=name, scopes=list(scopes), expires_at=expires_at and expires_at.isoformat())
        sent |= given(addresses=addresses and list(addresses), kind=kind)
        return write("POST", "/api-keys", NewApiKey, json=sent, key=idempotency_key)

    @paged
    def list(self, *, kind: str | None = None, limit: int = 100) -> Pages[ApiKey]:
        return pages("/api-keys", ApiKey, kind=kind, limit=limit)

    @call
    def revoke(self, api_key_id: int, *, idempotency_key: str | None = None) -> Ask[ApiKey]:
        """For good; the next request with it is refused."""
        return write("DELETE", f"/api-keys/{api_key_id}", ApiKey, key=idempotency_key)
