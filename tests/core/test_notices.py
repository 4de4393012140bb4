"""What people at work are told has words, somebody who sees it, and leads somewhere."""

import json
import re
from pathlib import Path

import pytest

from core import notices
from core.notices import KINDS, WORDS, Notice
from core.roles import PERMISSIONS

ROUTES = json.loads((Path(__file__).parents[2] / "api" / "openapi.json").read_text())["paths"]


def test_every_kind_has_words_and_all_words_are_of_a_kind() -> None:
    for kind in KINDS:
        assert Notice(kind, "info", cause="").permission in PERMISSIONS
    assert {name.rpartition(".")[0] or name for name in WORDS} | set(WORDS) >= set(KINDS) - {"sending.switched"}
    for name in WORDS:
        assert any(name == kind or name.split(".")[0] == kind.split(".")[0] for kind in KINDS), name


def test_everything_that_one_may_be_about_is_found_at_its_path() -> None:
    known = {re.sub(r"\{\w+\}", "{id}", path) for path, methods in ROUTES.items() if "get" in methods}
    for kind, (path, permission) in notices.ABOUT.items():
        assert path in known, kind
        assert permission in PERMISSIONS
    assert notices.path("campaign:7") == "/api/v3/campaigns/7"
    assert notices.path("sending") == "/api/v3/sending"
    assert notices.path(None) is None


@pytest.mark.parametrize(
    ("about", "good"),
    [
        ("campaign:7", True),
        ("sending", True),
        ("campaign", False),
        ("campaign:0", False),
        ("campaign:7:8", False),
        ("sending:1", False),
        ("planet:7", False),
        ("campaign:٧", False),
        ("", False),
    ],
)
def test_what_one_is_about_is_something_of_ours(about: str, good: bool) -> None:
    assert notices.is_about_something(about) is good


def test_words_survive_values_that_are_odd_or_gone() -> None:
    assert notices.said("api_key.made", {"name": "{scopes} %s {0}", "scopes": ["read", "send"]}) == (
        "An API key named “{scopes} %s {0}” was made",
        "It has the scopes read, send.",
    )
    assert notices.said("campaign.paused", {"name": "Spring", "reason": "template_paused"})[1].startswith(
        "WhatsApp has paused the template."
    )
    assert notices.said("campaign.paused", {})[0] == "Campaign “…” was paused by itself"
    assert notices.said("of.another.version", {"a": 1}) == ("of.another.version", "")


def test_one_of_a_program_is_seen_by_who_may_look_at_what_it_is_about() -> None:
    assert notices.of_program("info", "a", "", about=None, cause="x").permission == "notifications.read"
    assert notices.of_program("info", "a", "", about="user:1", cause="x").permission == "users.manage"
