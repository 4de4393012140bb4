"""What kinds of values contacts have under which names."""

from waqtor.asking import Ask, C, Model, Resource, call, write


class Attribute(Model):
    """`kind` is text, number, date or boolean."""

    name: str
    kind: str


class Attributes(Resource[C]):
    @call
    def list(self) -> Ask[list[Attribute]]:
        """All, by name."""
        return Ask("GET", "/attributes", lambda answer: [Attribute.model_validate(one) for one in answer["data"]])

    @call
    def declare(self, name: str, kind: str, *, idempotency_key: str | None = None) -> Ask[Attribute]:
        """Say how its values are checked, written and compared."""
        return write("PUT", f"/attributes/{name}", Attribute, json={"kind": kind}, key=idempotency_key)
