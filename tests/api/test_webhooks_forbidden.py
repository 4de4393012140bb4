"""An address that must not be reached stays unreached by every way in: registered, changed, tested by the button."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import httpx
import pytest

import forbidden
from connectors.posting import Posting
from core import courier
from core.settings import Settings
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from receiving import Receiver, receiver
from serving import Server, inside

_HOME = ["127.0.0.1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "64:ff9b::7f00:1", "fd00:ec2::254"]


@dataclass
class Names:
    """A name server of strangers: whatever is asked for leads to `leads_to`, in turns."""

    leads_to: list[list[str]] = field(default_factory=list)
    asked: int = 0

    def look_up(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.leads_to[(self.asked - 1) % len(self.leads_to)]


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
async def home() -> AsyncIterator[Receiver]:
    """Something on this machine that a stranger would like to reach."""
    async with receiver() as made:
        yield made


@pytest.fixture
async def server(
    settings: Settings, connector: FakeConnector, jobs: FakeJobs, clock: FakeClock, names: Names
) -> AsyncIterator[Server]:
    open_to_http = settings.model_copy(update={"webhook_http": True})
    poster = Posting(open_to_http.webhook_rules, look_up=names.look_up)
    async with inside(
        open_to_http, connectors=FakeConnectors(connector), jobs=jobs, clock=clock, poster=poster
    ) as server:
        yield server


async def test_what_is_an_address_of_ours_by_its_text_is_not_even_registered(
    api: httpx.AsyncClient, home: Receiver
) -> None:
    made = await api.post("/api/v3/webhooks", json={"url": "https://hooks.example.com/", "events": ["*"]})
    assert made.status_code == 201, made.text
    hosts = [
        *forbidden.NETWORKS,
        *(f"[{one}]" for one in forbidden.NETWORKS_6 if "%" not in one),
        "0x7f.1",
        "2130706433",
    ]
    for host in hosts:
        url = f"http://{host}:{home.port}/"
        for answer in (
            await api.post("/api/v3/webhooks", json={"url": url, "events": ["*"]}),
            await api.patch("/api/v3/webhooks/1", json={"url": url}),
        ):
            assert (answer.status_code, answer.json()["error"]["field"]) == (422, "url"), url
    assert home.connections == 0


async def test_the_test_button_reaches_nothing_that_a_name_leads_to_here(
    api: httpx.AsyncClient, server: Server, home: Receiver, names: Names
) -> None:
    url = f"http://hooks.example.com:{home.port}/"
    assert (await api.post("/api/v3/webhooks", json={"url": url, "events": ["*"]})).status_code == 201
    for leads_to in ([[one] for one in _HOME], [["93.184.216.34", one] for one in _HOME]):
        names.leads_to, names.asked = leads_to, 0
        for one in leads_to:
            told = await courier.test(server.platform, server.app.state.poster, 1)
            assert (told.status, told.error) == (None, "forbidden_address")
            assert not any(address in str(told.detail) for address in one), "what is inside is not told to strangers"
    assert home.connections == 0
