"""The dashboard, on an API with fakes behind it: its pages in this process, and in a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from browsing import Looking, chromium_here, dashboard_process, windows
from conftest import missing
from serving import new_installation
from stage import Stage, stage


@pytest.fixture(scope="module")
def on_stage(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Stage]:
    with stage(new_installation(tmp_path_factory.mktemp("ui"), sqlite_template)) as made:
        yield made


@pytest.fixture(scope="module")
def looking(on_stage: Stage) -> Iterator[Looking]:
    chromium = chromium_here()
    if chromium is None:
        missing("Chromium (Debian and Ubuntu: apt-get install chromium)")
        return
    served = dashboard_process(on_stage.server.platform.settings, api_url=on_stage.url)
    with served as url, windows(chromium, url) as opened:
        yield Looking(on_stage, opened)
