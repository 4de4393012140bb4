"""When a campaign is due, and each time that it was."""

from datetime import datetime
from typing import Any

from waqtor.asking import Ask, C, Model, Pages, Resource, call, get, given, paged, pages, write
from waqtor.campaigns import Campaign


class Coming(Model):
    """The next five times."""

    next: list[datetime]


class Schedule(Model):
    """One of `at`, `cron` and `rrule` is set; `next` are the next five times."""

    campaign_id: int
    at: datetime | None
    cron: str | None
    rrule: str | None
    timezone: str
    include_earlier: bool
    next: list[datetime]


class Occurrence(Model):
    """`state` is scheduled, running, finished, missed or cancelled. `due_at` is `planned_at`, unless shifted."""

    id: int
    number: int
    state: str
    reason: str
    planned_at: datetime
    due_at: datetime
    include_earlier: bool
    audience: dict[str, Any] | None
    started_at: datetime | None
    finished_at: datetime | None


class Schedules(Resource[C]):
    """Of a campaign each: `campaign_id` names it."""

    @call
    def set(
        self,
        campaign_id: int,
        *,
        at: datetime | str | None = None,
        cron: str | None = None,
        rrule: str | None = None,
        timezone: str,
        include_earlier: bool | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[Schedule]:
        """Give one of `at` (without an offset: the clock in the time zone), `cron` and `rrule`. One that recurs has
        to say whether it writes again to who had an earlier occurrence (`include_earlier`)."""
        body = _asked(at, cron, rrule, timezone, include_earlier)
        return write("PUT", f"/campaigns/{campaign_id}/schedule", Schedule, json=body, key=idempotency_key)

    @call
    def get(self, campaign_id: int) -> Ask[Schedule]:
        return get(f"/campaigns/{campaign_id}/schedule", Schedule)

    @call
    def remove(self, campaign_id: int, *, idempotency_key: str | None = None) -> Ask[Campaign]:
        """Nothing of it begins by itself any more; what runs goes on."""
        return write("DELETE", f"/campaigns/{campaign_id}/schedule", Campaign, key=idempotency_key)

    @call
    def preview(
        self,
        campaign_id: int,
        *,
        at: datetime | str | None = None,
        cron: str | None = None,
        rrule: str | None = None,
        timezone: str,
    ) -> Ask[Coming]:
        """The next five times, if it were set. Changes nothing."""
        body = _asked(at, cron, rrule, timezone, None)
        return Ask("POST", f"/campaigns/{campaign_id}/schedule/preview", Coming.model_validate, json=body)

    @paged
    def occurrences(self, campaign_id: int, *, state: str | None = None, limit: int = 100) -> Pages[Occurrence]:
        """Each time the campaign was sent, was missed or is to be sent, oldest first."""
        return pages(f"/campaigns/{campaign_id}/occurrences", Occurrence, state=state, limit=limit)


def _asked(
    at: datetime | str | None, cron: str | None, rrule: str | None, timezone: str, include_earlier: bool | None
) -> dict[str, Any]:
    moment = at.isoformat() if isinstance(at, datetime) else at
    return given(at=moment, cron=cron, rrule=rrule, timezone=timezone, include_earlier=include_earlier)
