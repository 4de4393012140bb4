"""Webhooks: the addresses that are told what happens, and the log of what they were told. `waqtor.webhooks` verifies
what a receiver gets."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from waqtor.asking import Ask, C, Model, Pages, Resource, call, get, given, paged, pages, write

_TEST_S = 40.0  # the server gives the receiver 15


class Webhook(Model):
    """An endpoint. `header_names` are those of the headers that go with each post; their values are never shown."""

    id: int
    url: str
    description: str
    events: list[str]
    sender_ids: list[int] | None
    campaign_ids: list[int] | None
    fields: list[str]
    form: str
    signs_v1a: bool
    signs_v2: bool
    header_names: list[str]
    schedule: list[float] | None
    rate: float | None
    concurrency: int
    is_ordered: bool
    is_enabled: bool
    disabled_reason: str | None
    disabled_at: datetime | None
    failing_since: datetime | None
    paused_until: datetime | None
    last_success_at: datetime | None
    last_failed_at: datetime | None
    created_at: datetime
    changed_at: datetime


class NewWebhook(Webhook):
    """With what the receiver verifies by, this once."""

    secret: str
    public_key: str | None


class NewSecret(Model):
    """Shown this once."""

    id: int
    secret: str


class WebhookEvent(Model):
    """An event to ask for; `data` is the JSON schema of what comes with it. `since` is None where nothing raises it."""

    name: str
    description: str
    since: str | None
    fields: list[str]
    data: Mapping[str, Any]


class WebhookEvents(Model):
    data: list[WebhookEvent]


class Attempt(Model):
    """One post, and what came back; `error` is why no whole answer did."""

    number: int
    url: str
    started_at: datetime
    took_ms: int | None
    status: int | None
    error: str | None
    detail: str | None
    request_headers: Mapping[str, str] | None
    response_headers: Mapping[str, str] | None
    response_body: str | None


class Delivery(Model):
    """An event for an endpoint. `event_id` is the `webhook-id` of every attempt."""

    id: int
    webhook_id: int
    event_id: str
    type: str
    state: str
    reason: str | None
    attempts: int
    is_test: bool
    sender_id: int | None
    campaign_id: int | None
    contact_id: int | None
    next_at: datetime | None
    created_at: datetime
    settled_at: datetime | None


class WholeDelivery(Delivery):
    """With what is posted, and every attempt."""

    data: Mapping[str, Any]
    body: str | None
    tried: list[Attempt]


class WebhookTest(Model):
    """What became of a test: `ok` if the receiver answered with 2xx."""

    delivery_id: int
    event_id: str
    ok: bool
    status: int | None
    took_ms: int | None
    error: str | None
    detail: str | None
    response_body: str | None


class WebhookStatistics(Model):
    """Since a moment, and what waits now."""

    since: datetime
    deliveries: Mapping[str, int]
    waiting: int
    oldest_waiting_at: datetime | None
    attempts: int
    succeeded: int
    answers: Mapping[str, int]
    average_ms: int | None
    p50_ms: int | None
    p99_ms: int | None


class WebhookReplay(Model):
    """Deliveries that are made again: `done` of `total`."""

    id: int
    webhook_id: int
    state: str
    total: int
    done: int
    rate: float
    created_at: datetime
    finished_at: datetime | None


class ReplayCount(Model):
    count: int


class Purged(Model):
    """`may_have_more`: ask again."""

    forgotten: int
    may_have_more: bool


class Webhooks(Resource[C]):
    @call
    def events(self) -> Ask[WebhookEvents]:
        """All that can be asked for."""
        return get("/webhooks/events", WebhookEvents)

    @call
    def create(
        self,
        url: str,
        events: Sequence[str],
        *,
        description: str = "",
        sender_ids: Sequence[int] | None = None,
        campaign_ids: Sequence[int] | None = None,
        fields: Sequence[str] = (),
        form: str = "v3",
        signs_v1a: bool = False,
        signs_v2: bool = False,
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
        schedule: Sequence[float] | None = None,
        rate: float | None = None,
        concurrency: int | None = None,
        is_ordered: bool = False,
        idempotency_key: str | None = None,
    ) -> Ask[NewWebhook]:
        """Register an endpoint. `events`: types, `message.*` or `*`; `fields`: what of a person it may have (text,
        phone, name); `schedule`: seconds from each attempt to the next. The secret is in the answer and never shown
        again."""
        body = given(
            url=url,
            events=list(events),
            description=description,
            sender_ids=sender_ids,
            campaign_ids=campaign_ids,
            fields=list(fields),
            form=form,
            signs_v1a=signs_v1a,
            signs_v2=signs_v2,
            secret=secret,
            headers=headers,
            schedule=schedule,
            rate=rate,
            concurrency=concurrency,
            is_ordered=is_ordered,
        )
        return write("POST", "/webhooks", NewWebhook, json=body, key=idempotency_key)

    @paged
    def list(self, *, limit: int = 100) -> Pages[Webhook]:
        return pages("/webhooks", Webhook, limit=limit)

    @call
    def get(self, webhook_id: int) -> Ask[Webhook]:
        return get(f"/webhooks/{webhook_id}", Webhook)

    @call
    def change(
        self, webhook_id: int, changes: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Ask[Webhook]:
        """`changes` names any of what `create` takes, but the secret and `signs_v1a`; None takes a filter or a limit
        away."""
        return write("PATCH", f"/webhooks/{webhook_id}", Webhook, json=changes, key=idempotency_key)

    @call
    def remove(self, webhook_id: int, *, idempotency_key: str | None = None) -> Ask[Webhook]:
        """For good, with what waits for it."""
        return write("DELETE", f"/webhooks/{webhook_id}", Webhook, key=idempotency_key)

    @call
    def rotate(
        self,
        webhook_id: int,
        *,
        overlap_s: int = 86_400,
        scheme: str = "v1",
        secret: str | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[NewSecret]:
        """A new secret, shown this once; the one of before signs too for `overlap_s`, up to 7 days."""
        body = given(overlap_s=overlap_s, scheme=scheme, secret=secret)
        return write("POST", f"/webhooks/{webhook_id}/rotate", NewSecret, json=body, key=idempotency_key)

    @call
    def enable(self, webhook_id: int, *, idempotency_key: str | None = None) -> Ask[Webhook]:
        return write("POST", f"/webhooks/{webhook_id}/enable", Webhook, key=idempotency_key)

    @call
    def disable(self, webhook_id: int, *, idempotency_key: str | None = None) -> Ask[Webhook]:
        return write("POST", f"/webhooks/{webhook_id}/disable", Webhook, key=idempotency_key)

    @call
    def test(self, webhook_id: int) -> Ask[WebhookTest]:
        """Post something to it now, and wait for what it answers."""
        path = f"/webhooks/{webhook_id}/test"
        return Ask("POST", path, WebhookTest.model_validate, timeout_s=_TEST_S, is_repeatable=False)

    @paged
    def deliveries(
        self,
        webhook_id: int | None = None,
        *,
        state: str | None = None,
        type: str | None = None,
        event_id: str | None = None,
        sender_id: int | None = None,
        campaign_id: int | None = None,
        contact_id: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
    ) -> Pages[Delivery]:
        """The log, newest first."""
        return pages(
            "/webhooks/deliveries",
            Delivery,
            webhook_id=webhook_id,
            state=state,
            type=type,
            event_id=event_id,
            sender_id=sender_id,
            campaign_id=campaign_id,
            contact_id=contact_id,
            since=None if since is None else since.isoformat(),
            until=None if until is None else until.isoformat(),
            limit=limit,
        )

    @call
    def delivery(self, delivery_id: int) -> Ask[WholeDelivery]:
        """With what is posted, and every attempt."""
        return get(f"/webhooks/deliveries/{delivery_id}", WholeDelivery)

    @call
    def purge(
        self, *, until: datetime, webhook_id: int | None = None, idempotency_key: str | None = None
    ) -> Ask[Purged]:
        """Forget what was made before and is delivered or given up: of one endpoint, or all."""
        body = given(until=until.isoformat(), webhook_id=webhook_id)
        return write("POST", "/webhooks/deliveries/purge", Purged, json=body, key=idempotency_key)

    @call
    def statistics(self, webhook_id: int | None = None, *, since: datetime | None = None) -> Ask[WebhookStatistics]:
        """Of one endpoint, or of all; the last 24 hours where nothing else is said."""
        path = "/webhooks/statistics" if webhook_id is None else f"/webhooks/{webhook_id}/statistics"
        return get(path, WebhookStatistics, since=None if since is None else since.isoformat())

    @call
    def replay(self, delivery_id: int, *, idempotency_key: str | None = None) -> Ask[Delivery]:
        """One delivery again, with the same `webhook-id`."""
        return write("POST", f"/webhooks/deliveries/{delivery_id}/replay", Delivery, key=idempotency_key)

    @call
    def count_replay(
        self,
        webhook_id: int,
        *,
        state: str | None = "failed",
        type: str | None = None,
        sender_id: int | None = None,
        campaign_id: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Ask[ReplayCount]:
        """How many `replay_all` would make again."""
        body = _sought(state, type, sender_id, campaign_id, since, until)
        return Ask("POST", f"/webhooks/{webhook_id}/replays/count", ReplayCount.model_validate, json=body)

    @call
    def replay_all(
        self,
        webhook_id: int,
        *,
        state: str | None = "failed",
        type: str | None = None,
        sender_id: int | None = None,
        campaign_id: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        rate: float | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[WebhookReplay]:
        """Those deliveries of one endpoint again that all of this fits; `state` None: failed ones and delivered ones.
        `rate` is how many a second."""
        body = _sought(state, type, sender_id, campaign_id, since, until) | given(rate=rate)
        return write("POST", f"/webhooks/{webhook_id}/replays", WebhookReplay, json=body, key=idempotency_key)

    @paged
    def replays(self, webhook_id: int, *, limit: int = 100) -> Pages[WebhookReplay]:
        """Newest first."""
        return pages(f"/webhooks/{webhook_id}/replays", WebhookReplay, limit=limit)

    @call
    def get_replay(self, replay_id: int) -> Ask[WebhookReplay]:
        return get(f"/webhooks/replays/{replay_id}", WebhookReplay)

    @call
    def cancel_replay(self, replay_id: int, *, idempotency_key: str | None = None) -> Ask[WebhookReplay]:
        """What was not made again yet is not."""
        return write("POST", f"/webhooks/replays/{replay_id}/cancel", WebhookReplay, key=idempotency_key)


def _sought(
    state: str | None,
    type: str | None,
    sender_id: int | None,
    campaign_id: int | None,
    since: datetime | None,
    until: datetime | None,
) -> dict[str, Any]:
    times = {"since": since and since.isoformat(), "until": until and until.isoformat()}
    return {"state": state, **given(type=type, sender_id=sender_id, campaign_id=campaign_id, **times)}
