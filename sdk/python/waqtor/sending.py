"""The kill switch: stops every message of the installation."""

from datetime import datetime

from waqtor.asking import Ask, C, Model, Resource, call, get, write


class Sending(Model):
    on: bool
    reason: str
    changed_at: datetime


class KillSwitch(Resource[C]):
    @call
    def get(self) -> Ask[Sending]:
        return get("/sending", Sending)

    @call
    def stop(self, reason: str, *, idempotency_key: str | None = None) -> Ask[Sending]:
        """No message is begun after this returns; what was begun a moment before still ends."""
        return write("PUT", "/sending", Sending, json={"on": False, "reason": reason}, key=idempotency_key)

    @call
    def start(self, reason: str = "", *, idempotency_key: str | None = None) -> Ask[Sending]:
        return write("PUT", "/sending", Sending, json={"on": True, "reason": reason}, key=idempotency_key)
