"""What a message says. One tagged union, stored as JSON and handed to a connector as it is."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

MAX_TEXT = 4096
MAX_CAPTION = 1024


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # errors are logged


class Text(_Part):
    type: Literal["text"] = "text"
    body: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class Media(_Part):
    """`media_id` is that of a file of ours, or `link` is where WhatsApp fetches it. `handle` is WhatsApp's id of our
    file, known when it is handed over."""

    type: Literal["image", "video", "audio", "document", "sticker"]
    media_id: int | None = None
    link: str | None = None
    handle: str | None = None
    caption: Annotated[str, Field(max_length=MAX_CAPTION)] | None = None
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


class Header(_Part):
    """A picture, video or document above a template's text: a file of ours, or one that WhatsApp fetches."""

    type: Literal["image", "video", "document"]
    media_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    link: Annotated[str, Field(max_length=2000, pattern=r"^https?://[^\s/]+\S*$")] | None = None
    filename: Annotated[str, Field(min_length=1, max_length=240)] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.media_id is None) == (self.link is None):
            raise ValueError("a header has a media_id or a link, and not both")
        if self.filename is not None and self.type != "document":
            raise ValueError("only a document has a filename")
        return self


class Parameter(_Part):
    """A value of Meta's template outside its text; `index` is that of its button, `name` Meta's where it has one."""

    place: Literal["header", "url", "copy_code"]
    index: int = 0
    name: str | None = None
    value: str


class Template(_Part):
    """A template approved at Meta. `text` is what the person reads, kept for the chat view. `parameter_names` are
    Meta's where the template has named ones; without them the parameters go by their place. `handle` is WhatsApp's
    id of the header's file, known when it is handed over."""

    type: Literal["template"] = "template"
    name: str
    language: str
    parameters: tuple[str, ...] = ()
    parameter_names: tuple[str, ...] = ()
    header: Header | None = None
    slots: tuple[Parameter, ...] = ()
    text: str = ""
    handle: str | None = None


class Other(_Part):
    """Inbound only: a kind we keep but cannot read yet."""

    type: Literal["other"] = "other"
    kind: str


Content = Annotated[
    Text | Media | Location | Reaction | Contacts | Buttons | Template | Other, Field(discriminator="type")
]
content_adapter: TypeAdapter[Content] = TypeAdapter(Content, config=ConfigDict(hide_input_in_errors=True))


def media_of(content: Content) -> tuple[int, str] | None:
    """The file of ours that goes with it, and as what."""
    carrier = content.header if isinstance(content, Template) else content if isinstance(content, Media) else None
    return None if carrier is None or carrier.media_id is None else (carrier.media_id, carrier.type)


def handed(content: Content, handles: Mapping[int, str]) -> Content:
    """With WhatsApp's id of its file, by ours, where it has one."""
    file = media_of(content) if handles else None
    return content if file is None else content.model_copy(update={"handle": handles[file[0]]})


def stored(content: Content) -> dict[str, object]:
    """As it is kept in `messages`."""
    if isinstance(content, Template):  # the hot case, without a serializer
        return {
            "type": "template",
            "name": content.name,
            "language": content.language,
            "parameters": content.parameters,
            "parameter_names": content.parameter_names,
            "header": content.header and content.header.model_dump(exclude_none=True),
            "text": content.text,
        }
    return content.model_dump(mode="json")
