"""What the `data` of each webhook event holds: the models that the schemas and the docs are written from.

Ids and codes always; what says who a person is or what was written only where the endpoint asks for it.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

_CAMPAIGN = Field(description="The campaign it belongs to.", examples=[7])
_SENDER = Field(description="The sender it went out by or came in to.", examples=[1])
_CONTACT = Field(description="The person.", examples=[77])
_REASON = Field(description="Why, as a code.", examples=["template_paused"])
_TEXT = Field(default=None, description="What it says. Only with the field `text`.", examples=["Hello"])
_PHONE = Field(default=None, description="Their number. Only with the field `phone`.", examples=["+966500000001"])
_NAME = Field(default=None, description="Their name. Only with the field `name`.", examples=["Sara"])


class Payload(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MessageData(Payload):
    """One message, at one stage of its way. `GET /api/v3/messages/{message_id}` has all of it."""

    message_id: int = Field(examples=[4711])
    sender_id: int = _SENDER
    contact_id: int | None = _CONTACT
    campaign_id: int | None = Field(description="The campaign it was sent for; null for a single one.", examples=[7])
    recipient_id: int | None = Field(description="Its row in that campaign.", examples=[90])
    reason: str | None = Field(default=None, description="Why it failed, as a code.", examples=["unreachable"])
    text: str | None = _TEXT
    phone: str | None = _PHONE
    name: str | None = _NAME


class ChatData(Payload):
    """A chat with one person."""

    sender_id: int = _SENDER
    contact_id: int = _CONTACT
    message_id: int = Field(description="Read up to this one.", examples=[4711])
    phone: str | None = _PHONE
    name: str | None = _NAME


class ContactData(Payload):
    """A person whose entry was made or changed."""

    contact_id: int = _CONTACT
    phone: str | None = _PHONE
    name: str | None = _NAME


class ConsentData(Payload):
    """A person who does not want to be written to, or does again."""

    contact_id: int = _CONTACT
    source: str = Field(description="Where that was said.", examples=["whatsapp"])
    phone: str | None = _PHONE
    name: str | None = _NAME


class MergeData(Payload):
    """Two entries of one person: `gone_id` is `kept_id` from now on, or is itself again."""

    merge_id: int = Field(examples=[3])
    kept_id: int = Field(examples=[77])
    gone_id: int = Field(examples=[78])


class ImportData(Payload):
    """A part of a file of contacts was taken."""

    import_id: int = Field(examples=[5])
    created: int = Field(examples=[480])
    updated: int = Field(examples=[15])
    rejected: int = Field(examples=[5])


class SegmentData(Payload):
    """A segment."""

    segment_id: int = Field(examples=[4])


class CampaignData(Payload):
    """A campaign. `GET /api/v3/campaigns/{campaign_id}` has all of it."""

    campaign_id: int = _CAMPAIGN
    sender_id: int | None = Field(default=None, description="The sender it goes out by.", examples=[1])
    reason: str = Field(default="", description="Why, where there is something to say.", examples=["template_paused"])


class CanaryData(Payload):
    """What became of the few who were written to first."""

    campaign_id: int = _CAMPAIGN
    sender_id: int | None = Field(default=None, description="The sender it goes out by.", examples=[1])
    people: int = Field(examples=[100])
    failed: int = Field(examples=[2])
    opted_out: int = Field(examples=[1])
    blocked: int = Field(examples=[0])
    breaches: list[str] = Field(description="The limits that were passed.", examples=[["failed"]])


class OccurrenceData(Payload):
    """One of the times a scheduled campaign is sent."""

    campaign_id: int = _CAMPAIGN
    sender_id: int | None = Field(default=None, description="The sender it goes out by.", examples=[1])
    number: int = Field(examples=[2])
    due_at: datetime
    reason: str = Field(default="", examples=["sender_paused"])


class PlannedData(Payload):
    """A part of a campaign's audience was planned."""

    campaign_id: int = _CAMPAIGN
    sender_id: int | None = Field(default=None, description="The sender it goes out by.", examples=[1])
    queued: int = Field(description="Will be written to.", examples=[480])
    skipped: int = Field(description="Will not, each for a reason.", examples=[20])


