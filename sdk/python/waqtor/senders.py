"""WhatsApp accounts that write."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from waqtor.asking import Ask, C, Model, Pages, Resource, call, get, given, paged, pages, write

_SYNC_TIMEOUT_S = 120.0  # WhatsApp is asked page by page


class Sender(Model):
    """`state` is active, paused or blocked; `state_reason` says why."""

    id: int
    name: str
    kind: str
    phone_number_id: str
    waba_id: str
    state: str
    state_reason: str
    rate: float
    daily_cap: int | None
    conversation_cap: int | None
    jitter: float
    warm_up: dict[str, Any] | None
    tier: str | None
    quality: str | None
    checked_at: datetime | None
    created_at: datetime


class Budget(Model):
    """What is left in the moving 24 hours; None where nothing limits it."""

    messages_left: int | None
    conversations_left: int | None
    last_sent_at: datetime | None
    last_receipt_at: datetime | None


class SenderHealth(Model):
    """What WhatsApp says of the account."""

    ok: bool
    detail: str
    display_phone: str | None
    verified_name: str | None
    quality: str | None
    tier: str | None
    state: str
    budget: Budget


class TemplateProblem(Model):
    """A template that is at WhatsApp and cannot be sent from here."""

    name: str
    language: str
    message: str


class SyncedTemplates(Model):
    """Counts languages of templates."""

    created: int
    updated: int
    deleted: int
    problems: list[TemplateProblem]


class Senders(Resource[C]):
    @call
    def create(
        self,
        name: str,
        *,
        phone_number_id: str,
        waba_id: str,
        access_token: str,
        app_secret: str,
        verify_token: str,
        rate: float = 80.0,
        daily_cap: int | None = None,
        conversation_cap: int | None = None,
        jitter: float = 0.0,
        warm_up: Sequence[int] | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[Sender]:
        """Add an account of the Cloud API; `rate` is messages/s, the caps count 24 hours. Needs an admin key."""
        sent = given(
            name=name,
            phone_number_id=phone_number_id,
            waba_id=waba_id,
            access_token=access_token,
            app_secret=app_secret,
            verify_token=verify_token,
            rate=rate,
            daily_cap=daily_cap,
            conversation_cap=conversation_cap,
            jitter=jitter,
            warm_up=warm_up,
        )
        return write("POST", "/senders", Sender, json=sent, key=idempotency_key)

    @paged
    def list(self, *, name: str | None = None, limit: int = 100) -> Pages[Sender]:
        """All, or the one of exactly this name."""
        return pages("/senders", Sender, name=name, limit=limit)

    @call
    def get(self, sender_id: int) -> Ask[Sender]:
        return get(f"/senders/{sender_id}", Sender)

    @call
    def health(self, sender_id: int) -> Ask[SenderHealth]:
        """Asks WhatsApp."""
        return get(f"/senders/{sender_id}/health", SenderHealth)

    @call
    def sync_templates(self, sender_id: int) -> Ask[SyncedTemplates]:
        """Takes in the templates of the sender's WhatsApp account, as happens each hour by itself."""
        return Ask(
            "POST", f"/senders/{sender_id}/sync-templates", SyncedTemplates.model_validate, timeout_s=_SYNC_TIMEOUT_S
        )

    @call
    def change(self, sender_id: int, changes: Mapping[str, Any], *, idempotency_key: str | None = None) -> Ask[Sender]:
        """`changes` names any of rate, daily_cap, conversation_cap, jitter and warm_up; None takes a limit away. Needs
        an admin key."""
        return write("PATCH", f"/senders/{sender_id}", Sender, json=changes, key=idempotency_key)

    @call
    def replace_token(self, sender_id: int, access_token: str, *, idempotency_key: str | None = None) -> Ask[Sender]:
        """A new access token; sets the sender to work again. Needs an admin key."""
        sent = {"access_token": access_token}
        return write("PUT", f"/senders/{sender_id}/token", Sender, json=sent, key=idempotency_key)

    @call
    def pause(self, sender_id: int, *, reason: str = "", idempotency_key: str | None = None) -> Ask[Sender]:
        return write("POST", f"/senders/{sender_id}/pause", Sender, json={"reason": reason}, key=idempotency_key)

    @call
    def resume(self, sender_id: int, *, idempotency_key: str | None = None) -> Ask[Sender]:
        return write("POST", f"/senders/{sender_id}/resume", Sender, key=idempotency_key)
