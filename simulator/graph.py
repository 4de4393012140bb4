"""The Graph API: who calls what on which object, and the faults around each call."""

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from simulator import history, media
from simulator.accounts import Account, Number, unknown_object
from simulator.answers import Answer, as_json, gone, refusal
from simulator.errors import GraphError
from simulator.faults import AFTER, Fault
from simulator.ledger import Request
from simulator.sending import Sending, before, json_body, spoiled, trace_id
from simulator.world import World

_VERSION = re.compile(r"v(\d{1,3})\.\d{1,2}")
_CHALLENGE_TIMEOUT = aiohttp.ClientTimeout(total=10)


class Graph:
    """Answers everything below /v{NN}.{N}/."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sending = Sending(world)
        self._versions: dict[str, int] = {}
        self._number_calls: dict[tuple[str, str], Callable[..., Awaitable[web.StreamResponse]]] = {
            ("GET", ""): self.show_number,
            ("POST", ""): self.change_number,
            ("POST", "media"): self.upload,
            ("GET", "message_history"): self.message_history,
            ("POST", "register"): self.register,
            ("POST", "deregister"): self.deregister,
        }
        self._account_calls: dict[tuple[str, str], Callable[..., Awaitable[web.StreamResponse]]] = {
            ("GET", ""): self.show_account,
            ("GET", "phone_numbers"): self.list_numbers,
            ("GET", "message_templates"): self.list_templates,
            ("POST", "message_templates"): self.add_template,
            ("DELETE", "message_templates"): self.remove_template,
            ("GET", "subscribed_apps"): self.list_subscriptions,
            ("POST", "subscribed_apps"): self.subscribe,
            ("DELETE", "subscribed_apps"): self.unsubscribe,
        }

    async def answer(self, request: web.Request, parts: list[str]) -> web.StreamResponse:
        """Answer one call; `parts` is its path, version first."""
        try:
            version = self._version(parts[0])
            object_id = parts[1] if len(parts) > 1 else ""
            edge = parts[2] if len(parts) > 2 else ""
            if edge == "messages" and request.method == "POST" and len(parts) == 3:
                return await self.sending.answer(request, self._number(request, object_id), version)
            return await self._other(request, object_id, edge, len(parts))
        except GraphError as error:
            return refusal(error, trace_id())

    def _version(self, name: str) -> int:
        version = self._versions.get(name)
        if version is None:
            found = _VERSION.fullmatch(name)
            if found is None:
                raise GraphError(100, "Invalid version format. Use format like 'v23.0'")
            version = int(found[1])
            if len(self._versions) < 100:
                self._versions[name] = version
        return version

    # Everything else.

    async def _other(self, request: web.Request, object_id: str, edge: str, depth: int) -> web.StreamResponse:
        world = self.world
        number, account = world.accounts.numbers.get(object_id), world.accounts.accounts.get(object_id)
        fault: Fault | None = None
        if world.faults.calls:
            fault = world.faults.on_call(path=request.path, number=object_id)
            if fault is not None:
                await before(request, fault)
                if gone(request):
                    return Answer(b"")
        if depth > 3:
            raise GraphError(2500, "Unknown path components", status=400)
        answer: web.StreamResponse
        if number is not None and (call := self._number_calls.get((request.method, edge))):
            answer = await call(request, self._number(request, object_id))
        elif account is not None and (call := self._account_calls.get((request.method, edge))):
            world.accounts.authorized(token_of(request), world.accounts.of_account(account.id))
            answer = await call(request, account)
        elif object_id.isdigit() and not edge and number is None and account is None:
            world.accounts.authorized(token_of(request), list(world.accounts.numbers.values()))
            answer = await self._media_or_template(request, object_id)
        else:
            world.accounts.authorized(token_of(request), list(world.accounts.numbers.values()))
            raise unknown_object(object_id)
        if fault is not None and fault.kind in AFTER and isinstance(answer, Answer):
            return await spoiled(world, request, fault, answer, Request(0, 0.0, object_id))
        return answer

    def _number(self, request: web.Request, number_id: str) -> Number:
        accounts = self.world.accounts
        number, token = accounts.numbers.get(number_id), token_of(request)
        if number is None:
            accounts.authorized(token, list(accounts.numbers.values()))
            raise unknown_object(number_id)
        if number.token != token or number.token_expired:
            accounts.authorized(token, number)
        return number

    async def show_number(self, request: web.Request, number: Number) -> Answer:
        return as_json(_fields(request, number.shown()))

    async def change_number(self, request: web.Request, number: Number) -> Answer:
        """Webhook override of one number; an empty URL removes it. Other settings are taken and ignored."""
        body = await json_body(request)
        wanted = body.get("webhook_configuration") if isinstance(body, dict) else None
        if wanted is not None:
            url, token = _override(wanted)
            if url:
                await self._challenge(url, token)
            number.override_callback_url = url
            await keep_number(self.world, number)
        return as_json({"success": True})

    async def upload(self, request: web.Request, number: Number) -> Answer:
        return as_json({"id": await media.upload(self.world, request, number)})

    async def message_history(self, request: web.Request, number: Number) -> Answer:
        return as_json(await history.page(self.world.ledger, number, request.query))

    async def register(self, request: web.Request, number: Number) -> Answer:
        body = await json_body(request)
        pin = body.get("pin") if isinstance(body, dict) else None
        if not (isinstance(pin, str) and len(pin) == 6 and pin.isdigit()):
            raise GraphError(100, "Invalid PIN format. PIN must be exactly 6 digits")
        number.registered = True
        await keep_number(self.world, number)
        return as_json({"success": True})

    async def deregister(self, _: web.Request, number: Number) -> Answer:
        number.registered = False
        await keep_number(self.world, number)
        return as_json({"success": True})

    async def show_account(self, request: web.Request, account: Account) -> Answer:
        shown = {"id": account.id, "name": "Simulated Business", "timezone_id": "1", "currency": "USD"}
        return as_json(_fields(request, shown))

    async def list_numbers(self, _: web.Request, account: Account) -> Answer:
        # This edge has other words for the same state than the number itself.
        words = {"CONNECTED": "LINKED", "DISCONNECTED": "UNLINKED"}
        shown = [number.shown() for number in self.world.accounts.of_account(account.id)]
        return as_json({"data": [number | {"status": words[number["status"]]} for number in shown]})

    async def list_templates(self, request: web.Request, account: Account) -> Answer:
        wanted = {key: request.query[key] for key in ("name", "language", "status", "category") if key in request.query}
        shown = [template.shown() for template in account.templates.values()]
        found = [t for t in shown if all(t[key] == value for key, value in wanted.items())]
        start, limit = _page(request)
        paging: dict[str, Any] = {"cursors": {"before": str(start), "after": str(start + limit)}}
        if start + limit < len(found):
            paging["next"] = str(request.url.update_query(after=str(start + limit)))
        return as_json({"data": found[start : start + limit], "paging": paging})

    async def add_template(self, request: web.Request, account: Account) -> Answer:
        """Approved at once: waiting for a reviewer is not what this simulates."""
        body = await json_body(request)
        template = read_template(account, body, status="APPROVED")
        await keep_templates(self.world, account)
        return as_json({"id": template.id, "status": template.status, "category": template.category})

    async def remove_template(self, request: web.Request, account: Account) -> Answer:
        name = request.query.get("name", "")
        found = [key for key in account.templates if key[0] == name]
        if "hsm_id" in request.query:
            found = [key for key in found if account.templates[key].id == request.query["hsm_id"]]
        if not found:
            raise GraphError(100, f"Message template {name!r} was not found", subcode=2593002, status=404)
        for key in found:
            del account.templates[key]
        await keep_templates(self.world, account)
        return as_json({"success": True})

    async def list_subscriptions(self, _: web.Request, account: Account) -> Answer:
        app: dict[str, Any] = {
            "whatsapp_business_api_data": {
                "id": "300000000000001",
                "name": "WaQtor",
                "link": "https://www.facebook.com/",
            }
        }
        if account.override_callback_url:
            app["override_callback_uri"] = account.override_callback_url
        return as_json({"data": [app] if account.subscribed else []})

    async def subscribe(self, request: web.Request, account: Account) -> Answer:
        body = await json_body(request) if request.can_read_body else {}
        if isinstance(body, dict) and "override_callback_uri" in body:
            url, token = _override(body)
            await self._challenge(url, token)
            account.override_callback_url = url
        account.subscribed = True
        await keep_account(self.world, account)
        return as_json({"success": True})

    async def unsubscribe(self, _: web.Request, account: Account) -> Answer:
        account.subscribed, account.override_callback_url = False, ""
        await keep_account(self.world, account)
        return as_json({"success": True})

    async def _media_or_template(self, request: web.Request, object_id: str) -> Answer:
        for account in self.world.accounts.accounts.values():
            for template in account.templates.values():
                if template.id == object_id and request.method == "GET":
                    return as_json(_fields(request, template.shown()))
        if request.method == "DELETE":
            await media.delete(self.world, object_id)
            return as_json({"success": True})
        return as_json(await media.describe(self.world, request, object_id))

    async def _challenge(self, url: str, token: str) -> None:
        await challenge(self.world, url, token)


async def challenge(world: World, url: str, token: str) -> None:
    """Verify a webhook as Meta does: it has to give our challenge back."""
    said = str(secrets.randbelow(10**9) + 10**9)
    query = {"hub.mode": "subscribe", "hub.challenge": said, "hub.verify_token": token}
    try:
        async with world.poster.session.get(url, params=query, timeout=_CHALLENGE_TIMEOUT) as answer:
            text = (await answer.content.read(1000)).decode(errors="replace")
            good = answer.status == 200 and text.strip() == said
            reason = f"HTTP Status Code = {answer.status}; expected hub.challenge back"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        good, reason = False, type(error).__name__
    if not good:
        raise GraphError(2200, f"Callback verification failed with the following errors: {reason}", status=400)


def token_of(request: web.Request) -> str:
    """The bearer token, 190 without one."""
    authorization = request.headers.get("Authorization", "")
    if authorization[:7].lower() == "bearer ":
        return authorization[7:].strip()
    token = request.query.get("access_token")
    if not token:
        raise GraphError(190, "An access token is required to request this resource.")
    return token


def read_template(account: Account, body: Any, *, status: str) -> Any:
    """Add the template that a request describes."""
    if not isinstance(body, dict):
        raise GraphError(100, "The request body must be a JSON object")
    for name in ("name", "language", "category"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise GraphError(100, f"The parameter {name} is required.")
    if not re.fullmatch(r"[a-z0-9_]{1,512}", body["name"]):
        raise GraphError(100, "Param name must contain only lowercase letters, digits and underscores.")
    category = body["category"].upper()
    if category not in ("MARKETING", "UTILITY", "AUTHENTICATION"):
        raise GraphError(100, "Param category must be one of {AUTHENTICATION, MARKETING, UTILITY}.")
    components = body.get("components")
    if not isinstance(components, list) or not all(isinstance(c, dict) for c in components):
        raise GraphError(100, "Param components must be an array of objects.")
    for component in components:
        buttons = component.get("buttons", [])
        if not isinstance(buttons, list) or not all(isinstance(button, dict) for button in buttons):
            raise GraphError(100, "Param components['buttons'] must be an array of objects.")
    return account.add_template(body["name"], body["language"], category, status, components)


async def keep_number(world: World, number: Number) -> None:
    """Keep the number's settings over a restart."""
    await world.ledger.keep("number", number.id, orjson.dumps(number.settings()).decode())


