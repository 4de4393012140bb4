"""The catalogue of webhook events: what there is to ask for, and what of it an event of ours becomes.

Ours are often about many messages at once; a webhook is about one thing. Here is neither body nor address: what is
kept are ids, and `core.webhook_bodies` writes out what the endpoint may have.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from secrets import token_hex
from typing import Any, Literal, get_args

from sqlalchemy import select

from core import bulk
from core import webhook_payloads as payloads
from core.database import Tx
from core.errors import Invalid
from core.models import Campaign
from core.webhook_payloads import Payload

PersonalField = Literal["text", "phone", "name"]
PERSONAL_FIELDS: tuple[PersonalField, ...] = get_args(PersonalField)
TEST, V2_TEST = "webhook.test", "test"
_ALL: tuple[PersonalField, ...] = ("text", "phone", "name")
_WHO: tuple[PersonalField, ...] = ("phone", "name")


@dataclass(frozen=True, slots=True)
class Kind:
    """`since` is the version that first raises it, None where nothing does yet; `fields` can be asked for with it."""

    name: str
    says: str
    payload: type[Payload]
    fields: tuple[PersonalField, ...] = ()
    since: str | None = "3.0"


CATALOGUE: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("message.received", "A person wrote.", payloads.MessageData, _ALL),
        Kind("message.queued", "It waits for its turn, for the first time or again.", payloads.MessageData, _ALL),
        Kind("message.sent", "WhatsApp has the message.", payloads.MessageData, _ALL),
        Kind("message.delivered", "It arrived on the person's phone.", payloads.MessageData, _ALL),
        Kind("message.read", "The person has read it.", payloads.MessageData, _ALL),
        Kind("message.failed", "It did not go out and had no effect.", payloads.MessageData, _ALL),
        Kind("message.in_doubt", "No answer came; proof is waited for.", payloads.MessageData, _ALL),
        Kind("message.unknown", "No proof came in time: it may have arrived.", payloads.MessageData, _ALL),
        Kind("chat.read", "Somebody at work has read a chat.", payloads.ChatData, _WHO),
        Kind("media.waiting", "A person sent a file, and it is being fetched.", payloads.MediaData),
        Kind("media.stored", "A file is here.", payloads.MediaData),
        Kind("media.failed", "A file could not be fetched.", payloads.MediaData),
        Kind("media.deleted", "A file was deleted.", payloads.MediaData),
        Kind("contact.saved", "A person's entry was made or changed.", payloads.ContactData, _WHO),
        Kind("contact.opted_out", "A person does not want to be written to.", payloads.ConsentData, _WHO),
        Kind("contact.opted_in", "A person may be written to again.", payloads.ConsentData, _WHO),
        Kind("contacts.merged", "Two entries were found to be one person.", payloads.MergeData),
        Kind("contacts.parted", "That was a mistake and was undone.", payloads.MergeData),
        Kind("contacts.imported", "A part of a file of contacts was taken.", payloads.ImportData),
        Kind("segment.saved", "A segment was made or changed.", payloads.SegmentData),
        Kind("segment.deleted", "A segment was deleted.", payloads.SegmentData),
        Kind("campaign.created", "A campaign was made.", payloads.CampaignData),
        Kind("campaign.changed", "A campaign that was not launched was changed.", payloads.CampaignData),
        Kind("campaign.scheduled", "It waits for its time.", payloads.CampaignData),
        Kind("campaign.unscheduled", "It is a draft again.", payloads.CampaignData),
        Kind("campaign.launched", "It began to be sent.", payloads.CampaignData),
        Kind("campaign.paused", "It was paused, by somebody or by itself.", payloads.CampaignData),
        Kind("campaign.resumed", "It goes on.", payloads.CampaignData),
        Kind("campaign.cancelled", "It was cancelled for good.", payloads.CampaignData),
        Kind("campaign.finished", "Everybody in it has an outcome.", payloads.CampaignData),
        Kind("campaign.retried", "Those who failed are written to again.", payloads.CampaignData),
        Kind("campaign.resent", "Those of unknown outcome are written to again.", payloads.CampaignData),
        Kind("campaign.restored", "A backup was put back while it ran.", payloads.CampaignData),
        Kind("campaign.variant_chosen", "One of its variants goes to everybody else.", payloads.CampaignData),
        Kind("campaign.holding", "Its first few were written to; it is being watched.", payloads.CampaignData),
        Kind("campaign.went_on", "The first few were well; everybody else is written to.", payloads.CampaignData),
        Kind("canary.passed", "The first few were well.", payloads.CanaryData),
        Kind("canary.failed", "The first few were not well, and it stopped.", payloads.CanaryData),
        Kind("canary.overruled", "A person let it go on.", payloads.CanaryData),
        Kind("occurrence.scheduled", "A time to be sent at was set.", payloads.OccurrenceData),
        Kind("occurrence.moved", "That time was changed.", payloads.OccurrenceData),
        Kind("occurrence.running", "It is being sent.", payloads.OccurrenceData),
        Kind("occurrence.finished", "It was sent.", payloads.OccurrenceData),
        Kind("occurrence.missed", "It was not sent when it was due.", payloads.OccurrenceData),
        Kind("occurrence.cancelled", "It will not be sent.", payloads.OccurrenceData),
        Kind("recipients.planned", "A part of an audience was planned.", payloads.PlannedData),
        Kind("recipients.skipped", "Some will not be written to.", payloads.SkippedData),
        Kind("sender.moved", "A sender came to a state, or was changed.", payloads.SenderData),
        Kind("template.saved", "A template was made or changed.", payloads.TemplateData),
        Kind("template.pending", "Meta looks at it.", payloads.TemplateData),
        Kind("template.approved", "Meta lets it go.", payloads.TemplateData),
        Kind("template.rejected", "Meta refused it.", payloads.TemplateData),
        Kind("template.paused", "Meta paused it.", payloads.TemplateData),
        Kind("template.disabled", "Meta disabled it.", payloads.TemplateData),
        Kind("template.archived", "Meta archived it.", payloads.TemplateData),
        Kind("template.deleted", "It is gone at Meta.", payloads.TemplateData),
        Kind("template.removed", "It was removed here.", payloads.TemplateData),
        Kind("switch.turned", "All sending was switched off, or on again.", payloads.SwitchData),
        Kind("api_key.moved", "An API key was made or revoked.", payloads.KeyData),
        Kind("notification.new", "People at work were told something.", payloads.NotificationData),
        Kind("webhook.created", "An endpoint was registered.", payloads.WebhookData),
        Kind("webhook.changed", "An endpoint was changed.", payloads.WebhookData),
        Kind("webhook.rotated", "It has a new secret.", payloads.WebhookData),
        Kind("webhook.enabled", "It is told again.", payloads.WebhookData),
        Kind("webhook.failing", "It has failed for long, and may be disabled.", payloads.WebhookData),
        Kind("webhook.exhausted", "It did not take something in all tries; once an hour.", payloads.WebhookData),
        Kind("webhook.secret_expiring", "Its old secret ends within twelve hours.", payloads.WebhookData),
        Kind("webhook.recovered", "It answers again.", payloads.WebhookData),
        Kind("webhook.disabled", "It is told no more, by somebody or by itself.", payloads.WebhookData),
        Kind("webhook.removed", "It was removed.", payloads.WebhookData),
        Kind(TEST, "Somebody tries the endpoint. It goes there whatever is asked for.", payloads.TestData),
        Kind("message_received", "As 2.3.0: a person wrote.", payloads.V2MessageReceived, _ALL),
        Kind("message_sent", "As 2.3.0: WhatsApp has the message.", payloads.V2MessageSent, _ALL),
        Kind("campaign_executed", "As 2.3.0: a campaign began to be sent.", payloads.V2Campaign),
        Kind("campaign_completed", "As 2.3.0: a campaign is finished.", payloads.V2Campaign),
        Kind("client_connected", "As 2.3.0: a sender works.", payloads.V2Client),
        Kind("client_disconnected", "As 2.3.0: a sender does not work.", payloads.V2ClientGone),
        Kind("smartbot_reply", "As 2.3.0: the bot answered.", payloads.V2SmartbotReply, _ALL, since=None),
        Kind("session_qr", "As 2.3.0: there is a code to link a phone by.", payloads.V2SessionQr, since=None),
    )
}
_STAGES = ("sent", "delivered", "read")
_REPEATED = ("message.queued", "message.in_doubt")
_WITH_REASON = ("message.queued", "message.failed", "message.in_doubt", "message.unknown")
_OF_CAMPAIGNS = ("campaign.", "canary.", "occurrence.", "recipients.")
_V2 = {
    "message.received": "message_received",
    "campaign.launched": "campaign_executed",
    "campaign.finished": "campaign_completed",
}
_NOBODYS = ("notification.read", "notification.unread", "notification.dismissed", "notification.withdrawn")


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened, to be told to whoever asks for its type. `id` is what receivers know it by: the stage of
    a message that is reported twice has the same. `data` are ids and codes; `chat` is what it keeps its order in."""

    type: str
    data: Mapping[str, Any]
    id: str = field(default_factory=lambda: f"evt_{token_hex(16)}")
    sender_id: int | None = None
    campaign_id: int | None = None
    contact_id: int | None = None
    chat: str = ""


