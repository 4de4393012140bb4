"""The table of permissions holds together."""

import pytest

from core import roles


def test_every_permission_is_somebodys_and_every_name_is_one() -> None:
    for held in (*roles.ROLES.values(), *roles.SCOPES.values(), roles.AUDITED, roles.ABOUT_PEOPLE):
        assert held <= roles.ALL
    for name in roles.ALL:
        assert any(name in roles.ROLES[role] for role in roles.ROLE_NAMES), name


def test_a_role_or_scope_that_is_none_may_nothing() -> None:
    assert roles.of_role("root") == frozenset()
    assert roles.of_scopes(["root", ""]) == frozenset()
    assert roles.of_scopes(["read", "send"]) == roles.SCOPES["read"] | roles.SCOPES["send"]


@pytest.mark.parametrize("role", [role for role in roles.ROLE_NAMES if role != "admin"])
def test_only_an_admin_gives_others_a_way_in(role: roles.Role) -> None:
    assert not roles.ROLES[role] & {"users.manage", "keys.manage", "senders.manage"}


def test_viewers_and_auditors_change_nothing_and_see_no_number() -> None:
    for role in ("viewer", "auditor"):
        held = roles.of_role(role)
        assert {name.split(".")[1] for name in held} <= {"read", "own"}
        assert "numbers.read" not in held


def test_the_scopes_of_before_keep_what_they_had() -> None:
    assert roles.SCOPES["read"] >= {"contacts.read", "campaigns.read", "numbers.read", "contacts.export"}
    for scope, has, lacks in (
        ("write", "contacts.write", "campaigns.send"),
        ("send", "campaigns.send", "contacts.read"),
    ):
        held = roles.of_scopes([scope])
        assert has in held
        assert lacks not in held
    assert roles.SCOPES["admin"] == roles.ALL - {"account.own"}
