"""Each column says whether it is personal; export, erasure and retention will trust that."""

import re

import pytest
from sqlalchemy import Column

from core.models import Base, Personal

COLUMNS = [column for table in Base.metadata.tables.values() for column in table.columns]
_SOUNDS_PERSONAL = re.compile(
    r"^(name|first_name|last_name|phone|email|address|value|value_hash|identity_hash|attributes|language|body|"
    r"content|wording|answer|tag|contact_id|provider_id|.*_hash|last_(in|out)_at|replied_at|read_at|delivered_at)$"
)
# Names of things, not of people; and what belongs to the installation itself.
_NOT_OF_A_PERSON = {
    "switches.name",
    "api_keys.name",
    "api_keys.key_hash",
    "idempotency_keys.body_hash",
    "senders.name",
    "templates.name",
    "templates.body",
    "templates.language",
    "template_variants.language",
    "template_variants.body",
    "attributes.name",
    "segments.name",
    "campaigns.name",
    "campaign_variants.name",
    "protected_pages.name",
    "notifications.wording",
    # Rows that only join a person to what is personal elsewhere.
    "identities.contact_id",
    "contact_tags.contact_id",
    "chats.contact_id",
}


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_every_column_says_whether_it_is_personal(column: Column[object]) -> None:
    assert "personal" in column.info, f"{column} says nothing: declare it with plain() or personal()"
    said = column.info["personal"]
    assert said is None or (isinstance(said, Personal) and said.category and said.purpose)


@pytest.mark.parametrize("column", [one for one in COLUMNS if _SOUNDS_PERSONAL.match(one.name)], ids=str)
def test_what_sounds_personal_is_declared_so(column: Column[object]) -> None:
    if str(column) not in _NOT_OF_A_PERSON:
        assert column.info["personal"] is not None, f"{column} sounds personal"


def test_the_exceptions_still_exist() -> None:
    assert {str(column) for column in COLUMNS} >= _NOT_OF_A_PERSON
