"""The control API below /_sim: accounts, templates, contacts, faults, the clock. Reading is in `reports`."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from simulator import files, media, reports
from simulator.accounts import Account, Number
from simulator.answers import Answer, as_json
from simulator.errors import ControlError, GraphError
from simulator.graph import Graph, challenge, keep_number, keep_templates, read_template
from simulator.ledger import Inbound
from simulator.sending import LARGEST_BODY
from simulator.templates import Template
from simulator.world import World

_PLACES = 3


class Control:
    """Answers everything below /_sim/."""

    def __init__(self, world: World, graph: Graph) -> None:
        self.world = world
        self.graph = graph
        self.reports = reports.Reports(world)
        self._calls: dict[tuple[str, str], Callable[[web.Request], Awaitable[Any]]] = {
            ("GET", "accounts"): self.list_accounts,
            ("POST", "accounts"): self.put_account,
            ("GET", "templates"): self.list_templates,
            ("POST", "templates"): self.put_template,
            ("GET", "faults"): self.list_faults,
            ("POST", "faults"): self.add_fault,
            ("DELETE", "faults"): self.remove_faults,
            ("GET", "clock"): self.show_clock,
            ("POST", "clock"): self.set_clock,
            ("GET", "idle"): self.reports.idle,
            ("GET", "state"): self.reports.state,
            ("GET", "chats"): self.reports.chats,
            ("GET", "ledger/requests"): self.reports.requests,
            ("GET", "ledger/statuses"): self.reports.statuses,
            ("GET", "ledger/inbounds"): self.reports.inbounds,
            ("GET", "ledger/posts"): self.reports.posts,
            ("GET", "ledger/summary"): self.reports.summary,
            ("POST", "reset"): self.reset,
        }

    async def answer(self, request: web.Request, parts: list[str]) -> web.StreamResponse:
        """Answer one call; `parts` is its path below /_sim/."""
        try:
            return as_json(await self._called(request, parts))
        except ControlError as error:
            return Answer(orjson.dumps(error.body()), error.status)
        except GraphError as error:
            refused = ControlError(error.details or str(error.code), code=f"graph_{error.code}")
            return Answer(orjson.dumps(refused.body()), 400)

    async def _called(self, request: web.Request, parts: list[str]) -> Any:
        call = self._calls.get((request.method, "/".join(parts)))
        if call is not None:
            return await call(request)
        if parts[0] == "contacts" and len(parts) in (2, _PLACES):
            number = _digits(parts[1])
            if parts[2:] == ["say"] and request.method == "POST":
                return await self.say(request, number)
            if len(parts) == 2 and request.method == "PUT":
                return await self.override_contact(request, number)
            if len(parts) == 2 and request.method == "GET":
                return self.world.contacts.get(number).shown()
        if parts[0] == "chats" and len(parts) == 2 and request.method == "GET":
            return await self.reports.thread(request, _digits(parts[1]))
        if parts[0] == "faults" and len(parts) == 2 and request.method == "DELETE":
            return {"removed": self.world.faults.remove(parts[1])}
        raise ControlError(f"there is no {request.method} {request.path}", code="not_found", status=404)

    async def list_accounts(self, _: web.Request) -> Any:
        return {"data": [number.settings() for number in self.world.accounts.numbers.values()]}

    async def put_account(self, request: web.Request) -> Any:
        """Add a number or change one. `verify` also asks the callback for its challenge first."""
        wanted = await body(request)
        known = {"phone_number_id", "waba_id", "display_phone_number", "late_refusals", "verify"}
        known |= set(self.world.accounts.setting_names)
        if unknown := set(wanted) - known:
            raise ControlError("unknown field", field=min(unknown))
        for name in ("phone_number_id", "waba_id"):
            if name in wanted and not (str(wanted[name]).isdigit() and len(str(wanted[name])) <= 20):
                raise ControlError("must be digits", field=name)
        url = wanted.get("callback_url")
        if url and not str(url).startswith(("http://", "https://")):
            raise ControlError("must be an http or https URL", field="callback_url")
        if url and wanted.pop("verify", False):
            await challenge(self.world, str(url), str(wanted.get("verify_token", "")))
        number = self.world.accounts.put(wanted)
        await keep_number(self.world, number)
        return number.settings()

    async def list_templates(self, _: web.Request) -> Any:
        accounts = self.world.accounts.accounts.values()
        return {"data": [{"waba_id": a.id, **t.shown()} for a in accounts for t in a.templates.values()]}

    async def put_template(self, request: web.Request) -> Any:
        """Add or replace a template in any status; `body` is short for a single BODY component. With neither body nor
        components only the status of a known one changes. Webhooks are told of a change."""
        wanted = await body(request)
        account_id = str(wanted.get("waba_id") or next(iter(self.world.accounts.accounts)))
        account = self.world.accounts.accounts.get(account_id)
        if account is None:
            raise ControlError("no such account", field="waba_id")
        status = str(wanted.get("status", "APPROVED")).upper()
        if status not in ("APPROVED", "PAUSED", "REJECTED", "PENDING", "DISABLED"):
            raise ControlError("unknown status", field="status")
        if isinstance(wanted.get("body"), str):
            wanted["components"] = [{"type": "BODY", "text": wanted["body"]}]
        wanted.setdefault("language", "en")
        before = account.templates.get((str(wanted.get("name")), str(wanted["language"])))
        if before is not None and "components" not in wanted:  # only its status changes
            wanted |= {"components": before.components, "category": before.category}
        wanted.setdefault("category", "UTILITY")
        template = read_template(account, wanted, status=status)
        await keep_templates(self.world, account)
        if before is not None and before.status != status:
            self._tell_status(account, template)
        return {"waba_id": account.id, **template.shown()}

    def _tell_status(self, account: Account, template: Template) -> None:
        """Once for each webhook of the account's numbers, as Meta tells an app once."""
        value = {
            "event": template.status,
            "message_template_id": int(template.id),
            "message_template_name": template.name,
            "message_template_language": template.language,
            "reason": "NONE",
        }
        numbers = {one.webhook_url: one for one in self.world.accounts.of_account(account.id) if one.webhook_url}
        for number in numbers.values():
            self.world.poster.notice(number, "message_template_status_update", value)

    async def override_contact(self, request: web.Request, number: str) -> Any:
        contact = self.world.contacts.get(number)
        contact.override(await body(request))
        kept = {name: getattr(contact, name) for name in contact.overridden}
        await self.world.ledger.keep("contact", number, orjson.dumps(kept).decode())
        return contact.shown()

    async def say(self, request: web.Request, contact_number: str) -> Any:
        """The contact writes now: a text, a button, media or a marketing preference."""
        wanted = await body(request)
        number = self._number(wanted)
        contact = self.world.contacts.get(contact_number)
        if not contact.on_whatsapp:
            raise ControlError("this contact is not on WhatsApp", code="not_on_whatsapp", status=409)
        said: Inbound
        if isinstance(wanted.get("text"), str) and wanted["text"]:
            said = self.world.say(number, contact, "text", {"body": wanted["text"]}, wanted["text"])
        elif wanted.get("button"):
            kind, content, text = _button(wanted["button"])
            context = str(wanted.get("context") or await self._last_wamid(number, contact_number))
            said = self.world.say(number, contact, kind, content, text, context=context)
        elif wanted.get("media"):
            said = await self._say_media(number, contact_number, wanted["media"])
        elif wanted.get("preference") in ("stop", "resume"):
            choice = str(wanted["preference"])
            said = self.world.say(number, contact, "preference", {"body": choice}, choice)
        else:
            raise ControlError("say needs a text, a button, media or a preference", field="text")
        return {
            "id": said.wamid,
            "from": contact_number,
            "to": number.id,
            "kind": said.kind,
            "text": said.text,
        }

    async def _say_media(self, number: Number, contact_number: str, wanted: Any) -> Inbound:
        wanted = wanted if isinstance(wanted, dict) else {"type": wanted}
        kind, caption, size = wanted.get("type", "image"), wanted.get("caption", ""), wanted.get("bytes", 0)
        if kind not in files.TYPES or not isinstance(caption, str):
            raise ControlError(f"media is one of {', '.join(files.TYPES)}", field="media")
        if type(size) is not int or not 0 <= size <= media.LARGEST[files.TYPES[kind].partition(";")[0]]:
            raise ControlError(f"bytes is a number that WhatsApp takes of {kind}", field="media")
        return await self.world.say_media(number, self.world.contacts.get(contact_number), kind, caption, size)

    async def _last_wamid(self, number: Number, contact_number: str) -> str:
        rows = await self.world.ledger.query(
            'SELECT wamid FROM requests WHERE "to" = ? AND phone_number_id = ? AND accepted ORDER BY seq DESC LIMIT 1',
            (contact_number, number.id),
        )
        return str(rows[0]["wamid"]) if rows else ""

    def _number(self, wanted: dict[str, Any]) -> Number:
        numbers = self.world.accounts.numbers
        number = numbers.get(str(wanted.get("to") or next(iter(numbers))))
        if number is None:
            raise ControlError("no such phone number id", field="to")
        return number

    async def list_faults(self, _: web.Request) -> Any:
        return {"data": [fault.shown() for fault in self.world.faults.all()]}

    async def add_fault(self, request: web.Request) -> Any:
        return self.world.faults.add(await body(request)).shown()

    async def remove_faults(self, _: web.Request) -> Any:
        return {"removed": self.world.faults.remove()}

    async def show_clock(self, _: web.Request) -> Any:
        clock = self.world.clock
        return {
            "now": clock.now(),
            "speed": clock.speed,
            "frozen": clock.frozen,
            "offset_s": clock.offset_s,
            "timers": clock.waiting,
            "next_due_s": clock.next_due_s(),
        }

    async def set_clock(self, request: web.Request) -> Any:
        wanted = await body(request)
        if unknown := set(wanted) - {"speed", "frozen", "advance_s"}:
            raise ControlError("unknown field", field=min(unknown))
        speed, advance = _positive(wanted, "speed"), _positive(wanted, "advance_s")
        if speed == 0:
            raise ControlError("speed must be above 0; use frozen to stop time", field="speed")
        frozen = wanted.get("frozen")
        if frozen is not None and not isinstance(frozen, bool):
            raise ControlError("frozen must be true or false", field="frozen")
        self.world.clock.set(speed=speed, frozen=frozen, advance_s=advance or 0.0)
        await self.world.keep_clock()
        return await self.show_clock(request)

    async def reset(self, _: web.Request) -> Any:
        """Empty ledger, fresh contacts, no faults. Accounts, templates and the clock stay."""
        self.world.reset()
        await self.world.ledger.clear()
        return {"reset": True}


