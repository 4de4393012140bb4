"""What a message says. One tagged union, stored as JSON and handed to a connector as it is."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

MAX_TEXT = 4096


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(_Part):
    type: Literal["text"] = "text"
    body: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class Media(_Part):
    """Exactly one of `media_id` (uploaded before) and `link` (fetched by WhatsApp) is set."""

    type: Literal["image", "video", "audio", "document", "sticker"]
    media_id: str | None = None
    link: str | None = None
    caption: Annotated[str, Field(max_length=1024)] | None = None
    filename: str | None = None


class Location(_Part):
    type: Literal["location"] = "location"
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    name: str | None = None
    address: str | None = None


class Reaction(_Part):
    """An empty `emoji` takes an earlier reaction back."""

    type: Literal["reaction"] = "reaction"
    provider_id: str
    emoji: str


class Card(_Part):
    name: str
    phone: str


class Contacts(_Part):
    type: Literal["contacts"] = "contacts"
    cards: Annotated[tuple[Card, ...], Field(min_length=1)]


class Buttons(_Part):
    """Up to three quick replies: id and title (20 characters at most)."""

    type: Literal["buttons"] = "buttons"
    body: Annotated[str, Field(min_length=1, max_length=1024)]
    buttons: Annotated[tuple[tuple[str, str], ...], Field(min_length=1, max_length=3)]


class Template(_Part):
    """A template approved at Meta. `text` is what the person reads, kept for the chat view."""

    type: Literal["template"] = "template"
    name: str
    language: str
    parameters: tuple[str, ...] = ()
    text: str = ""


class Other(_Part):
    """Inbound only: a kind we keep but cannot read yet."""

    type: Literal["other"] = "other"
    kind: str


Content = Annotated[
    Text | Media | Location | Reaction | Contacts | Buttons | Template | Other, Field(discriminator="type")
]
content_adapter: TypeAdapter[Content] = TypeAdapter(Content)