class SkippedData(Payload):
    """Recipients that will not be written to, by one reason."""

    campaign_id: int = _CAMPAIGN
    sender_id: int | None = Field(default=None, description="The sender it goes out by.", examples=[1])
    reason: str = _REASON
    recipient_ids: list[int] = Field(examples=[[90, 91]])


class MediaData(Payload):
    """A file that a person sent, or that is ours to send."""

    media_id: int = Field(examples=[12])
    reason: str = Field(default="", examples=["expired"])


class SenderData(Payload):
    """A WhatsApp account that writes, and its state now."""

    sender_id: int = _SENDER
    state: str = Field(description="active, paused, blocked or suspect.", examples=["paused"])
    reason: str = Field(default="", examples=["token_expired"])


class TemplateData(Payload):
    """A template; `language` is empty where it is about all of them."""

    template_id: int = Field(examples=[2])
    language: str = Field(default="", examples=["ar"])


class SwitchData(Payload):
    """The kill switch."""

    name: str = Field(examples=["sending"])
    is_on: bool
    reason: str = Field(default="", examples=["wrong price in the text"])


class KeyData(Payload):
    """An API key was made or revoked."""

    api_key_id: int = Field(examples=[3])
    what: str = Field(examples=["revoked"])


class NotificationData(Payload):
    """Something people at work are told."""

    notification_id: int = Field(examples=[41])


class WebhookData(Payload):
    """An endpoint of webhooks. With `webhook.failing` the reason is how far it is on the way to being disabled, in
    percent; with `webhook.secret_expiring` the time at which the old secret ends."""

    webhook_id: int = Field(examples=[1])
    reason: str = Field(default="", examples=["50"])


class TestData(Payload):
    """Nothing happened: somebody looks whether the endpoint works."""

    webhook_id: int = Field(examples=[1])
    message: str = Field(examples=["This is a test webhook from WaQtor"])


# ---- as version 2.3.0 wrote them ----------------------------------------------------------------------------


class V2MessageReceived(Payload):
    """`from`, `to` and `body` are null where the endpoint does not ask for the fields `phone` and `text`."""

    id: str = Field(description="The message's id in the REST interface.", examples=["4711"])
    from_: str | None = Field(alias="from", description="Their number.", examples=["966500000001@c.us"])
    to: str = Field(description="Our number, as WhatsApp's id of it.", examples=["100000000000001"])
    body: str | None = Field(examples=["Hello"])
    type: str = Field(description="chat, image, video, audio, document, sticker, location, …", examples=["chat"])
    timestamp: int = Field(description="Seconds since 1970.", examples=[1795460400])
    hasMedia: bool  # noqa: N815  # the wire's name
    isForwarded: bool = Field(description="Always false: WaQtor 3 does not know.")  # noqa: N815
    fromMe: bool  # noqa: N815


class V2MessageSent(Payload):
    """`to` and `body` are null where the endpoint does not ask for the fields `phone` and `text`."""

    id: str = Field(description="The message's id in the REST interface.", examples=["4711"])
    to: str | None = Field(examples=["966500000001@c.us"])
    body: str | None = Field(examples=["Hello"])
    ack: int = Field(description="Always 1: WhatsApp has it.", examples=[1])
    timestamp: int = Field(description="Seconds since 1970.", examples=[1795460400])


class V2Campaign(Payload):
    """A campaign. 2.3.0 listed the event and never raised it, so this form is ours."""

    id: int = Field(examples=[7])
    status: str = Field(examples=["running"])
    timestamp: datetime


class V2Client(Payload):
    """A sender that works, or does not."""

    status: str = Field(examples=["ready"])
    timestamp: datetime
    clientId: str = Field(description="The sender's id; new in 3.", examples=["1"])  # noqa: N815


class V2ClientGone(V2Client):
    """A sender that does not work, and why."""

    reason: str = Field(examples=["token_expired"])


class V2SmartbotReply(Payload):
    """The bot answered. 2.3.0 listed the event and never raised it, so this form is ours."""

    to: str | None = Field(examples=["966500000001@c.us"])
    trigger: str | None
    response: str | None
    timestamp: datetime


class V2SessionQr(Payload):
    """A code to link a phone by."""

    qr: str
    timestamp: datetime
