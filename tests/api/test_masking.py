"""Numbers are struck out of whatever is said to somebody who may not see them."""

import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from api.masking import hide_numbers, masked
from core.errors import NotAllowed


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("+966501234567", "+9665•••••67"),
        ('{"body":"call +966 50 123-4567!"}', '{"body":"call +9665•••••67!"}'),
        ('{"wa_id":"966501234567"}', '{"wa_id":"9665•••••67"}'),
        ('{"from":"966501234567@c.us"}', '{"from":"9665•••••67@c.us"}'),
        ("wamid.HBgMOTY2NTAxMjM0NTY3FQIAERgS", "wamid.•••••"),
        ("2026-11-23T09:00:00+00:00", "2026-11-23T09:00:00+00:00"),
        ('{"id":966501234567,"rate":0.0012345678,"x":1e+12}', '{"id":966501234567,"rate":0.0012345678,"x":1e+12}'),
        ('"9f2c01ab77"', '"9f2c01ab77"'),
    ],
)
def test_numbers_are_masked_and_nothing_else(said: str, shown: str) -> None:
    assert masked(said) == shown


def test_headers_stay_and_the_length_fits() -> None:
    hidden = hide_numbers(JSONResponse({"phone": "+966501234567"}, status_code=201, headers={"X-Mark": "1"}))
    assert hidden.status_code == 201
    assert hidden.headers["x-mark"] == "1"
    assert int(hidden.headers["content-length"]) == len(hidden.body)
    assert b"1234" not in hidden.body


def test_what_cannot_be_looked_into_is_refused() -> None:
    with pytest.raises(NotAllowed):
        hide_numbers(PlainTextResponse("phone\n+966501234567\n"))
