"""Messages with `{name}` variables, in one language or several."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from waqtor.asking import Ask, C, Model, Order, Pages, Resource, call, get, given, paged, pages, write


class Variant(Model):
    """The same message in another language."""

    language: str
    body: str
    defaults: dict[str, str]
    header: dict[str, Any] | None
    slots: dict[str, str]
    status: str | None


class Template(Model):
    """`cloud_name` is the name of the template at Meta, `status` what Meta said of it last. `slots` are the variables
    of what it wants filled in outside its text: {"button_1": "order_path"}."""

    id: int
    name: str
    body: str
    language: str
    defaults: dict[str, str]
    cloud_name: str | None
    variables: list[str]
    header: dict[str, Any] | None
    slots: dict[str, str]
    variants: list[Variant]
    category: str
    status: str | None
    waba_id: str | None
    synced_at: datetime | None
    created_at: datetime


class Preview(Model):
    """`missing` are variables without a value: such a person would be skipped. `heading` and `buttons` stand around
    the text of Meta's template."""

    text: str
    language: str
    variables: list[str]
    missing: list[str]
    parameters: list[str]
    header: dict[str, Any] | None
    heading: str
    buttons: list[str]


class Templates(Resource[C]):
    @call
    def create(
        self,
        name: str,
        body: str,
        *,
        language: str = "en",
        defaults: Mapping[str, str] | None = None,
        cloud_name: str | None = None,
        header: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[Template]:
        """`header` is a picture, video or document above the text: {"type": "image", "link": "https://…"}, or with
        the `media_id` of an uploaded file."""
        sent = given(
            name=name,
            body=body,
            language=language,
            defaults=dict(defaults or {}),
            cloud_name=cloud_name,
            header=None if header is None else dict(header),
        )
        return write("POST", "/templates", Template, json=sent, key=idempotency_key)

    @paged
    def list(self, *, name: str | None = None, order: Order = "oldest", limit: int = 100) -> Pages[Template]:
        """All, or the one of exactly this name. `order` is oldest or newest: what comes first."""
        return pages("/templates", Template, name=name, order=order, limit=limit)

    @call
    def get(self, template_id: int) -> Ask[Template]:
        return get(f"/templates/{template_id}", Template)

    @call
    def change(
        self, template_id: int, changes: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Ask[Template]:
        """`changes` names any of name, body, defaults, header, of one of Meta's slots, of one made by hand language and
        cloud_name. Refused while a campaign sends it."""
        return write("PATCH", f"/templates/{template_id}", Template, json=changes, key=idempotency_key)

    @call
    def delete(self, template_id: int, *, idempotency_key: str | None = None) -> Ask[Template]:
        """Only one that no campaign has used. At WhatsApp nothing is deleted."""
        return write("DELETE", f"/templates/{template_id}", Template, key=idempotency_key)

    @call
    def save_variant(
        self, template_id: int, language: str, changes: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Ask[Template]:
        """Add the message in another language, or change it there: any of body, defaults, header and slots."""
        path = f"/templates/{template_id}/variants/{language}"
        return write("PUT", path, Template, json=changes, key=idempotency_key)

    @call
    def delete_variant(self, template_id: int, language: str, *, idempotency_key: str | None = None) -> Ask[Template]:
        return write("DELETE", f"/templates/{template_id}/variants/{language}", Template, key=idempotency_key)

    @call
    def preview(self, template_id: int, values: Mapping[str, str]) -> Ask[Preview]:
        """What a person with these values would read."""
        return Ask("POST", f"/templates/{template_id}/preview", Preview.model_validate, json={"values": dict(values)})

    @call
    def preview_for(self, template_id: int, contact_id: int | None = None) -> Ask[Preview]:
        """What this contact would read, in their language; without one, the template with its defaults."""
        return get(f"/templates/{template_id}/preview", Preview, contact_id=contact_id)

    @call
    def preview_draft(
        self, body: str, *, defaults: Mapping[str, str] | None = None, values: Mapping[str, str] | None = None
    ) -> Ask[Preview]:
        """What a person would read of a message that is not saved."""
        sent = {"body": body, "defaults": dict(defaults or {}), "values": dict(values or {})}
        return Ask("POST", "/templates/preview", Preview.model_validate, json=sent)