def trial(webhook_id: int, form: str, *, at: datetime) -> Fact:
    """What is posted to see whether an endpoint works."""
    message = "This is a test webhook from WaQtor"
    if form == "v2":
        return Fact(V2_TEST, {"message": message, "timestamp": iso_v2(at)})
    return Fact(TEST, {"webhook_id": webhook_id, "message": message})


def check_events(patterns: Sequence[str]) -> list[str]:
    """What an endpoint may ask for: types, `message.*`, `*`; without doubles. Raises `Invalid`."""
    areas = {name.split(".")[0] for name in CATALOGUE if "." in name}
    for one in patterns:
        if one in CATALOGUE or one == "*" or (one.endswith(".*") and one[:-2] in areas):
            continue
        raise Invalid(
            f"There is no event {one[:60]!r}.",
            field="events",
            hint="GET /api/v3/webhooks/events lists them; `message.*` asks for all about messages, `*` for all.",
        )
    if not patterns:
        raise Invalid("An endpoint asks for at least one event.", field="events", hint='All: ["*"].')
    return list(dict.fromkeys(patterns))


def wants(patterns: Collection[str], type: str) -> bool:
    """The events of 2.3.0 are in no wildcard: they tell again what others tell."""
    if type in patterns:
        return True
    area, dot, _ = type.partition(".")
    return bool(dot) and ("*" in patterns or f"{area}.*" in patterns)


