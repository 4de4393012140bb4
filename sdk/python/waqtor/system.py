"""What an installation is, what waits in it and what sends. Takes the permission system.read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from waqtor.asking import Ask, C, Model, Resource, call, get


class Queues(Model):
    """What waits, 10,000 of each at most."""

    outbox: int
    unsettled: int
    inbox: int
    inbox_lag_s: float


class Run(Model):
    """A campaign under way; `is_held`: a run of Prefect is at it."""

    campaign_id: int
    name: str
    state: str
    is_held: bool
    held_until: datetime | None


class System(Model):
    """`campaigns` under way and `senders` are counts by state; `settings` those that name no place and no secret."""

    version: str
    database: str
    uptime_s: float
    prefect_url: str
    queues: Queues
    campaigns: Mapping[str, int]
    senders: Mapping[str, int]
    runs: list[Run]
    settings: Mapping[str, Any]


class SystemLook(Resource[C]):
    @call
    def get(self) -> Ask[System]:
        return get("/system", System)