async def body(request: web.Request) -> dict[str, Any]:
    """The JSON object of a control request."""
    if (request.content_length or 0) > LARGEST_BODY:
        raise ControlError("the body is too large", code="too_large", status=413)
    raw = await request.read()
    try:
        value = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError as error:
        raise ControlError(f"not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ControlError("the body must be a JSON object")
    return value


def _digits(number: str) -> str:
    digits = number.lstrip("+")
    if not (digits.isascii() and digits.isdigit() and 5 <= len(digits) <= 20):
        raise ControlError("a contact is a number of 5 to 20 digits", field="number")
    return digits


def _button(button: Any) -> tuple[str, dict[str, Any], str]:
    """A template's quick reply when it is a text, a reply button or list row when it has an id."""
    if isinstance(button, str):
        return "button", {"button": {"payload": button, "text": button}}, button
    if isinstance(button, dict) and isinstance(button.get("id"), str) and isinstance(button.get("title"), str):
        kind = "list_reply" if button.get("list") else "button_reply"
        reply = {"id": button["id"], "title": button["title"]}
        return "interactive", {"interactive": {"type": kind, kind: reply}}, button["title"]
    raise ControlError("button is a text or {id, title, list?}", field="button")


def _positive(wanted: dict[str, Any], name: str) -> float | None:
    value = wanted.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1e9:
        raise ControlError(f"{name} must be a number from 0", field=name)
    return float(value)