def passes(fact: Fact, sender_ids: Collection[int] | None, campaign_ids: Collection[int] | None) -> bool:
    """What is about no sender, or no campaign, does not pass where some are named."""
    return (sender_ids is None or fact.sender_id in sender_ids) and (
        campaign_ids is None or fact.campaign_id in campaign_ids
    )


def possible(type: str, data: Mapping[str, Any]) -> frozenset[str]:
    """The types that an event of ours may become, without asking anything of the database."""
    if type == "messages.moved":
        return frozenset(_stages(data["state"]))
    if type == "messages.receipts":
        reached = max((at for at, stage in enumerate(_STAGES) if data[stage]), default=-1)
        told = {f"message.{stage}" for stage in _STAGES[: reached + 1]}
        return frozenset(
            told | ({"message_sent"} if told else set()) | ({"message.failed"} if data["failed"] else set())
        )
    if type in _NOBODYS:
        return frozenset()
    return frozenset(one for one in (type, _as_v2(type, data)) if one)


def _as_v2(type: str, data: Mapping[str, Any]) -> str | None:
    if type == "sender.moved":
        if data["reason"] == "changed":
            return None
        return "client_connected" if data["state"] == "active" else "client_disconnected"
    return _V2.get(type)


async def facts_of(
    tx: Tx, type: str, data: Mapping[str, Any], *, types: Collection[str], at: datetime
) -> Sequence[Fact]:
    """What an event of ours becomes of these types, of those that are `possible`."""
    if type in ("messages.moved", "messages.receipts", "message.received"):
        return await _of_messages(tx, type, data, types)
    if type.startswith(_OF_CAMPAIGNS):
        return await _of_campaign(tx, type, data, types, at)
    facts = []
    if type in types:
        facts.append(_of_one(type, data))
    if (old := _as_v2(type, data)) and old in types:
        facts.append(Fact(old, _client(old, data, at), sender_id=data["sender_id"]))
    return facts


