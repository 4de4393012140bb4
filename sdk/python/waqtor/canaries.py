"""What came of a campaign's canary, and the word to go on."""

from datetime import datetime

from waqtor.asking import Ask, C, Model, Resource, call, get, given, write
from waqtor.campaigns import Campaign, Canary


class Rates(Model):
    """So far. `failed` has those of unknown outcome; `waiting` have none yet; limits count of `at_most`."""

    people: int
    failed: int
    opted_out: int
    blocked: int
    waiting: int
    at_most: int


class Verdict(Model):
    """`verdict` is passed, failed, or overruled by a person. `breaches` are the limits that were passed."""

    verdict: str
    at: datetime
    people: int
    failed: int
    opted_out: int
    blocked: int
    breaches: list[str]


class Canaried(Model):
    """The canary of the latest occurrence; without one `canary` and `rates` are None. `is_first`: for now only the
    canary is written to."""

    state: str
    canary: Canary | None
    is_first: bool
    held_until: datetime | None
    rates: Rates | None
    verdict: Verdict | None


class Canaries(Resource[C]):
    """Of a campaign each: `campaign_id` names it."""

    @call
    def get(self, campaign_id: int) -> Ask[Canaried]:
        return get(f"/campaigns/{campaign_id}/canary", Canaried)

    @call
    def go_on(
        self, campaign_id: int, *, variant: str | None = None, idempotency_key: str | None = None
    ) -> Ask[Campaign]:
        """Write to everybody now, whatever the canary would have said; with this variant, if one is named. One that
        it has stopped is paused: resume that."""
        path = f"/campaigns/{campaign_id}/go-on"
        return write("POST", path, Campaign, json=given(variant=variant), key=idempotency_key)
