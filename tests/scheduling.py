"""Campaigns with a schedule on a real Prefect server."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

import scenes
from cli.local import free_port
from connectors import choose
from core import appointments, campaigns, occurrences, schedules
from core.bootstrap import Platform, build
from core.models import Campaign, Occurrence
from core.settings import Settings
from fakes import FakeConnector, FakeConnectors
from prefecting import ask, until


def new_settings(tmp_path_factory: pytest.TempPathFactory, name: str) -> Settings:
    folder = tmp_path_factory.mktemp(name)
    return Settings(data_dir=folder, prefect_port=free_port(), sweep_interval_s=3, silence_window_s=2)


def wait_until_served(settings: Settings) -> None:
    until(lambda: ask(settings, "deployments/count") == 6, "deployment of everything")


async def opened(settings: Settings) -> Platform:
    return await build(settings, connectors=FakeConnectors(FakeConnector()), jobs=choose.jobs(settings))


def scheduled(settings: Settings, name: str, *, in_s: float) -> int:
    """A campaign to nobody, due once; it is shown in Prefect."""

    async def make() -> int:
        platform = await opened(settings)
        sender = await scenes.a_sender(platform, name=name)
        campaign: Campaign = await scenes.a_campaign(platform, sender, name=name, audience={"tag": "nobody"})
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            times = schedules.asked(timezone="UTC", at=now + timedelta(seconds=in_s), now=now)
            await schedules.put(tx, campaign.id, times, include_earlier=None, at=now)
        await appointments.reconcile(platform)
        await platform.close()
        return campaign.id

    return asyncio.run(make())


def occurrence_of(settings: Settings, campaign_id: int) -> tuple[Occurrence, str]:
    async def look() -> tuple[Occurrence, str]:
        platform = await opened(settings)
        async with platform.database.reading() as tx:
            found = await occurrences.get(tx, campaign_id, 1)
            state = str((await campaigns.get(tx, campaign_id)).state)
        await platform.close()
        return found, state

    return asyncio.run(look())


def runs_of(settings: Settings, campaign_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(
        settings, "flow_runs/filter", flow_runs={"tags": {"all_": [f"campaign:{campaign_id}:occurrence:1"]}}
    )
    return found