def _of_one(type: str, data: Mapping[str, Any]) -> Fact:
    sender_id, contact_id = data.get("sender_id"), data.get("contact_id")
    kept = {name: value for name, value in data.items() if name not in ("permission", *_in_the_name(type))}
    chat = f"{sender_id}:{contact_id}" if sender_id is not None and contact_id is not None else ""
    return Fact(type, kept, sender_id=sender_id, contact_id=contact_id, chat=chat)


def _in_the_name(type: str) -> tuple[str, ...]:
    """What the type of the event says already."""
    return () if type == "api_key.moved" else ("what",)


def _client(type: str, data: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    told = {"timestamp": iso_v2(at), "clientId": str(data["sender_id"])}
    if type == "client_connected":
        return {"status": "ready", **told}
    return {"status": "disconnected", "reason": data["reason"] or data["state"], **told}


def iso_v2(moment: datetime) -> str:
    """As JavaScript writes a time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _of_campaign(
    tx: Tx, type: str, data: Mapping[str, Any], types: Collection[str], at: datetime
) -> Sequence[Fact]:
    campaign_id = data["campaign_id"]
    sender_id = (await tx.execute(select(Campaign.sender_id).where(Campaign.id == campaign_id))).scalar()
    facts = []
    if type in types:
        told = {**data, "sender_id": sender_id}
        told.pop("what", None)
        facts.append(Fact(type, told, sender_id=sender_id, campaign_id=campaign_id))
    if (old := _V2.get(type)) and old in types:
        status = "completed" if old == "campaign_completed" else "running"
        told = {"id": campaign_id, "status": status, "timestamp": iso_v2(at)}
        facts.append(Fact(old, told, sender_id=sender_id, campaign_id=campaign_id))
    return facts


async def _of_messages(tx: Tx, type: str, data: Mapping[str, Any], types: Collection[str]) -> Sequence[Fact]:
    """Each stage of each message once: a stage that WhatsApp left out is told with the next."""
    stages: dict[int, list[str]] = {}
    if type == "message.received":
        stages[data["message_id"]] = ["message.received", "message_received"]
    elif type == "messages.moved":
        for message_id in data["message_ids"]:
            stages[message_id] = list(_stages(data["state"]))
    else:
        for stage in (*_STAGES, "failed"):
            for message_id in data[stage]:
                stages[message_id] = list(_stages(stage))
    rows = await bulk.run(
        tx,
        f"""
        SELECT m.id, m.sender_id, m.contact_id, m.recipient_id, m.reason, m.attempts, m.at, r.campaign_id
        FROM messages m LEFT JOIN recipients r ON r.id = m.recipient_id
        WHERE m.id {bulk.in_ids(tx)} ORDER BY m.id
        """,
        ids=bulk.ids(sorted(stages)),
    )
    facts = []
    for row in rows:
        told = {
            "message_id": row.id,
            "sender_id": row.sender_id,
            "contact_id": row.contact_id,
            "campaign_id": row.campaign_id,
            "recipient_id": row.recipient_id,
        }
        for one in stages[row.id]:
            if one in types:
                facts.append(
                    Fact(
                        one,
                        {**told, "reason": row.reason} if one in _WITH_REASON else told,
                        id=_stage_id(one, row.id, row.at),
                        sender_id=row.sender_id,
                        campaign_id=row.campaign_id,
                        contact_id=row.contact_id,
                        chat=f"{row.sender_id}:{row.contact_id}",
                    )
                )
    return facts


def _stages(state: str) -> Sequence[str]:
    if state not in _STAGES:
        return (f"message.{state}",)
    reached = _STAGES.index(state) + 1
    return ("message.sent", "message_sent", *(f"message.{one}" for one in _STAGES[1:reached]))


def _stage_id(type: str, message_id: int, at: object) -> str:
    """`at` is when it was last tried: another try, or another message that has this id after a backup was put back,
    is another fact."""
    if type in _REPEATED:
        return f"evt_{token_hex(16)}"
    return f"evt_{blake2b(f'{type}:{message_id}:{at}'.encode(), digest_size=16).hexdigest()}"
