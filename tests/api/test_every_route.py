"""Every route, asked with what its description allows and with what it does not: each answer is one of those that the
description promises, and never a 500. Routes that are added are taken in by themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case, checks

from conftest import Databases, postgres_database
from core import keys
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
GENERATION = {"generation": {"deterministic": True, "max-examples": 3}}
FEW = {**GENERATION, "phases": {"coverage": {"enabled": False}}}
"""Without each limit of each field: PostgreSQL is the one that minds zeros in text and large numbers."""


def routes(config: dict[str, Any]) -> schemathesis.BaseSchema:
    """Without the stream, which does not end; tests/api/test_live.py follows it."""
    described = schemathesis.openapi.from_path(
        ROOT / "api" / "openapi.json", config=schemathesis.Config.from_dict(config)
    )
    return described.exclude(path="/api/v3/events/stream")


@dataclass(frozen=True)
class Asked:
    url: str
    key: str


@pytest.fixture(scope="module", params=["sqlite"])  # without, all are of one name, and one is run
def on_sqlite(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Asked]:
    with _with_something_of_everything(new_installation(tmp_path_factory.mktemp("routes"), sqlite_template)) as asked:
        yield asked


@pytest.fixture(scope="module", params=["postgres"])
def on_postgres(tmp_path_factory: pytest.TempPathFactory, postgres_databases: Databases) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("routes")
    keys.init(folder / "master.key")
    with (
        postgres_database(postgres_databases) as url,
        _with_something_of_everything(Settings(data_dir=folder, database_url=url)) as asked,
    ):
        yield asked


@contextmanager
def _with_something_of_everything(installation: Settings) -> Iterator[Asked]:
    """Nobody is at WhatsApp's address."""
    with api_process(installation, WAQTOR_CLOUD_API_URL="http://127.0.0.1:1/v23.0") as process:
        made = [made_key(installation) for _ in range(20)]  # one with a small id is revoked on the way
        with Client(process.url, made[-1]) as client:
            _something_of_everything(client)
        yield Asked(process.url, made[-1])
        with Client(process.url, made[-1]) as client:
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


GIVEN = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
@routes(GENERATION).parametrize()
@GIVEN
def test_every_answer_is_one_that_is_promised(case: Case, on_postgres: Asked) -> None:
    _ask(case, on_postgres)


@routes(FEW).parametrize()
@GIVEN
def test_so_it_is_on_sqlite(case: Case, on_sqlite: Asked) -> None:
    _ask(case, on_sqlite)


def _ask(case: Case, asked: Asked) -> None:
    answer = case.call(base_url=asked.url, headers={"Authorization": f"Bearer {asked.key}"})
    assert answer.status_code != 500, answer.text
    case.validate_response(answer, checks=PROMISED)
