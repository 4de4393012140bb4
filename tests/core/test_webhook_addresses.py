from ipaddress import ip_network

import pytest
from pydantic import ValidationError

import forbidden
from core.errors import Invalid
from core.settings import Settings
from core.webhook_addresses import Rules, ports

STRICT = Settings().webhook_rules


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hooks",
        "https://example.com:8443/hooks?a=b",
        "https://93.184.216.34/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/",
        "https://مثال.example/خطاف",
    ],
)
def test_the_public_internet_may_be_posted_to(url: str) -> None:
    assert STRICT.check(f" {url}\n") == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "only https"),
        ("example.com", "only https"),
        ("http://example.com/", "only https"),
        ("ftp://example.com/", "only https"),
        ("https:///hooks", "names no host"),
        ("https://user:secret@example.com/", "user or password"),
        ("https://example.com:22/", "port 22"),
        ("https://example.com:99999/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://exa mple.com/", "blanks"),
        ("https://example.com/\r\nHost: x", "blanks"),
        ("https://example.com/" + "x" * 2048, "longer"),
        ("https://127.0.0.1/", "loopback"),
        ("https://localhost/", "loopback"),
        ("https://a.localhost./", "loopback"),
        ("https://0x7f.1/", "loopback"),
        ("https://2852039166/", "metadata"),
        ("https://0251.0376.0251.0376/", "metadata"),
        ("https://10.1/", "private"),
        ("https://[::ffff:10.0.0.1]/", "mapped IPv4"),
        ("https://[64:ff9b::7f00:1]/", "NAT64"),
        ("https://[2002:7f00:1::]/", "6to4"),
        ("https://[2001:0:7f00:1::]/", "Teredo"),
        ("https://[4000::1]/", "reserved"),
    ],
)
def test_whoever_registers_a_wrong_address_is_told_why(url: str, why: str) -> None:
    with pytest.raises(Invalid, match=why) as refused:
        STRICT.check(url)
    assert refused.value.field == "url"
    assert "secret" not in str(refused.value)


def test_every_address_of_the_suite_is_refused_by_its_numbers() -> None:
    for address in [*forbidden.NETWORKS, *(one.replace("%25", "%") for one in forbidden.NETWORKS_6)]:
        assert STRICT.refusal(address), address
    assert STRICT.refusal("93.184.216.34") is None
    assert STRICT.refusal("2606:2800:220:1:248:1893:25c8:1946") is None


def test_an_operator_opens_networks_and_nothing_that_hides_in_them() -> None:
    rules = Rules(
        tuple(map(ip_network, ("10.20.0.0/16", "64:ff9b::/96", "::ffff:0:0/96"))), http=True, ports=ports("80")
    )
    for open_now in ("10.20.3.4", "64:ff9b::8.8.8.8", "64:ff9b::10.20.0.1", "::ffff:8.8.8.8", "::ffff:10.20.0.1"):
        assert rules.refusal(open_now) is None, open_now
    for still in (
        "10.21.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::7f00:1",
        "::ffff:127.0.0.1",
        "127.0.0.1",
        "2002:808:808::",
    ):
        assert rules.refusal(still), still


@pytest.mark.parametrize("named", ["x", "0", "65536", "9-8", "1-", "80-99999"])
def test_ports_that_are_none_are_refused_at_the_start(named: str) -> None:
    with pytest.raises(ValidationError, match="is no port"):
        Settings(webhook_ports=named)


def test_settings_say_where_webhooks_may_go() -> None:
    settings = Settings(webhook_networks="10.0.0.0/8, fd00::/8", webhook_http=True, webhook_ports="1-1023 9000")
    assert settings.webhook_rules.check("http://10.1.2.3:9000/") == "http://10.1.2.3:9000/"
    assert settings.webhook_rules.check("http://[fd00::1]:81/") == "http://[fd00::1]:81/"
    with pytest.raises(ValidationError):
        Settings(webhook_networks="10.0.0.0/99")
    with pytest.raises(ValidationError, match=r"http://proxy\.internal:3128"):
        Settings.model_validate({"webhook_proxy": "socks5://x"})
