"""Virtual contacts: who they are and how they take a message."""

import re
from dataclasses import dataclass, field
from typing import Any

from simulator import files
from simulator.draws import around, between, draw, happens
from simulator.errors import ControlError
from simulator.profiles import Profile

ENGLISH_NAMES = (
    "Sara Miller",
    "Tom Becker",
    "Lucy Haddad",
    "Omar Khan",
    "Nina Rossi",
    "Adam Cole",
    "Maya Stein",
)
ARABIC_NAMES = (
    "سارة الأحمد",
    "محمد علي",
    "ليلى حسن",
    "يوسف الخطيب",
    "نور الدين",
    "فاطمة الزهراء",
    "خالد منصور",
)
ENGLISH_REPLIES = (
    "Thanks!",
    "How much is it?",
    "Is it still available?",
    "Where are you located?",
    "Hello",
    "👍",
)
ARABIC_REPLIES = ("شكراً لكم", "كم السعر؟", "هل ما زال متوفراً؟", "أين موقعكم؟", "مرحبا", "متى يصل الطلب؟")
STOP_WORDS = {"en": "STOP", "ar": "إيقاف"}

_OVERRIDES: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "language": (str,),
    "on_whatsapp": (bool,),
    "reads": (bool,),
    "replies": (list,),
    "stop_after": (int, type(None)),
    "stops_marketing_after": (int, type(None)),
    "blocks": (bool,),
    "block_after": (int, type(None)),
    "delivery_delay_s": (int, float, type(None)),
    "read_delay_s": (int, float, type(None)),
    "reply_delay_s": (int, float, type(None)),
    "offline_s": (int, float),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """`kind` is text, or that of the file whose caption `text` is."""

    kind: str
    text: str
    delay_s: float | None


@dataclass(slots=True)
class Contact:
    """One person. The traits are drawn once; `received` counts what reached them, from any number."""

    number: str
    name: str
    language: str
    on_whatsapp: bool
    reads: bool
    offline_s: float
    chatty: bool
    stop_after: int | None
    stops_marketing_after: int | None
    block_after: int | None
    blocks: bool = False
    replies: list[str | dict[str, Any]] | None = None
    delivery_delay_s: float | None = None
    read_delay_s: float | None = None
    reply_delay_s: float | None = None
    sends: int = 0
    received: int = 0
    overridden: set[str] = field(default_factory=set)

    @property
    def user_id(self) -> str:
        """The business-scoped id that since 2026 may come without a number."""
        first, second = draw(0, self.number, "user id")[:2]
        return f"US.{first << 32 | second:020d}"

    def shown(self) -> dict[str, Any]:
        """The contact as the control API shows and takes it."""
        return {
            "number": self.number,
            **{name: getattr(self, name) for name in _OVERRIDES},
            "chatty": self.chatty,
            "received": self.received,
            "overridden": sorted(self.overridden),
        }

    def override(self, wanted: dict[str, Any]) -> None:
        """Set traits by hand; an unknown one or a wrong type changes nothing."""
        for name, value in wanted.items():
            kinds = _OVERRIDES.get(name)
            if kinds is None:
                raise ControlError(f"unknown trait, known are {', '.join(_OVERRIDES)}", field=name)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise ControlError(f"{name} has the wrong type", field=name)
            if isinstance(value, (int, float)) and value < 0:
                raise ControlError(f"{name} must not be negative", field=name)
        if "replies" in wanted:
            _check_replies(wanted["replies"])
        for name, value in wanted.items():
            setattr(self, name, value)
            self.overridden.add(name)

    def reply_to(self, text: str) -> Reply | None:
        """The scripted answer to this text: by `on` pattern, else the plain ones in turn."""
        if not self.replies:
            return None
        plain: list[Reply] = []
        for given in self.replies:
            written: dict[str, Any] = {"say": given} if isinstance(given, str) else given
            delay_s = written.get("delay_s", self.reply_delay_s)
            reply = Reply(written.get("media", "text"), written.get("say", ""), delay_s)
            if "on" not in written:
                plain.append(reply)
            elif re.search(written["on"], text, re.IGNORECASE):
                return reply
        if not plain:
            return None
        return plain[(self.received - 1) % len(plain)]


