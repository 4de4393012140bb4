"""Who asks: a person who signed in, or a program with a key."""

from dataclasses import dataclass
from typing import Literal

from core.roles import Permission


@dataclass(frozen=True, slots=True)
class Principal:
    """`may` is what the role or the scopes allow at this moment; `has` says in words what was given."""

    kind: Literal["user", "api_key"]
    id: int
    may: frozenset[Permission]
    has: str
    sign_in_id: int | None = None

    @property
    def ref(self) -> str:
        """As it stands in the audit log and before idempotency keys, such as `user:3`."""
        return f"{self.kind}:{self.id}"
