"""Who asks: a person who signed in, a program with a key, or a service of the installation."""

from dataclasses import dataclass
from typing import Literal

from core.roles import Permission


@dataclass(frozen=True, slots=True)
class Principal:
    """`may` is what the role or the scopes allow at this moment; `has` says in words what was given."""

    kind: Literal["user", "api_key", "service"]
    id: int
    may: frozenset[Permission]
    has: str
    sign_in_id: int | None = None
    name: str = ""
    closed: frozenset[str] = frozenset()
    """Areas that are closed on this device until a one-time code was given."""

    @property
    def ref(self) -> str:
        """As it stands in the audit log and before idempotency keys, such as `user:3` or `service:reports`."""
        return f"{self.kind}:{self.name if self.kind == 'service' else self.id}"
