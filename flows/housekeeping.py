"""What is kept for a time only, and forgotten after it; of secrets somebody is told before."""

from datetime import timedelta

from prefect import flow

from core import (
    bus,
    delivery_pruning,
    handshakes,
    health,
    idempotency,
    inbox,
    notifications,
    protected_pages,
    signins,
    template_sync,
    throttles,
    webhook_secrets,
)
from flows import runtime


@flow(name="housekeeping", flow_run_name="housekeeping")
async def housekeeping() -> dict[str, int]:
    """Forget old events, webhooks both ways, notifications, used idempotency keys and ended sign-ins; outcomes
    stay. Tell who has to know of secrets that end."""
    async with runtime.opened() as platform:
        settings = platform.settings
        async with platform.database.reading() as tx:
            now = await platform.clock.now(tx)
        return {
            "events": await bus.prune(platform.database, before=now - timedelta(days=settings.event_retention_days)),
            "inbox": await inbox.prune(platform, before=now - timedelta(days=settings.inbox_retention_days)),
            "notifications": await notifications.prune(
                platform.database, before=now - timedelta(days=settings.notification_retention_days)
            ),
            "deliveries": await delivery_pruning.prune(platform, now=now),
            "idempotency_keys": await idempotency.purge(
                platform.database, before=now - timedelta(days=settings.idempotency_days)
            ),
            "sign_ins": await signins.purge(platform.database, at=now),
            "protected_pages": await protected_pages.purge(platform.database, at=now),
            "nonces": await handshakes.purge(platform.database, at=now),
            "secrets_expiring": await webhook_secrets.tell_of_ends(platform),
            "throttles": await throttles.purge(platform.database, at=now),
        }


@flow(name="sync-templates", flow_run_name="sync templates")
async def sync_templates() -> dict[str, int]:
    """Ask WhatsApp for tier, quality and templates of every account, and take in what changed."""
    async with runtime.opened() as platform:
        unwell = await health.check_all(platform)
        return {"senders_unwell": len(unwell), **await template_sync.sync_all(platform)}
