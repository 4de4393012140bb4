"""Nothing that the dashboard says is left in English by accident, and nothing it fills in is lost."""

from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog, Message

from ui import collect, words

LANGUAGES = [language for language in words.LANGUAGES if language != collect.SOURCE]


def _named(text: str) -> set[str]:
    return {name for _text, name, _spec, _how in Formatter().parse(text) if name is not None}


def _wrong(message: Message, catalogue: Catalog) -> str:
    ours = [message.id] if isinstance(message.id, str) else list(message.id)
    theirs = [message.string] if isinstance(message.string, str) else list(message.string or [])
    if len(ours) > 1 and len(theirs) != catalogue.num_plurals:
        return f"{len(theirs)} of {catalogue.num_plurals} forms"
    if not all(theirs):
        return "no translation"
    named = set().union(*map(_named, ours))
    may_lack = {"count"} if len(ours) > 1 else set()  # "one person" needs no number
    lost = [form for form in theirs if not named - may_lack <= _named(form) <= named]
    return f"the names in braces differ: {lost}" if lost else ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_text_has_a_translation_with_all_its_forms_and_names(language: str) -> None:
    kept = collect.kept(language)
    known = {message.id: message for message in kept if message.id}
    said = [message for message in collect.said() if message.id]
    assert len(said) > 50
    without = [message.id for message in said if message.id not in known]
    assert not without, "`make words` collects them, then they are translated"
    wrong = {message.id: fault for message in known.values() if (fault := _wrong(message, kept))}
    assert not wrong
    assert not set(known) - {message.id for message in said}, "`make words` drops what nobody says any more"


def test_arabic_has_its_own_form_for_none_one_two_few_and_many() -> None:
    one, many = "{count} notification not read", "{count} notifications not read"
    forms = [words.catalogue("ar").ngettext(one, many, count) for count in (0, 1, 2, 7, 40, 100)]
    assert len(set(forms)) == 6
    assert words.say("ar", "Page {number}", number="٣") == "صفحة ٣"


def test_an_f_string_cannot_be_collected_and_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text("_(f'{count} people')")
    with pytest.raises(ValueError, match=r"page\.py:1"):
        collect.said(tmp_path)