def _check_replies(replies: list[Any]) -> None:
    for reply in replies:
        if isinstance(reply, str):
            continue
        if not isinstance(reply, dict) or not isinstance(reply.get("say", "" if "media" in reply else None), str):
            raise ControlError("a reply is a text or {on?, say?, media?, delay_s?}", field="replies")
        if reply.get("media", "image") not in files.TYPES:
            raise ControlError(f"media is one of {', '.join(files.TYPES)}", field="replies")
        try:
            re.compile(reply.get("on", ""))
        except (re.error, TypeError):
            raise ControlError("on must be a regular expression", field="replies") from None


@dataclass(frozen=True, slots=True)
class Receipts:
    """When one message's receipts happen, in seconds after acceptance; None is never. `draws` are spare."""

    sent_s: float
    delivered_s: float
    read_s: float | None
    reply_s: float
    draws: tuple[int, ...]


class Contacts:
    """All contacts that were ever written to; a new one is drawn from the seed and its number."""

    def __init__(self, seed: int, profile: Profile) -> None:
        self.seed = seed
        self.profile = profile
        self.known: dict[str, Contact] = {}

    def get(self, number: str) -> Contact:
        """The contact with this number, written as digits."""
        found = self.known.get(number)
        if found is None:
            found = self.known[number] = self._drawn(number)
        return found

    def receipts(self, contact: Contact, key: str) -> Receipts:
        """How this contact takes the message of this key: the same at every attempt and in every order."""
        profile, speed = self.profile, self.profile.receipt_speed
        d = draw(self.seed, contact.number, key, "receipts")
        sent = between(d[0], 0.2, 1.0) * profile.sent_s / speed
        if contact.delivery_delay_s is not None:
            delivered = sent + contact.delivery_delay_s
        else:
            delivered = sent + around(profile.delivered_s, profile.delivered_sigma, d[1], d[2], d[3]) / speed
            delivered += contact.offline_s / speed
        read = None
        if contact.reads and ("reads" in contact.overridden or happens(d[4], profile.reads_message)):
            delay = around(profile.read_s, profile.read_sigma, d[5], d[6], d[7]) / speed
            read = delivered + (delay if contact.read_delay_s is None else contact.read_delay_s)
        reply = between(d[8], 0.2, 1.5) * profile.reply_s / speed
        return Receipts(sent, delivered, read, reply, d[9:])

    def small_talk(self, contact: Contact, number: int) -> str:
        """Something this contact might say."""
        said = ARABIC_REPLIES if contact.language == "ar" else ENGLISH_REPLIES
        return said[number % len(said)]

    def _drawn(self, number: str) -> Contact:
        p = self.profile
        d = draw(self.seed, number, "traits")
        language = "ar" if number.startswith(_ARABIC_CODES) or happens(d[0], 0.25) else "en"
        names = ARABIC_NAMES if language == "ar" else ENGLISH_NAMES
        return Contact(
            number=number,
            name=names[d[1] % len(names)],
            language=language,
            on_whatsapp=not happens(d[2], p.not_on_whatsapp),
            reads=not happens(d[3], p.never_reads),
            offline_s=between(d[5], *p.offline_s) if happens(d[4], p.offline) else 0.0,
            chatty=happens(d[6], p.replies),
            stop_after=1 + d[8] % 3 if happens(d[7], p.stops) else None,
            stops_marketing_after=1 + d[10] % 3 if happens(d[9], p.stops_marketing) else None,
            block_after=1 + d[12] % 3 if happens(d[11], p.blocks) else None,
        )


_ARABIC_CODES = (
    *("20", "212", "213", "216", "218", "249", "961", "962", "963"),
    *("964", "965", "966", "967", "968", "970", "971", "973", "974"),
)
