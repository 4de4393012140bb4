"""One message to an audience, and what became of each person."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from waqtor import errors
from waqtor.asking import (
    Ask,
    C,
    Model,
    Order,
    Pages,
    Resource,
    Sleep,
    Steps,
    call,
    get,
    given,
    paged,
    pages,
    steps,
    write,
)
from waqtor.messages import Message

_FILE_S = 300.0


class Progress(Model):
    """`sent` counts everyone for whom WhatsApp has the message; `delivered` and `read` are among them. `held_out` get
    nothing, to be compared with; they are not among the `skipped` here."""

    total: int
    queued: int
    sending: int
    sent: int
    delivered: int
    read: int
    replied: int
    failed: dict[str, int]
    skipped: dict[str, int]
    unknown: dict[str, int]
    held_out: int
    blocked: int

    @property
    def done(self) -> int:
        """How many have an outcome."""
        return self.total - self.queued - self.sending


class Variant(Model):
    """One wording of several. Without a template of its own it has the campaign's."""

    name: str
    template_id: int | None
    defaults: dict[str, str]
    weight: int
    is_winner: bool


class Canary(Model):
    """A small part of the audience first (`percent` or `count` of it), then a hold; it goes on where no limit was
    passed. `after_hold` is go_on, or ask: paused until a person has looked."""

    percent: float | None
    count: int | None
    hold_minutes: float
    max_failed_percent: float | None
    max_opted_out_percent: float | None
    max_blocked_percent: float | None
    after_hold: str


class Campaign(Model):
    """`state` is draft, scheduled, running, holding, paused, cancelled or finished. `progress` is that of the latest
    `occurrence`, None in lists."""

    id: int
    name: str
    sender_id: int
    template_id: int
    audience: dict[str, Any]
    purpose: str
    quiet_hours: dict[str, str] | None
    timezone: str | None
    variants: list[Variant]
    holdout_percent: float | None
    canary: Canary | None
    held_until: datetime | None
    state: str
    state_reason: str
    forecast: dict[str, Any] | None
    occurrence: int
    launches: int
    created_at: datetime
    launched_at: datetime | None
    finished_at: datetime | None
    progress: Progress | None = None


class Recipient(Model):
    """A person within a campaign. `receipt` is none, sent, delivered, read or failed."""

    id: int
    occurrence: int
    contact_id: int
    name: str
    phone: str | None = None
    variant: str | None
    state: str
    reason: str | None
    attempts: int
    receipt: str
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    replied_at: datetime | None
    late: bool
    client_id: str | None
    provider_id: str | None


class Evidence(Model):
    """A row or a rule behind an answer. `kind` is rule, variant, message, consent, suppression, limit or
    audience."""

    kind: str
    facts: dict[str, Any]


class Answer(Model):
    """Why a person was written to, or why not: `reason` is a code, `because` says it in words."""

    outcome: str
    reason: str | None
    because: str
    occurrence: int
    evidence: list[Evidence]


class Why(Model):
    """One answer; of `"all"` occurrences one for each that the person was planned for."""

    answers: list[Answer]


class Cost(Model):
    """The messages to one country; prices are None where there is no rate for it."""

    recipients: int
    each: Decimal | None
    total: Decimal | None
    currency: str | None


class Forecast(Model):
    """`finishes_at` is None when a year does not suffice; `limited_by` is rate, daily_cap, conversations or
    quiet_hours."""

    finishes_at: datetime | None
    limited_by: str


class Preflight(Model):
    """What a campaign would do now. `excluded` by reason and `recipients` make up `people`."""

    people: int
    recipients: int
    excluded: dict[str, int]
    missing: dict[str, int]
    variants: dict[str, int]
    canary: int | None
    asleep: int
    us_marketing: int
    costs: dict[str, Cost]
    forecast: Forecast
    examples: list[str]
    at: datetime


class Again(Model):
    """How many are in the queue again."""

    queued: int


