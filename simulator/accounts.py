"""WhatsApp Business accounts, their phone numbers and templates, and who may speak for them."""

import hmac
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from simulator import templates
from simulator.config import APP_SECRET, TOKEN
from simulator.errors import ControlError, GraphError
from simulator.templates import Template

TIERS = {250: "TIER_250", 1000: "TIER_1K", 2000: "TIER_2K", 10_000: "TIER_10K", 100_000: "TIER_100K"}


@dataclass(slots=True)
class Account:
    """A WABA: numbers share its templates and its webhook override."""

    id: str
    templates: dict[tuple[str, str], Template] = field(default_factory=dict)
    override_callback_url: str = ""
    subscribed: bool = True

    def add_template(
        self, name: str, language: str, category: str, status: str, components: list[dict[str, Any]]
    ) -> Template:
        """Add or replace one language of a template."""
        known = self.templates.get((name, language))
        number = known.id if known else str(int(self.id) * 1000 + len(self.templates) + 1)
        made = Template(number, name, language, category, status, components)
        self.templates[name, language] = made
        return made

    def template(self, name: str, language: str) -> Template:
        """The template to send, or the refusal Meta gives for its state."""
        found = self.templates.get((name, language))
        if found is None:
            raise GraphError(132001, f"template name ({name}) does not exist in {language}")
        if found.status in templates.REFUSED:
            raise GraphError(templates.REFUSED[found.status], f"template ({name}) is {found.status}")
        return found


@dataclass(slots=True)
class Number:
    """A business phone number: its settings first, then what the rules remember about it."""

    id: str
    account: Account
    phone: str
    name: str
    token: str = TOKEN
    app_secret: str = APP_SECRET
    callback_url: str = ""
    verify_token: str = ""
    override_callback_url: str = ""
    rate_per_s: float = 0.0
    tier_per_day: int = 0
    late_refusals: frozenset[int] = frozenset({131049})
    locked: bool = False
    registered: bool = True
    token_expired: bool = False
    quality: str = "GREEN"
    # What the rules remember.
    slots_taken: float = 0.0
    slots_at: float = 0.0
    windows: dict[str, float] = field(default_factory=dict)
    pairs: dict[str, float] = field(default_factory=dict)
    conversations: OrderedDict[str, float] = field(default_factory=OrderedDict)
    marketing: dict[str, deque[float]] = field(default_factory=dict)
    marketing_stopped: set[str] = field(default_factory=set)
    # Still owed to the webhook.
    statuses_due: int = 0
    inbounds_due: int = 0
    _signer: tuple[str, hmac.HMAC] | None = None

    @property
    def webhook_url(self) -> str:
        """Where its webhooks go now; the nearest override wins."""
        if not self.account.subscribed:
            return ""
        return self.override_callback_url or self.account.override_callback_url or self.callback_url

    def signature(self, body: bytes) -> str:
        """The value of X-Hub-Signature-256."""
        if self._signer is None or self._signer[0] != self.app_secret:
            self._signer = self.app_secret, hmac.new(self.app_secret.encode(), digestmod="sha256")
        signer = self._signer[1].copy()
        signer.update(body)
        return "sha256=" + signer.hexdigest()

    def forget(self) -> None:
        """Start as a number that never wrote to anybody."""
        self.slots_taken = 0.0
        for memory in (self.windows, self.pairs, self.conversations, self.marketing, self.marketing_stopped):
            memory.clear()
        self.statuses_due = self.inbounds_due = 0

    def shown(self) -> dict[str, Any]:
        """The number as a Graph answer, all fields."""
        tier = TIERS.get(self.tier_per_day, "TIER_UNLIMITED" if not self.tier_per_day else "TIER_250")
        return {
            "id": self.id,
            "display_phone_number": f"+{self.phone}",
            "verified_name": self.name,
            "quality_rating": self.quality,
            "messaging_limit_tier": tier,
            "whatsapp_business_manager_messaging_limit": tier,
            "throughput": {"level": "HIGH" if not self.rate_per_s or self.rate_per_s > 80 else "STANDARD"},
            "code_verification_status": "VERIFIED",
            "name_status": "APPROVED",
            "platform_type": "CLOUD_API",
            "account_mode": "LIVE",
            "status": "CONNECTED" if self.registered else "DISCONNECTED",
            "webhook_configuration": {
                name: url
                for name, url in (
                    ("phone_number", self.override_callback_url),
                    ("whatsapp_business_account", self.account.override_callback_url),
                    ("application", self.callback_url),
                )
                if url
            },
        }

    def settings(self) -> dict[str, Any]:
        """The number as the control API shows, stores and takes it."""
        return {
            "phone_number_id": self.id,
            "waba_id": self.account.id,
            "display_phone_number": f"+{self.phone}",
            "verified_name": self.name,
            "token": self.token,
            "app_secret": self.app_secret,
            "callback_url": self.callback_url,
            "verify_token": self.verify_token,
            "override_callback_url": self.override_callback_url,
            "rate": self.rate_per_s,
            "tier": self.tier_per_day,
            "late_refusals": sorted(self.late_refusals),
            "locked": self.locked,
            "registered": self.registered,
            "token_expired": self.token_expired,
            "quality": self.quality,
        }


