"""No log says a number, a secret, or what a message says."""

import io
import logging

import pytest
from pydantic import ValidationError

from core.content import content_adapter
from core.discreet import Discreet, make_all_discreet


def test_what_others_log_is_made_discreet() -> None:
    formatter = Discreet("%(message)s")

    def told(text: str) -> str:
        return formatter.format(logging.LogRecord("x", 20, "x", 1, text, None, None))

    assert told("Key (value)=(+966501234567) exists") == "Key (value)=(<number>) exists"
    assert "abcdefgh" not in told("wq_0123456789_abcdefghijk-_x and Bearer abcdefghijk")
    assert (
        told("campaign=7 request=f3a9c2d41b07a1b2 took 12345678 us")
        == "campaign=7 request=f3a9c2d41b07a1b2 took 12345678 us"
    )
    assert "bXkgc2Vj" not in told("it signs with whsec_bXkgc2VjcmV0 or whsk_bXkgc2VjcmV0+/==")


def test_other_peoples_handlers_are_made_discreet_too_and_keep_their_shape() -> None:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(logging.Formatter("theirs | %(message)s"))
    theirs = logging.getLogger("test.theirs")
    theirs.addHandler(handler)
    try:
        for _ in range(2):
            make_all_discreet()
        theirs.error("no answer from %s", "+966501234567")
    finally:
        theirs.removeHandler(handler)
    assert said.getvalue() == "theirs | no answer from <number>\n"


@pytest.mark.parametrize(
    "content",
    [
        {"type": "text", "body": "the text", "more": "of it"},
        {"type": "template", "name": {"the text": 1}},
        "the text",
    ],
)
def test_what_is_wrong_with_a_content_is_told_without_the_content(content: object) -> None:
    with pytest.raises(ValidationError) as wrong:
        content_adapter.validate_python(content)
    assert "the text" not in str(wrong.value)