class Campaigns(Resource[C]):
    @call
    def create(
        self,
        name: str,
        *,
        sender_id: int,
        template_id: int,
        tag: str | None = None,
        segment: int | None = None,
        filter: str | None = None,
        purpose: str = "marketing",
        quiet_hours: tuple[str, str] | None = None,
        timezone: str | None = None,
        variants: Sequence[Mapping[str, Any]] = (),
        holdout_percent: float | None = None,
        canary: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[Campaign]:
        """Prepare a campaign to one of a `tag`, a `segment` and a `filter`, or to everybody. Nothing is sent until
        `launch`. Who has not agreed to `purpose` is left out; `service`, `utility` and `authentication` need no
        consent.
        `quiet_hours`, e.g. `("21:00", "09:00")`, are of each person's own day; `timezone` is for those whose own is
        not known.
        `variants`, e.g. `[{"name": "A"}, {"name": "B", "template_id": 4, "weight": 2}]`, each go to a part of the
        audience; `holdout_percent` of it get nothing, to be compared with. `canary`, e.g.
        `{"percent": 2, "hold_minutes": 60, "max_failed_percent": 10}`, go first, and the others wait for them."""
        audience = given(tag=tag, segment=segment, filter=filter) or {"all": True}
        sent = {
            "name": name,
            "sender_id": sender_id,
            "template_id": template_id,
            "audience": audience,
            "purpose": purpose,
            "timezone": timezone,
            "quiet_hours": None if quiet_hours is None else {"from": quiet_hours[0], "to": quiet_hours[1]},
            "variants": [dict(one) for one in variants],
            "holdout_percent": holdout_percent,
            "canary": canary if canary is None else dict(canary),
        }
        return write("POST", "/campaigns", Campaign, json=sent, key=idempotency_key)

    @paged
    def list(
        self,
        *,
        state: str | None = None,
        name: str | None = None,
        active_since: datetime | None = None,
        order: Order = "oldest",
        limit: int = 100,
    ) -> Pages[Campaign]:
        """All, or those in a state, of exactly this name (several may have one), or under way at `active_since` or
        later. `order` is oldest or newest: what comes first."""
        since = None if active_since is None else active_since.isoformat()
        return pages("/campaigns", Campaign, state=state, name=name, active_since=since, order=order, limit=limit)

    @call
    def change(
        self, campaign_id: int, changes: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Ask[Campaign]:
        """`changes` names any of name, sender_id, template_id, audience, purpose, quiet_hours, timezone, variants,
        holdout_percent and canary, as REST takes them: {"audience": {"tag": "vip"}}. Refused once the campaign was
        launched."""
        return write("PATCH", f"/campaigns/{campaign_id}", Campaign, json=changes, key=idempotency_key)

    @call
    def get(self, campaign_id: int) -> Ask[Campaign]:
        """With its progress."""
        return get(f"/campaigns/{campaign_id}", Campaign)

    @call
    def progress(self, campaign_id: int, *, occurrence: int | str | None = None) -> Ask[Progress]:
        """Of an occurrence by its number, of the `"latest"` (so where none is given), or of `"all"`."""
        return get(f"/campaigns/{campaign_id}/progress", Progress, occurrence=occurrence)

    @call
    def launch(self, campaign_id: int, *, idempotency_key: str | None = None) -> Ask[Campaign]:
        return write("POST", f"/campaigns/{campaign_id}/launch", Campaign, key=idempotency_key)

    @call
    def pause(self, campaign_id: int, *, reason: str = "", idempotency_key: str | None = None) -> Ask[Campaign]:
        """Counts before the next message leaves."""
        sent = {"reason": reason}
        return write("POST", f"/campaigns/{campaign_id}/pause", Campaign, json=sent, key=idempotency_key)

    @call
    def resume(self, campaign_id: int, *, idempotency_key: str | None = None) -> Ask[Campaign]:
        return write("POST", f"/campaigns/{campaign_id}/resume", Campaign, key=idempotency_key)

    @call
    def cancel(self, campaign_id: int, *, idempotency_key: str | None = None) -> Ask[Campaign]:
        """For good. Who was not written to yet is skipped."""
        return write("POST", f"/campaigns/{campaign_id}/cancel", Campaign, key=idempotency_key)

    @call
    def retry(
        self,
        campaign_id: int,
        *,
        reason: str | None = None,
        occurrence: int | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[Again]:
        """Those whose message is known to have had no effect, or those of one reason, in the latest occurrence or in
        this; a finished campaign runs on."""
        path = f"/campaigns/{campaign_id}/retry{_of(occurrence)}"
        return write("POST", path, Again, json=given(reason=reason), key=idempotency_key)

    @call
    def resend_unknown(
        self, campaign_id: int, *, confirm: int, occurrence: int | None = None, idempotency_key: str | None = None
    ) -> Ask[Again]:
        """Those of whom nobody knows whether they got it: each may get it twice. `confirm` is their number."""
        path = f"/campaigns/{campaign_id}/resend-unknown{_of(occurrence)}"
        return write("POST", path, Again, json={"confirm": confirm}, key=idempotency_key)

    @paged
    def recipients(
        self,
        campaign_id: int,
        *,
        state: str | None = None,
        reason: str | None = None,
        variant: str | None = None,
        occurrence: int | str | None = None,
        limit: int = 500,
    ) -> Pages[Recipient]:
        """Everybody in an occurrence (by number, the `"latest"`, or `"all"`) with the outcome; `limit` is the size of
        a page."""
        path = f"/campaigns/{campaign_id}/recipients"
        asked = {"state": state, "reason": reason, "variant": variant, "occurrence": occurrence}
        return pages(path, Recipient, **asked, limit=limit)

    @call
    def recipients_csv(
        self, campaign_id: int, *, state: str | None = None, occurrence: int | str | None = None
    ) -> Ask[bytes]:
        """The same as a file."""
        path, asked = f"/campaigns/{campaign_id}/recipients.csv", given(state=state, occurrence=occurrence)
        return Ask("GET", path, bytes, params=asked, is_file=True, timeout_s=_FILE_S)

    @call
    def preflight(self, campaign_id: int) -> Ask[Preflight]:
        """Who would get it, who would not and why, when it would be through, what it would cost. Sends nothing."""
        return write("POST", f"/campaigns/{campaign_id}/preflight", Preflight)

    @call
    def why(
        self,
        campaign_id: int,
        *,
        contact_id: int | None = None,
        phone: str | None = None,
        occurrence: int | str | None = None,
    ) -> Ask[Why]:
        """What became of one person, named by one of the two, and the rows that prove it: in the latest occurrence,
        in that of a number, or in `"all"`. By `phone` it takes the permission `numbers.read` too."""
        who = {"contact_id": contact_id} if phone is None else {"phone": phone}
        return write("POST", f"/campaigns/{campaign_id}/why{_of(occurrence)}", Why, json=who)

    @call
    def test(
        self,
        campaign_id: int,
        *,
        to: str | None = None,
        contact_id: int | None = None,
        as_contact_id: int | None = None,
        variant: str | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[Message]:
        """Send the campaign's message to one person, filled in as for `as_contact_id`; they become no recipient. Where
        it has variants: the one named, else the first."""
        body = given(to=to, contact_id=contact_id, as_contact_id=as_contact_id, variant=variant)
        return write("POST", f"/campaigns/{campaign_id}/test", Message, json=body, key=idempotency_key)

    @steps
    def wait(
        self,
        campaign_id: int,
        *,
        on_progress: Callable[[Campaign], object] | None = None,
        every_s: float = 1.0,
        timeout_s: float | None = None,
    ) -> Steps[Campaign]:
        """Until it is finished or cancelled; a pause is waited through. `on_progress` hears of it `every_s`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            campaign: Campaign = yield get(f"/campaigns/{campaign_id}", Campaign)
            if on_progress is not None:
                on_progress(campaign)
            if campaign.state in ("finished", "cancelled"):
                return campaign
            if deadline is not None and time.monotonic() >= deadline:
                raise errors.Error(
                    f"Campaign {campaign_id} is still {campaign.state} after {timeout_s:g} s.", code="timeout"
                )
            yield Sleep(every_s)


def _of(occurrence: int | str | None) -> str:
    return "" if occurrence is None else f"?occurrence={occurrence}"
