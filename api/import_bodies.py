"""What a file of contacts is sent with, and how it is shown."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field, RootModel

from api.bodies import Body, Shown
from api.deps import Str

SHOWN = 100
SAMPLE = 20


class RejectedOut(Shown):
    """A row that was not taken, and why."""

    row: int = Field(description="Counted from 1 below the heading.", examples=[3])
    field: str = Field(examples=["phone"])
    message: str = Field(examples=["No such number exists in its country."])


def _at_midnight(given: object) -> object:
    return f"{given}T00:00:00Z" if isinstance(given, str) and len(given) == len("2026-01-31") else given


class Consent(Body):
    """That the people in a file agreed to be written to: the evidence that is kept with each of them."""

    source: Annotated[Str, Field(min_length=1, max_length=200)] = Field(examples=["Order form on shop.example"])
    wording: Annotated[Str, Field(min_length=1, max_length=1000)] = Field(
        description="To what they agreed, word by word.", examples=["Send me offers over WhatsApp."]
    )
    given_at: Annotated[AwareDatetime, BeforeValidator(_at_midnight)] = Field(
        description="When: a date, or a moment with its zone.", examples=["2026-01-31"]
    )
    purpose: Annotated[Str, Field(min_length=1, max_length=40)] = Field(default="marketing")


class Mapping(RootModel[dict[Str, Str]]):
    """Column to place."""


class ImportOut(Shown):
    """One file of contacts and what became of its rows."""

    id: int = Field(examples=[1])
    filename: str = Field(examples=["customers.csv"])
    format: str = Field(description="csv, xlsx or json.", examples=["csv"])
    state: str = Field(description="running, finished, or failed where the rest could not be read.")
    rows: int = Field(description="Taken or not taken so far.", examples=[1000])
    total: int | None = Field(description="How many there are; null until or where that is not known.", examples=[1000])
    created: int = Field(examples=[962])
    updated: int = Field(examples=[35])
    rejected: int = Field(examples=[3])
    mapping: dict[str, str] = Field(examples=[{"Mobile": "phone"}])
    country: str | None = Field(description="In which numbers without a + were read.", examples=["SA"])
    tags: list[str] = Field(description="Given to everybody in it.", examples=[["autumn"]])
    consent: dict[str, str] | None = Field(description="The evidence that was given with the file.")
    created_at: datetime
    finished_at: datetime | None


class ImportReport(ImportOut):
    """With rows that were not taken."""

    reason: str | None = Field(default=None, description="Why it failed.", examples=["The file is not UTF-8 text."])
    report: list[RejectedOut] = Field(description=f"The first {SHOWN}; all of them: `/imports/{{import_id}}/rejected`.")


class SampleOut(Shown):
    """A person as read from a row."""

    phone: str = Field(examples=["+966501234567"])
    name: str = Field(examples=["نورة"])
    language: str | None
    tags: list[str]
    attributes: dict[str, str]
    opted_out: bool


class ImportPreview(Shown):
    """What a file would come to."""

    format: str = Field(examples=["xlsx"])
    columns: dict[str, str] = Field(
        description="Where each column goes; to nothing where empty.",
        examples=[{"Mobile": "phone", "City": "attributes.City"}],
    )
    rows: int = Field(description="Of the file's first rows so many were looked at.", examples=[1000])
    rejected: int = Field(description="So many of them would not be taken.", examples=[3])
    sample: list[SampleOut] = Field(description=f"The first {SAMPLE} who would be taken.")
    report: list[RejectedOut] = Field(description=f"The first {SHOWN} rows that would not.")


_FIELDS: dict[str, Any] = {
    "file": {"type": "string", "format": "binary", "description": "CSV (UTF-8), XLSX or JSON"},
    "mapping": {
        "type": "string",
        "description": "JSON: where columns go that are not named as here.",
        "example": '{"Mobile": "phone", "Full name": "name", "City": "attributes.city", "Groups": "tags"}',
    },
    "tags": {"type": "string", "description": "Given to everybody in the file; `;` between two.", "example": "autumn"},
    "country": {"type": "string", "description": "Of numbers without a +; two letters.", "example": "SA"},
    "consent": {
        "type": "string",
        "description": "JSON: source, wording, given_at and purpose (`marketing` unless given).",
        "example": '{"source": "Order form", "wording": "Send me offers over WhatsApp.", "given_at": "2026-01-31"}',
    },
}
_FORM = {"type": "object", "required": ["file"], "properties": _FIELDS}
UPLOAD = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}
