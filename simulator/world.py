"""The simulated network: takes messages in, lets contacts live through them, tells the webhooks."""

import asyncio
import secrets
from binascii import b2a_base64
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from simulator import files, media, rules, wire
from simulator.accounts import Accounts, Number
from simulator.clock import Clock
from simulator.config import ACCOUNT_ID, NUMBER_ID, Config
from simulator.contacts import STOP_WORDS, Contact, Contacts, Receipts
from simulator.draws import WHOLE, between, happens
from simulator.errors import GraphError
from simulator.faults import Faults
from simulator.ledger import STATUSES, Inbound, Ledger, Request, Status
from simulator.messages import Outgoing
from simulator.webhooks import Parcel, Poster

# Since about this version they name the contact by its business-scoped id too; pywa (v26) needs it.
WITH_USER_IDS = 25


@dataclass(slots=True)
class Flight:
    """An accepted message on its way; `failed` is the code it will fail with, 0 for none."""

    number: Number
    contact: Contact
    request: Request
    receipts: Receipts
    category: str
    button: str
    failed: int = 0


class World:
    """All state of a running simulator."""

    def __init__(self, config: Config, ledger: Ledger, session: aiohttp.ClientSession) -> None:
        profile = config.profile
        kept = ledger.settings("clock")
        self.config = config
        self.profile = profile
        self.ledger = ledger
        self.clock = Clock(speed=config.speed, offset_s=max(0.0, float(kept.get("offset_s", 0))))
        self.contacts = Contacts(config.seed, profile)
        self.faults = Faults(config.seed)
        self.poster = Poster(profile, self.clock, ledger, session)
        # Message ids differ between state files, or a client's database would take new messages for old.
        self.epoch = int(kept.get("epoch", 0)) or secrets.randbits(24) | 1
        self._sending: set[asyncio.Task[None]] = set()
        self.accounts = Accounts(rate_per_s=profile.rate_per_s, tier_per_day=profile.tier_per_day)
        self._default_number()

    def _default_number(self) -> None:
        wanted: dict[str, Any] = {"phone_number_id": NUMBER_ID, "waba_id": ACCOUNT_ID}
        wanted |= {"display_phone_number": "15550000001", "verified_name": "Simulated Shop"}
        wanted |= {"callback_url": self.config.callback_url, "verify_token": self.config.verify_token}
        self.accounts.put(wanted)

    async def keep_clock(self) -> None:
        """Keep the time jump and the epoch over a restart, so that time never runs backwards."""
        await self.ledger.keep("clock", "offset_s", str(self.clock.offset_s))
        await self.ledger.keep("clock", "epoch", str(self.epoch))

    def accept(self, number: Number, message: Outgoing, request: Request, *, late: int = 0) -> None:
        """Take the message or refuse it by raising; fills in the row. `late` makes it fail later."""
        contact = self.contacts.get(message.to)
        now = request.at
        rules.check_number(number)
        if message.to == number.phone:
            raise GraphError(131021, "The sender and the recipient are the same number")
        rules.take_slot(number, now)
        rules.take_pair(number, message.to, now, self.profile)
        try:
            self._take_policies(number, message, now)
        except GraphError as refusal:
            if refusal.code not in number.late_refusals:
                raise
            late = late or refusal.code
        contact.sends += not message.callback
        receipts = self.contacts.receipts(contact, request.key)
        template = message.template
        marketing = template is not None and template.marketing
        if not late and marketing and happens(receipts.draws[6], self.profile.refuses_marketing):
            late = 131049
        if not contact.on_whatsapp or contact.blocks:
            late = 131026
        request.accepted, request.effect, request.error = True, not late, late or None
        request.wamid = self.wamid(message.to, request.seq, inbound=False)
        button = template.quick_reply if template is not None else ""
        category = template.category.lower() if template is not None else "service"
        self._launch(Flight(number, contact, request, receipts, category, button, late))

    def _take_policies(self, number: Number, message: Outgoing, now: float) -> None:
        if message.template is None:
            if self.profile.service_window:
                rules.check_window(number, message.to, now)
            return
        if message.template.marketing:
            rules.take_marketing(number, message.to, now, self.profile)
        if not rules.window_open(number, message.to, now):
            rules.take_conversation(number, message.to, now)

    def wamid(self, contact: str, seq: int, *, inbound: bool) -> str:
        """A message id in the real layout: the contact's number inside, then an id of ours."""
        # An odd factor maps the sequence onto itself: it looks random and never repeats.
        own = f"{self.epoch:06X}{seq * 0x9E3779B97F4B & 0xFFFFFFFFFFFF:012X}"
        if inbound:
            own = "3A" + own
        head = b"\x1c\x18" + bytes((len(contact),)) + contact.encode() + b"\x15\x02\x00"
        kind = b"\x12\x18\x14" if inbound else b"\x11\x18\x12"
        return "wamid." + b2a_base64(head + kind + own.encode() + b"\x00", newline=False).decode()

    # A message's life: sent, delivered, read; or failed.

    def _launch(self, flight: Flight) -> None:
        receipts, at = flight.receipts, flight.request.at
        if flight.failed:
            flight.number.statuses_due += 1
            self.clock.at(at + receipts.sent_s, self._fail, flight)
            return
        flight.number.statuses_due += 2 if receipts.read_s is None else 3
        self.clock.at(at + receipts.sent_s, self._send, flight)

    def resume(self, flight: Flight, settled: set[str], *, answered: bool) -> None:
        """Go on with a message after a restart: what is not settled happens, at its time or at once.

        With `answered` the contact has reacted already and does not do so twice.
        """
        receipts, at, number = flight.receipts, flight.request.at, flight.number
        plan: list[tuple[str, float | None]] = [("failed", receipts.sent_s)]
        if not flight.failed:
            plan = [("sent", receipts.sent_s), ("delivered", receipts.delivered_s), ("read", receipts.read_s)]
        for status, after_s in plan:
            if after_s is not None and status not in settled:
                number.statuses_due += 1
                self.clock.at(at + after_s, self._happen, flight, status, at + after_s, answered)

    def _happen(self, flight: Flight, status: str, at: float, answered: bool) -> None:
        self._tell(flight, status, at)
        if status == "read" and not answered:
            self._react(flight, at)

    def _fail(self, flight: Flight) -> None:
        self._tell(flight, "failed", flight.request.at + flight.receipts.sent_s)

    def _send(self, flight: Flight) -> None:
        at = flight.request.at
        self._tell(flight, "sent", at + flight.receipts.sent_s)
        self.clock.at(at + flight.receipts.delivered_s, self._deliver, flight)

    def _deliver(self, flight: Flight) -> None:
        at = flight.request.at
        flight.contact.received += 1
        self._tell(flight, "delivered", at + flight.receipts.delivered_s)
        if flight.receipts.read_s is not None:
            self.clock.at(at + flight.receipts.read_s, self._read, flight)
        elif flight.contact.replies:
            # Who hides that he reads still answers what he was told to answer.
            self._react(flight, at + flight.receipts.delivered_s)

    def _read(self, flight: Flight) -> None:
        at = flight.request.at + (flight.receipts.read_s or 0.0)
        self._tell(flight, "read", at)
        self._react(flight, at)

    def _tell(self, flight: Flight, status: str, at: float) -> None:
        request, number = flight.request, flight.number
        row = Status(request, status, at, flight.failed or None)
        place = STATUSES.index(status) % 3
        delay, copies = 0.0, 1
        draws, profile = flight.receipts.draws, self.profile
        if profile.reorders and happens(draws[place], profile.reorders):
            delay = between(draws[place + 1], 0.3, 1.0) * profile.reorder_s
        if profile.duplicates and happens(draws[place + 3], profile.duplicates):
            copies = 2
        parcel = Parcel(row, "messages", wire.status(row, category=flight.category))
        if request.version >= WITH_USER_IDS:
            parcel.contact = wire.named(flight.contact)
        if self.faults.webhooks:
            fault = self.faults.on_webhook(
                number=number.id, to=request.to, callback=request.callback, key=request.key, status=status
            )
            if fault is not None and fault.kind == "webhook_lost":
                row.outcome = "lost"
                number.statuses_due -= 1
                self.ledger.write(row)
                return
            if fault is not None:
                delay, copies = _spoil(parcel, fault.kind, fault.params, delay, copies)
        self.ledger.write(row)
        number.statuses_due += copies - 1
        self._hand_over(number, parcel, at, delay, copies)

    def _hand_over(self, number: Number, parcel: Parcel, at: float, delay: float, copies: int) -> None:
        if delay:
            self.clock.at(at + delay, self.poster.put, number, parcel)
        else:
            self.poster.put(number, parcel)
        for copy in range(1, copies):
            self.clock.at(at + delay + copy * 0.5, self.poster.put, number, parcel)

    # What contacts do.

    def _react(self, flight: Flight, at: float) -> None:
        contact, draws = flight.contact, flight.receipts.draws
        due, nth = at + flight.receipts.reply_s, contact.received
        if contact.block_after is not None and nth >= contact.block_after:
            contact.blocks = True
            return
        if contact.stops_marketing_after is not None and nth >= contact.stops_marketing_after:
            contact.stops_marketing_after = None
            if flight.category == "marketing":
                self._reply(flight, due, "preference", "stop")
                return
        if contact.stop_after is not None and nth >= contact.stop_after:
            contact.stop_after = None
            if contact.reply_delay_s is not None:
                due = at + contact.reply_delay_s
            self._reply(flight, due, "text", STOP_WORDS[contact.language if contact.language == "ar" else "en"])
            return
        scripted = contact.reply_to(flight.request.text)
        if scripted is not None:
            delay_s = scripted.delay_s
            self._reply(flight, due if delay_s is None else at + delay_s, scripted.kind, scripted.text)
        elif contact.replies is None and contact.chatty and happens(draws[6], self.profile.replies_to_message):
            if flight.button and draws[5] > WHOLE // 2:
                self._reply(flight, due, "button", flight.button)
            else:
                self._reply(flight, due, "text", self.contacts.small_talk(contact, draws[4]))

    def _reply(self, flight: Flight, due: float, kind: str, text: str) -> None:
        flight.number.inbounds_due += 1
        self.clock.at(due, self._say_planned, flight, kind, text)

    def _say_planned(self, flight: Flight, kind: str, text: str) -> None:
        if kind in files.TYPES:
            task = asyncio.create_task(self._send_planned(flight, kind, text))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            return
        flight.number.inbounds_due -= 1
        content = {"button": {"payload": text, "text": text}}.get(kind, {"body": text})
        self.say(flight.number, flight.contact, kind, content, text, about=flight.request)

    async def _send_planned(self, flight: Flight, kind: str, caption: str) -> None:
        try:
            await self.say_media(flight.number, flight.contact, kind, caption, about=flight.request)
        finally:
            flight.number.inbounds_due -= 1

    async def say_media(
        self,
        number: Number,
        contact: Contact,
        kind: str,
        caption: str,
        size: int = 0,
        *,
        about: Request | None = None,
    ) -> Inbound:
        """The contact sends a file of so many bytes at least."""
        described = await media.attached(self, number, kind, caption, size)
        return self.say(number, contact, kind, described, f"[{kind}] {caption}".rstrip(), about=about)

    def say(
        self,
        number: Number,
        contact: Contact,
        kind: str,
        content: dict[str, Any],
        text: str,
        *,
        about: Request | None = None,
        context: str = "",
    ) -> Inbound:
        """The contact sends something to the number now; `kind` is the message type or "preference"."""
        now = self.clock.now()
        self.ledger.inbound_id += 1
        wamid = self.wamid(contact.number, self.ledger.inbound_id, inbound=True)
        if about is not None and kind == "button":
            context = about.wamid
        value = wire.inbound(number, contact, kind, content, wamid, now, context)
        row = Inbound(
            id=self.ledger.inbound_id,
            at=now,
            phone_number_id=number.id,
            contact=contact.number,
            wamid=wamid,
            kind=kind,
            text=text,
            cause=about.seq if about is not None else None,
            content=orjson.dumps(value).decode(),
        )
        if kind == "preference":
            (number.marketing_stopped.add if text == "stop" else number.marketing_stopped.discard)(contact.number)
        else:
            number.windows[contact.number] = now
        self.post_inbound(number, row, value)
        return row

    def post_inbound(self, number: Number, row: Inbound, value: dict[str, Any]) -> None:
        """Tell the webhook what a contact sent."""
        parcel = Parcel(row, "user_preferences" if row.kind == "preference" else "messages", value)
        delay, copies = 0.0, 1
        number.inbounds_due += 1
        self.ledger.write(row)
        if self.faults.webhooks:
            fault = self.faults.on_webhook(
                number=number.id, to=row.contact, callback="", key=row.wamid, status="inbound"
            )
            if fault is not None and fault.kind == "webhook_lost":
                row.outcome = "lost"
                number.inbounds_due -= 1
                return
            if fault is not None:
                delay, copies = _spoil(parcel, fault.kind, fault.params, delay, copies)
        number.inbounds_due += copies - 1
        self._hand_over(number, parcel, row.at, delay, copies)

    def reset(self) -> None:
        """Forget messages, contacts and faults; accounts and templates stay."""
        self.clock.clear()
        self.poster.clear()
        self.faults.clear()
        self.contacts.known.clear()
        for number in self.accounts.numbers.values():
            number.forget()


def _spoil(parcel: Parcel, kind: str, params: dict[str, Any], delay: float, copies: int) -> tuple[float, int]:
    if kind == "webhook_duplicated":
        return delay, int(params.get("copies", 2))
    if kind == "webhook_delayed":
        return delay + float(params.get("seconds", 5.0)), copies
    parcel.signing = "unsigned" if kind == "webhook_unsigned" else "bad"
    parcel.always = bool(params.get("always", False))
    return delay, copies