async def keep_account(world: World, account: Account) -> None:
    """Keep the account's webhook settings over a restart."""
    kept = {"override_callback_url": account.override_callback_url, "subscribed": account.subscribed}
    await world.ledger.keep("account", account.id, orjson.dumps(kept).decode())


async def keep_templates(world: World, account: Account) -> None:
    """Keep the account's templates over a restart."""
    kept = [template.shown() for template in account.templates.values()]
    await world.ledger.keep("templates", account.id, orjson.dumps(kept).decode())


def _fields(request: web.Request, shown: dict[str, Any]) -> dict[str, Any]:
    wanted = request.query.get("fields")
    if not wanted:
        return shown
    names = {name.split(".")[0].split("{")[0].strip() for name in wanted.split(",")} | {"id"}
    return {name: value for name, value in shown.items() if name in names}


def _page(request: web.Request) -> tuple[int, int]:
    try:
        return max(0, int(request.query.get("after", 0))), min(1000, max(1, int(request.query.get("limit", 100))))
    except ValueError:
        raise GraphError(100, "Invalid paging parameters") from None


def _override(wanted: Any) -> tuple[str, str]:
    url = wanted.get("override_callback_uri") if isinstance(wanted, dict) else None
    token = wanted.get("verify_token", "") if isinstance(wanted, dict) else ""
    if not isinstance(url, str) or not isinstance(token, str) or (url and not url.startswith(("http://", "https://"))):
        raise GraphError(100, "Invalid callback URI format")
    return url, token
