"""Messages with `{name}` variables."""

from collections.abc import Mapping
from datetime import datetime

from waqtor.asking import Ask, C, Model, Pages, Resource, call, get, given, paged, pages, write


class Template(Model):
    """`cloud_name` is the name of the template approved at Meta."""

    id: int
    name: str
    body: str
    language: str
    defaults: dict[str, str]
    cloud_name: str | None
    variables: list[str]
    created_at: datetime


class Preview(Model):
    text: str
    parameters: list[str]


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
        idempotency_key: str | None = None,
    ) -> Ask[Template]:
        sent = given(name=name, body=body, language=language, defaults=dict(defaults or {}), cloud_name=cloud_name)
        return write("POST", "/templates", Template, json=sent, key=idempotency_key)

    @paged
    def list(self, *, limit: int = 100) -> Pages[Template]:
        return pages("/templates", Template, limit=limit)

    @call
    def get(self, template_id: int) -> Ask[Template]:
        return get(f"/templates/{template_id}", Template)

    @call
    def preview(self, template_id: int, values: Mapping[str, str]) -> Ask[Preview]:
        """What a person with these values would read."""
        return Ask("POST", f"/templates/{template_id}/preview", Preview.model_validate, json={"values": dict(values)})