class Accounts:
    """All accounts and numbers, found by id and by token."""

    def __init__(self, *, rate_per_s: float, tier_per_day: int) -> None:
        self.rate_per_s = rate_per_s
        self.tier_per_day = tier_per_day
        self.accounts: dict[str, Account] = {}
        self.numbers: dict[str, Number] = {}
        self.tokens: set[str] = set()

    def account(self, account_id: str) -> Account:
        """The account of this id, made with the default templates when it is new."""
        found = self.accounts.get(account_id)
        if found is None:
            found = self.accounts[account_id] = Account(account_id)
            for template in templates.DEFAULTS:
                found.add_template(*template)
        return found

    def put(self, wanted: dict[str, Any]) -> Number:
        """Add a number or change the given settings of a known one."""
        number_id = str(wanted.get("phone_number_id") or self._next_id())
        number = self.numbers.get(number_id)
        if number is None:
            account = self.account(str(wanted.get("waba_id") or 200_000_000_000_000 + len(self.numbers) + 1))
            phone = f"1555{int(number_id) % 10_000_000:07d}"
            number = Number(number_id, account, phone, f"Simulated Shop {len(self.numbers) + 1}")
            number.rate_per_s, number.tier_per_day = self.rate_per_s, self.tier_per_day
            self.numbers[number_id] = number
        elif wanted.get("waba_id"):
            number.account = self.account(str(wanted["waba_id"]))
        for name, attribute, kind in _SETTINGS:
            if wanted.get(name) is not None:
                setattr(number, attribute, _typed(wanted[name], kind, name))
        if isinstance(wanted.get("late_refusals"), list):
            number.late_refusals = frozenset(int(code) for code in wanted["late_refusals"])
        if wanted.get("display_phone_number"):
            number.phone = "".join(c for c in str(wanted["display_phone_number"]) if c.isdigit())
        self.tokens = {known.token for known in self.numbers.values() if not known.token_expired}
        return number

    @property
    def setting_names(self) -> tuple[str, ...]:
        """Names `put` knows beside the ids."""
        return tuple(name for name, _, _ in _SETTINGS)

    def of_account(self, account_id: str) -> list[Number]:
        return [number for number in self.numbers.values() if number.account.id == account_id]

    def authorized(self, token: str, owner: Number | list[Number]) -> None:
        """Refuse a token that is unknown (190) or belongs to somebody else (100/33, as Meta hides it)."""
        if token not in self.tokens:
            expired = any(number.token == token for number in self.numbers.values())
            if expired:
                raise GraphError(190, "Error validating access token: Session has expired", subcode=463)
            raise GraphError(190, "Invalid OAuth access token - Cannot parse access token")
        owners = owner if isinstance(owner, list) else [owner]
        if not any(number.token == token for number in owners):
            raise unknown_object(owners[0].id if owners else "?")

    def _next_id(self) -> int:
        free = 100_000_000_000_001 + len(self.numbers)
        while str(free) in self.numbers:
            free += 1
        return free


_SETTINGS: tuple[tuple[str, str, type], ...] = (
    ("token", "token", str),
    ("app_secret", "app_secret", str),
    ("callback_url", "callback_url", str),
    ("verify_token", "verify_token", str),
    ("override_callback_url", "override_callback_url", str),
    ("verified_name", "name", str),
    ("rate", "rate_per_s", float),
    ("tier", "tier_per_day", int),
    ("locked", "locked", bool),
    ("registered", "registered", bool),
    ("token_expired", "token_expired", bool),
    ("quality", "quality", str),
)


def _typed(value: Any, kind: type, name: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ControlError(f"{name} must be a {kind.__name__}", field=name)
    if isinstance(value, (int, float)) and value < 0:
        raise ControlError(f"{name} must not be negative", field=name)
    return value


def unknown_object(object_id: str) -> GraphError:
    """What Meta says of an id that does not exist or that the token may not see."""
    return GraphError(
        100,
        f"Unsupported request. Object with ID '{object_id}' does not exist, cannot be loaded due to missing "
        "permissions, or does not support this operation",
        subcode=33,
    )
