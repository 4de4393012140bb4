"""Faults on demand: which calls and webhooks go wrong, how often, and in what way."""

from dataclasses import dataclass, field
from typing import Any

from simulator.draws import draw, happens
from simulator.errors import ControlError

BEFORE = ("error_before", "graph_error", "token_expired", "reset_before", "hang_before")
AFTER = ("error_after", "reset_after", "hang_after", "partial_answer")
WEBHOOK = (
    "webhook_lost",
    "webhook_duplicated",
    "webhook_delayed",
    "webhook_unsigned",
    "webhook_bad_signature",
)
KINDS = (*BEFORE, *AFTER, *WEBHOOK)
_MATCHES = ("to", "phone_number_id", "path", "callback_prefix", "status")
_PARAMS: dict[str, tuple[type, ...]] = {
    "code": (int,),
    "status": (int,),
    "seconds": (int, float),
    "late": (bool,),
    "copies": (int,),
    "always": (bool,),
    "details": (str,),
}


@dataclass(slots=True)
class Fault:
    """One rule. `remaining` None applies without end; `seen` counts attempts of each message key."""

    id: str
    kind: str
    match: dict[str, str]
    remaining: int | None
    probability: float | None
    params: dict[str, Any]
    applied: int = 0
    seen: dict[str, int] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """The fault as the control API shows it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "match": self.match,
            "remaining": self.remaining,
            "probability": self.probability,
            "params": self.params,
            "applied": self.applied,
        }


class Faults:
    """The rules in force. The oldest that matches and still applies wins; one fault for one call."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.calls: list[Fault] = []
        self.webhooks: list[Fault] = []
        self._made = 0

    def all(self) -> list[Fault]:
        return [*self.calls, *self.webhooks]

    def add(self, wanted: dict[str, Any]) -> Fault:
        """Put a rule in force; it is told what is wrong with it otherwise."""
        unknown = set(wanted) - {"id", "match", "kind", "count", "probability", "params"}
        if unknown:
            raise ControlError("unknown field", field=min(unknown))
        kind = wanted.get("kind")
        if kind not in KINDS:
            raise ControlError(f"kind must be one of {', '.join(KINDS)}", field="kind")
        self._made += 1
        count, probability = _how_often(wanted)
        fault = Fault(
            id=str(wanted.get("id") or f"f{self._made}"),
            kind=kind,
            match=_match(wanted.get("match") or {}),
            remaining=count,
            probability=probability,
            params=_params(wanted.get("params") or {}),
        )
        (self.webhooks if kind in WEBHOOK else self.calls).append(fault)
        return fault

    def remove(self, fault_id: str = "") -> int:
        """Take one rule, or all of them, out of force; answers how many."""
        before = len(self.all())
        self.calls = [f for f in self.calls if fault_id and f.id != fault_id]
        self.webhooks = [f for f in self.webhooks if fault_id and f.id != fault_id]
        return before - len(self.all())

    def clear(self) -> None:
        """No rules, and ids start from the beginning, so that draws repeat."""
        self.remove()
        self._made = 0

    def on_call(self, *, path: str, number: str, to: str = "", callback: str = "", key: str = "") -> Fault | None:
        """The fault for this Graph call. A rule that names no path means the messages endpoint."""
        for fault in self.calls:
            wanted = fault.match.get("path")
            if wanted not in path if wanted else not path.endswith("/messages"):
                continue
            if self._applies(fault, number, to, callback, key or path):
                return fault
        return None

    def on_webhook(self, *, number: str, to: str, callback: str, key: str, status: str) -> Fault | None:
        """The fault for this status or inbound message (`status` is then "inbound")."""
        for fault in self.webhooks:
            wanted = fault.match.get("status")
            if (not wanted or wanted == status) and self._applies(fault, number, to, callback, f"{key}|{status}"):
                return fault
        return None

    def _applies(self, fault: Fault, number: str, to: str, callback: str, key: str) -> bool:
        match = fault.match
        if fault.remaining == 0 or match.get("phone_number_id", number) != number or match.get("to", to) != to:
            return False
        if not callback.startswith(match.get("callback_prefix", "")):
            return False
        if fault.probability is not None:
            attempt = fault.seen[key] = fault.seen.get(key, 0) + 1
            if not happens(draw(self.seed, key, fault.id, str(attempt))[0], fault.probability):
                return False
        if fault.remaining is not None:
            fault.remaining -= 1
        fault.applied += 1
        return True


def _how_often(wanted: dict[str, Any]) -> tuple[int | None, float | None]:
    count, probability = wanted.get("count"), wanted.get("probability")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ControlError("count must be a whole number from 1", field="count")
    if probability is not None:
        if isinstance(probability, bool) or not isinstance(probability, (int, float)) or not 0 <= probability <= 1:
            raise ControlError("probability must be between 0 and 1", field="probability")
        return count, float(probability)
    return (1 if count is None else count), None


def _match(match: Any) -> dict[str, str]:
    if not isinstance(match, dict):
        raise ControlError("match must be an object", field="match")
    for name, value in match.items():
        if name not in _MATCHES:
            raise ControlError(f"match knows {', '.join(_MATCHES)}", field=f"match.{name}")
        if not isinstance(value, str):
            raise ControlError("must be a text", field=f"match.{name}")
    return {name: value.lstrip("+") if name == "to" else value for name, value in match.items()}


def _params(params: Any) -> dict[str, Any]:
    if not isinstance(params, dict):
        raise ControlError("params must be an object", field="params")
    for name, value in params.items():
        if name not in _PARAMS:
            raise ControlError(f"params knows {', '.join(_PARAMS)}", field=f"params.{name}")
        kinds = _PARAMS[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ControlError("has the wrong type", field=f"params.{name}")
        if isinstance(value, (int, float)) and value < 0:
            raise ControlError("must not be negative", field=f"params.{name}")
    return params
