"""What the dashboard is measured on: people, a campaign to all of them with its receipts, their chats. All straight
into the tables: what is measured is the looking."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import text

from bench import plan
from connectors import choose
from core.bootstrap import Platform, build
from core.database import Tx, is_postgres
from core.passwords import Passwords
from core.settings import Settings
from core.users import invite, use_link
from waqtor import Client
from waqtor.auth import Browser

_PASSWORD = "olive kettle marble 7"
_OTHERS = 15
_SENT = (
    "SELECT r.id AS n, r.contact_id, r.receipt, c.sender_id FROM recipients AS r"
    " JOIN campaigns AS c ON c.id = r.campaign_id WHERE r.state = 'sent'"
)
_ROWS = (
    "UPDATE recipients SET state = 'sent', receipt = CASE WHEN id % 3 = 0 THEN 3 ELSE 2 END, attempts = 1,"
    " sent_at = {now}, replied_at = CASE WHEN id % 10 = 0 THEN {now} END WHERE state = 'queued'",
    "UPDATE recipients SET state = 'failed', reason = 'not_on_whatsapp', receipt = 0, sent_at = NULL,"
    " replied_at = NULL WHERE id % 50 = 1 AND state = 'sent'",
    "INSERT INTO messages (client_id, provider_id, direction, sender_id, contact_id, recipient_id, address, content,"
    " state, receipt, attempts, late, at, settled_at, delivered_at, read_at) SELECT 'client-' || n, 'wamid.' || n,"
    " 'out', sender_id, contact_id, n, '+9665' || contact_id, {hello}, 'sent', receipt, 1, false, {ago}, {ago}, {ago},"
    " CASE WHEN receipt = 3 THEN {now} END FROM ({sent}) AS s",
    "INSERT INTO messages (provider_id, direction, sender_id, contact_id, address, content, state, receipt, attempts,"
    " late, at) SELECT 'wamid.in.' || n, 'in', sender_id, contact_id, '+9665' || contact_id, {thanks}, 'received', 0,"
    " 0, false, {ago} FROM ({sent}) AS s WHERE n % 10 = 0",
    "INSERT INTO chats (sender_id, contact_id, last_out_at, last_in_at, last_at, read_id) SELECT sender_id, contact_id,"
    " {ago}, CASE WHEN n % 10 = 0 THEN {ago} END, {ago}, 0 FROM ({sent}) AS s",
    "INSERT INTO contact_tags (contact_id, tag) SELECT id, CASE id % 21 WHEN 0 THEN 'vip' ELSE 'customer' END"
    " FROM contacts",
    "UPDATE campaigns SET state = 'finished', finished_at = {now}",
    "UPDATE occurrences SET state = 'finished', finished_at = {now}",
)


def prepare(settings: Settings, count: int, people: int) -> Sequence[str]:
    """`count` contacts, nearly as many recipients; returns the addresses of `people` who may sign in."""
    campaign_id = asyncio.run(plan.prepare(settings, count, is_divided=False))
    asyncio.run(plan.plan(settings, campaign_id))
    return asyncio.run(_finish(settings, people))


def entered(api_url: str, email: str) -> str:
    """The cookie of a new sign-in."""
    with Client(api_url, "") as nobody:
        return nobody.auth.sign_in_browser(email, _PASSWORD).cookie


def furnish(api_url: str, email: str) -> None:
    """What there is beside the people: as many of each with few of them as with many."""
    with Client(api_url, "") as nobody:
        said = nobody.auth.sign_in_browser(email, _PASSWORD)
    with Client(api_url, browser=Browser(cookie=said.cookie, csrf_token=said.csrf_token)) as client:
        for number in range(_OTHERS):
            made = client.templates.create(f"offer {number}", "Hello {name}", cloud_name=f"offer_{number}")
            client.campaigns.create(f"draft {number}", sender_id=1, template_id=made.id, tag="vip")
            client.notifications.create("info", f"Note {number}", "Of no weight")
        client.segments.create("important", 'tag = "vip"')


async def _finish(settings: Settings, people: int) -> Sequence[str]:
    platform = await build(settings, connectors=choose.CloudConnectors(settings), jobs=choose.jobs(settings))
    try:
        async with platform.database.transaction() as tx:
            parts = _parts(tx)
            for statement in _ROWS:
                for name, value in parts.items():
                    statement = statement.replace("{" + name + "}", value)
                await (await tx.connection()).exec_driver_sql(statement)
        async with platform.database.transaction() as tx:
            await tx.execute(text("ANALYZE"))
        return await _accounts(platform, people)
    finally:
        await platform.close()
        await platform.database.close()


def _parts(tx: Tx) -> dict[str, str]:
    json = "jsonb" if is_postgres(tx) else "text"
    return {
        "hello": f"""CAST('{{"type": "text", "body": "Hello Person ' || n || '"}}' AS {json})""",
        "thanks": f"""CAST('{{"type": "text", "body": "Thanks, says ' || n || '"}}' AS {json})""",
        "now": "CURRENT_TIMESTAMP",
        "ago": "now() - n * interval '1 s'" if is_postgres(tx) else "datetime('now', '-' || n || ' seconds')",
        "sent": _SENT,
    }


async def _accounts(platform: Platform, people: int) -> Sequence[str]:
    kept = await Passwords().hash(_PASSWORD)
    emails = [f"u{number}@example.com" for number in range(people)]
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        for email in emails:
            token = await invite(tx, role="admin", email=email, at=now)
            await use_link(tx, platform.key, token, password_hash=kept, email=None, name="Noura", at=now)
    return emails
