"""Who did what. Takes the permission audit.read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from waqtor.asking import Ask, C, Model, Pages, Resource, call, get, paged, pages


class AuditEntry(Model):
    """`actor` and `subject` are references such as `user:3`."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    address: str
    request_id: str
    details: Mapping[str, Any]
    hash: str


class AuditVerdict(Model):
    """`state`: whole, altered or truncated; `at`: from this entry on the log cannot be trusted."""

    state: str
    entries: int
    at: int | None
    why: str


class Audit(Resource[C]):
    @paged
    def list(self, *, actor: str | None = None, subject: str | None = None, limit: int = 100) -> Pages[AuditEntry]:
        """Newest first."""
        return pages("/audit", AuditEntry, actor=actor, subject=subject, limit=limit)

    @call
    def verify(self) -> Ask[AuditVerdict]:
        """Reads the whole log."""
        return get("/audit/verdict", AuditVerdict)
