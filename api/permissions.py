"""`python -m api.permissions` writes `docs/permissions.md`: the table of core/roles.py, for people."""

from collections.abc import Iterator
from pathlib import Path

from core import roles
from core.roles import ROLE_NAMES, SCOPE_NAMES

PATH = Path(__file__).parent.parent / "docs" / "permissions.md"

_HEAD = """\
# Who may do what

Written by `python -m api.permissions` from `core/roles.py`; do not edit it here.

People have a role, API keys have scopes. Both come down to permissions, and every route demands one. A change of a role
or of a key counts from the next request on.
"""


def generated() -> str:
    return "\n".join([_HEAD, *_table(), ""])


def _table() -> Iterator[str]:
    columns = [*ROLE_NAMES, *(f"key: {scope}" for scope in SCOPE_NAMES)]
    yield f"| permission | lets | {' | '.join(columns)} |"
    yield f"|---|---|{':-:|' * len(columns)}"
    for name, lets in roles.PERMISSIONS.items():
        held = [
            *(name in roles.ROLES[role] for role in ROLE_NAMES),
            *(name in roles.SCOPES[one] for one in SCOPE_NAMES),
        ]
        yield f"| `{name}` | {lets} | {' | '.join('✓' if has else '' for has in held)} |"


if __name__ == "__main__":
    PATH.write_text(generated())
