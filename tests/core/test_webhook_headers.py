import pytest

from core import webhook_headers
from core.errors import Invalid


def test_a_header_of_ones_own_is_kept_as_written() -> None:
    assert webhook_headers.check({"X-Api-Key": " s3cret ", "Authorization": "Bearer x"}) == {
        "X-Api-Key": "s3cret",
        "Authorization": "Bearer x",
    }
    assert webhook_headers.check({}) == {}


@pytest.mark.parametrize(
    "name",
    """
    Host host CONNECTION Keep-Alive Transfer-Encoding TE Trailer Upgrade Proxy-Authorization proxy-anything
    Content-Length Content-Type Content-Encoding Accept-Encoding Cookie Set-Cookie Expect User-Agent
    webhook-id Webhook-Signature webhook-anything svix-id X-WaQtor-Signature X-Forwarded-For X-Amz-Date
    Sec-WebSocket-Key X-HTTP-Method-Override
    """.split(),
)
def test_what_steers_the_request_is_refused_in_any_case(name: str) -> None:
    with pytest.raises(Invalid, match="not yours to set"):
        webhook_headers.check({name: "1"})


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A\r\nHost": "1"},
        {"": "1"},
        {"X A": "1"},
        {"X-Ä": "1"},
        {"X-A": "1\r\nHost: evil"},
        {"X-A": "سر"},
        {"X-A": "\x00"},
        {"X-A": "x" * 4097},
        {"X-A": "1", "x-a": "2"},
        {f"X-{number}": "1" for number in range(21)},
        {"X" * 129: "1"},
    ],
)
def test_what_cannot_be_sent_is_refused_without_its_value(headers: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        webhook_headers.check(headers)
    assert refused.value.field == "headers"
    assert "evil" not in str(refused.value)
