"""What a message may say, as programs give it; ids are ours."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, model_validator

from api.bodies import Body
from api.deps import Str
from core.content import MAX_CAPTION, MAX_TEXT, Content, Location, Media, Text
from core.outgoing import Filled, ReactionTo, Wanted

_Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


class TextIn(Body):
    """Words."""

    type: Literal["text"]
    body: Annotated[Str, Field(min_length=1, max_length=MAX_TEXT)] = Field(examples=["Your order is on its way."])

    def content(self) -> Content:
        return Text(body=self.body)


class TemplateIn(Body):
    """A template of ours. What `variables` does not name comes from the person's record, then its defaults."""

    type: Literal["template"]
    template_id: _Id = Field(examples=[3])
    variables: dict[Str, Annotated[Str, Field(max_length=1024)]] = Field(default={}, examples=[{"order": "A-17"}])
    language: Annotated[Str, Field(min_length=2, max_length=20)] | None = Field(
        default=None, description="Not given: the person's.", examples=["ar"]
    )

    def content(self) -> Filled:
        return Filled(self.template_id, self.variables, self.language)


class MediaIn(Body):
    """A file: uploaded here before (`POST /api/v3/media`), or one that WhatsApp fetches from `link`."""

    type: Literal["image", "document", "audio", "video", "sticker"]
    media_id: _Id | None = Field(default=None, description="Or give `link`.", examples=[None])
    link: Annotated[Str, Field(max_length=2000, pattern=r"^https?://[^\s/]+\S*$")] | None = Field(
        default=None, description="Or give `media_id`.", examples=["https://shop.example/receipt.pdf"]
    )
    caption: Annotated[Str, Field(max_length=MAX_CAPTION)] | None = Field(
        default=None, description="Of an image, video or document.", examples=["Your receipt"]
    )
    filename: Annotated[Str, Field(max_length=240)] | None = Field(
        default=None, description="Of a document. Not given: as it was uploaded.", examples=["receipt.pdf"]
    )

    @model_validator(mode="after")
    def _fits_its_type(self) -> "MediaIn":
        if (self.media_id is None) == (self.link is None):
            raise ValueError("a file has a media_id or a link, and not both")
        if self.caption is not None and self.type in ("audio", "sticker"):
            raise ValueError(f"{self.type} has no caption")
        if self.filename is not None and self.type != "document":
            raise ValueError("only a document has a filename")
        return self

    def content(self) -> Content:
        return Media(
            type=self.type, media_id=self.media_id, link=self.link, caption=self.caption, filename=self.filename
        )


class LocationIn(Body):
    """A place."""

    type: Literal["location"]
    latitude: Annotated[float, Field(ge=-90, le=90)] = Field(examples=[24.7136])
    longitude: Annotated[float, Field(ge=-180, le=180)] = Field(examples=[46.6753])
    name: Annotated[Str, Field(max_length=1000)] | None = Field(default=None, examples=["Our shop"])
    address: Annotated[Str, Field(max_length=1000)] | None = Field(default=None, examples=["King Fahd Road, Riyadh"])

    def content(self) -> Content:
        return Location(latitude=self.latitude, longitude=self.longitude, name=self.name, address=self.address)


class ReactionIn(Body):
    """An emoji on a message of the same chat; an empty one takes it back."""

    type: Literal["reaction"]
    message_id: _Id = Field(examples=[12])
    emoji: Annotated[Str, Field(max_length=16)] = Field(examples=["👍"])

    def content(self) -> ReactionTo:
        return ReactionTo(self.message_id, self.emoji)


ContentIn = Annotated[TextIn | TemplateIn | MediaIn | LocationIn | ReactionIn, Field(discriminator="type")]


class MessageIn(Body):
    """One message to one person."""

    sender_id: _Id = Field(examples=[1])
    to: Annotated[Str, Field(min_length=1, max_length=40)] | None = Field(
        default=None,
        description="A number; who is new becomes a contact. Or give `contact_id`.",
        examples=["+966501234567"],
    )
    contact_id: _Id | None = Field(default=None, description="Or give `to`.", examples=[None])
    content: ContentIn = Field(examples=[{"type": "text", "body": "Your order is on its way."}])
    purpose: Annotated[Str, Field(min_length=1, max_length=40)] = Field(
        default="service",
        description="What for. `service`, `utility` and `authentication` need no consent; for anything else the person "
        "must have agreed to it, as in a campaign.",
        examples=["service"],
    )
    reply_to: _Id | None = Field(default=None, description="The message it answers, of the same chat.", examples=[None])
    not_before: AwareDatetime | None = Field(default=None, description="Not given: now.", examples=[None])
    expires_at: AwareDatetime | None = Field(
        default=None,
        description="What has not left by then fails as `expired`. Not given: it waits as long as it must.",
        examples=["2026-12-01T18:00:00Z"],
    )

    def wanted(self) -> Wanted:
        return Wanted(
            sender_id=self.sender_id,
            content=self.content.content(),
            phone=self.to,
            contact_id=self.contact_id,
            purpose=self.purpose,
            not_before=self.not_before,
            expires_at=self.expires_at,
            reply_to=self.reply_to,
        )
