"""Every route, asked with what its description allows and with what it does not: each answer is one of those that the
description promises, and never a 500. Routes that are added are taken in by themselves."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case, checks

from conftest import postgres_database
from core.settings import Settings
from serving import ROOT, api_process, made_key, new_installation
from waqtor import Client

PROMISED = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.negative_data_rejection,
]
CONFIG = schemathesis.Config.from_dict({"generation": {"deterministic": True, "max-examples": 3}})
ROUTES = schemathesis.openapi.from_path(ROOT / "api" / "openapi.json", config=CONFIG)


@dataclass(frozen=True)
class Asked:
    url: str
    key: str


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[Asked]:
    """A process with something of everything. Nobody is at WhatsApp's address."""
    installation = new_installation(tmp_path_factory.mktemp("routes"), sqlite_template)
    with ExitStack() as stack:
        if request.param == "postgres":
            own = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_template")
            url = stack.enter_context(postgres_database(*own))
            installation = Settings(data_dir=installation.data_dir, database_url=url)
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("WAQTOR_CLOUD_API_URL", "http://127.0.0.1:1/v23.0")
        process = stack.enter_context(api_process(installation))
        keys = [made_key(installation) for _ in range(20)]  # one with a small id is revoked on the way
        with Client(process.url, keys[-1]) as client:
            _something_of_everything(client)
        yield Asked(process.url, keys[-1])
        with Client(process.url, keys[-1]) as client:
            assert client.senders.get(1).id == 1, "the key was lost on the way, and every answer was a 401"


def _something_of_everything(client: Client) -> None:
    secrets = {"access_token": "a", "app_secret": "b", "verify_token": "c"}
    client.senders.create("shop", phone_number_id="1", waba_id="2", **secrets)
    for number in range(1, 8):
        client.contacts.create(f"+96650123456{number}", name="Nora", tags=["vip"], attributes={"city": "جدة"})
        client.templates.create(f"template {number}", "Hello {name}")
        client.segments.create(f"segment {number}", 'tag = "vip"')
        client.campaigns.create(f"campaign {number}", sender_id=1, template_id=number, segment=number)
    client.campaigns.launch(7)


@ROUTES.exclude(path="/api/v3/events/stream").parametrize()  # it does not end; tests/api/test_live.py follows it
@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_is_promised(case: Case, asked: Asked) -> None:
    answer = case.call(base_url=asked.url, headers={"Authorization": f"Bearer {asked.key}"})
    assert answer.status_code != 500, answer.text
    case.validate_response(answer, checks=PROMISED)
