"""`python -m api.permissions` writes `docs/permissions.md`: the table of core/roles.py and what the routes
demand of it, for people."""

from collections.abc import Iterator
from pathlib import Path

from fastapi.routing import APIRoute

from api.app import ROUTERS
from api.auth import demanded
from core import roles
from core.roles import ROLE_NAMES, SCOPE_NAMES

PATH = Path(__file__).parent.parent / "docs" / "permissions.md"

_HEAD = """\
# Who may do what

Written by `python -m api.permissions` from `core/roles.py` and the routes; do not edit it here.

People have a role, API keys have scopes. Both come down to permissions, and every route demands one. A change of a role
or of a key counts from the next request on.
"""


_ROUTES = """
## Which route demands which
"""


def generated() -> str:
    return "\n".join([_HEAD, *_table(), _ROUTES, *_routes(), ""])


def _routes() -> Iterator[str]:
    found: dict[str, list[str]] = {name: [] for name in roles.PERMISSIONS}
    for route in (one for router in ROUTERS for one in router.routes if isinstance(one, APIRoute)):
        if named := demanded(route):
            found[named] += [f"`{method} {route.path}`" for method in sorted((route.methods or set()) - {"HEAD"})]
    yield "| permission | routes |"
    yield "|---|---|"
    for name, asked in found.items():
        yield f"| `{name}` | {', '.join(asked) or 'none by itself: it decides what answers show'} |"


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
