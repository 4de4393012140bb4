"""One chat: what was written, what became of it, and the answer, as free text or by a template."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import streamlit as st

from ui import bubbles, formats, look, page, pictures, reasons, session
from ui.bubbles import Bubble
from ui.markdown import plain
from ui.words import _
from waqtor import Chat, Conflict, Invalid, Message, NotFound, Template, TooLarge

_A_PAGE = 40
_EVERY_S = 5
_MOST_TEMPLATES = 100
_LONGEST = 4096


def one(chat_id: str) -> None:
    look.way_back("messages", _("All chats"))
    try:
        of = session.client().chats.get(chat_id)
    except NotFound:
        look.empty(_("There is no such chat"), _("Its person may have been merged with another, or erased."))
        return
    look.heading(of.name or _("somebody without a name"))
    _who(of)
    _talk(chat_id, may_answer=of.window_until is not None)
    if not session.may("messages.send"):
        st.info(_("You may read chats, but not answer."))
        return
    if (told := st.session_state.pop("chat-told", None)) is not None:
        st.success(told, icon=":material/check_circle:")
    if of.window_until is None:
        _closed(of)
    else:
        _answer(of, of.window_until)


def _who(of: Chat) -> None:
    person = session.client().contacts.get(of.contact_id) if session.may("contacts.read") else None
    sender = session.client().senders.get(of.sender_id) if session.may("senders.read") else None
    with st.container(horizontal=True, vertical_alignment="center"):
        signs = f"{look.number_of(person.phone)} " if person else ""
        signs += look.chip("opted_out") if person and person.opted_out else ""
        signs += look.chip("sender", _("to {sender}", sender=sender.name)) if sender else ""
        if signs:
            st.html(signs)
        page.link("contacts", _("The person's page"), icon=":material/person:", query={"id": of.contact_id})
    if sender and sender.state != "active":
        waits = _("“{sender}” does not send now: answers wait.", sender=plain(sender.name))
        st.warning(waits, icon=":material/pause_circle:")


# ---- what was written ---------------------------------------------------------------------------------------


@look.live(_EVERY_S)
def _talk(chat_id: str, *, may_answer: bool) -> None:
    """`may_answer`: what the page says below; where the person wrote meanwhile, it has to say otherwise."""
    client = session.client()
    if (client.chats.get(chat_id).window_until is not None) != may_answer:
        st.rerun()
    kept = f"chat-older-{chat_id}"
    found = client.chats.messages(chat_id, cursor=st.session_state.get(kept), limit=_A_PAGE)
    with st.container(horizontal=True, horizontal_alignment="center"):
        if found.next_cursor and st.button(_("Older messages"), icon=":material/expand_less:", key="chat-older"):
            st.session_state[kept] = found.next_cursor
            st.rerun()
        if kept in st.session_state and st.button(
            _("Newest messages"), icon=":material/expand_more:", key="chat-newest"
        ):
            del st.session_state[kept]
            st.rerun()
    bubbles.show(*(_bubble(message) for message in reversed(found.data)))
    theirs = next((one.id for one in found.data if one.direction == "in"), None)
    if kept not in st.session_state and theirs is not None and session.may("messages.send"):
        seen = f"chat-seen-{chat_id}"
        if st.session_state.get(seen) != theirs:
            client.chats.mark_read(chat_id, message_id=theirs)
            st.session_state[seen] = theirs


def _bubble(message: Message) -> Bubble:
    content = message.content
    kind = str(content.get("type", "other"))
    said = str(content.get("body") or content.get("text") or content.get("caption") or "")
    if kind in ("reaction", "other") or (not said and kind in ("text", "template", "buttons")):
        said = bubbles.plain(content)
    return Bubble(said, over=_over(kind, content), note=_note(message), is_theirs=message.direction == "in")


def _over(kind: str, content: dict[str, Any]) -> str:
    header = content.get("header") if kind == "template" else None
    if header:
        return _over(str(header["type"]), header)
    if kind not in ("image", "video", "document", "audio", "sticker", "location", "contacts"):
        return ""
    media_id = content.get("media_id")
    if kind in ("image", "sticker") and media_id:
        shown = pictures.of_media(int(media_id), said=bubbles.plain(content))
        if shown is not None:
            return shown
    cards = ", ".join(f"{one.get('name', '')} {one.get('phone', '')}".strip() for one in content.get("cards", ()))
    return bubbles.card(kind, str(content.get("filename") or content.get("name") or content.get("link") or cards))


def _note(message: Message) -> str:
    """The time and what became of it, as HTML."""
    at = escape(
        formats.clock(message.at) if message.at.date() == datetime.now(UTC).date() else formats.moment(message.at)
    )
    if message.direction == "in":
        return at
    return f"{at} {_outcome(message)}"


def _outcome(message: Message) -> str:
    why = escape(_why(message.reason))
    if message.state == "failed" or message.receipt == "failed":
        return f"✗ <b>{escape(_('not sent'))}</b>{why}"
    if message.state == "unknown":
        return f"? <b>{escape(_('may have arrived'))}</b>{why}"
    if message.receipt == "read":
        return f'<span class="read">✓✓</span> {escape(_("read"))}'
    if message.receipt == "delivered":
        return f"✓✓ {escape(_('delivered'))}"
    if message.state == "sent":
        return f"✓ {escape(_('sent'))}"
    return f"◷ {escape(_('waiting'))}{why}"


def _why(reason: str | None) -> str:
    return f": {reasons.explained(reason)}" if reason else ""


# ---- the answer ---------------------------------------------------------------------------------------------


def _answer(of: Chat, until: datetime) -> None:
    st.caption(_("You can answer freely until {when}.", when=formats.moment(until)))
    turn = f"{of.id}-{st.session_state.get('chat-turn', 0)}"
    with st.form("chat-answer"):
        said = st.text_area(_("Your answer"), key=f"chat-said-{turn}", max_chars=_LONGEST, height=100)
        file = st.file_uploader(_("With a file"), key=f"chat-file-{turn}")
        pressed = st.form_submit_button(_("Send"), type="primary", icon=":material/send:", key="chat-send")
    if not pressed:
        return
    if not said.strip() and file is None:
        st.warning(_("Write something, or choose a file."))
        return
    content: dict[str, Any] = {"type": "text", "body": said.strip()}
    try:
        if file is not None:
            media = session.client().media.upload(file.getvalue(), filename=file.name)
            kind = media.kind if media.kind in ("image", "video", "audio") else "document"
            content = {"type": kind, "media_id": media.id}
            content |= {"caption": said.strip()} if said.strip() and kind != "audio" else {}
            content |= {"filename": file.name} if kind == "document" else {}
        _send(of, content)
    except (Invalid, Conflict, TooLarge) as error:
        look.problem(error)


def _send(of: Chat, content: dict[str, Any]) -> None:
    """With a key that is kept until it was taken: who presses again after a lost answer does not send twice."""
    kept = f"chat-key-{of.id}"
    key = st.session_state.setdefault(kept, str(uuid.uuid4()))
    try:
        session.client().messages.send(of.sender_id, content, contact_id=of.contact_id, idempotency_key=key)
    except (Invalid, Conflict):
        del st.session_state[kept]
        raise
    del st.session_state[kept]
    st.session_state["chat-turn"] = st.session_state.get("chat-turn", 0) + 1  # what was typed goes with its key
    st.session_state["chat-told"] = _("It is on its way. The ticks say what becomes of it.")
    st.rerun()


def _closed(of: Chat) -> None:
    """Outside the 24 hours WhatsApp takes templates only."""
    st.info(
        _(
            "WhatsApp lets you write freely only within 24 hours of the person's own last message. "
            "Now a template can go; when they answer it, you can write freely again."
        ),
        icon=":material/schedule:",
    )
    found = session.client().templates.list.page(None, order="newest", limit=_MOST_TEMPLATES).data
    ready = [one for one in found if one.cloud_name and one.status in (None, "approved")]
    if not ready:
        look.empty(
            _("No approved template yet"),
            _("Take in the templates that WhatsApp approved for your number."),
            do=("templates", _("Templates")),
        )
        return
    names = {one.id: one.name for one in ready}
    picked = st.selectbox(
        _("Template"),
        list(names),
        index=None,
        format_func=names.__getitem__,
        key="chat-template",
        placeholder=_("Choose"),
    )
    chosen = next((one for one in ready if one.id == picked), None)
    if chosen is not None:
        _by_template(of, chosen, names[chosen.id])


def _by_template(of: Chat, template: Template, name: str) -> None:
    seen = session.client().templates.preview_for(template.id, of.contact_id)
    values = _values(seen.missing)
    text = seen.text
    for variable, value in values.items():
        text = text.replace(f"{{{variable}}}", value or f"{{{variable}}}")
    lacking = [variable for variable in seen.missing if not values.get(variable)]
    bubbles.show(Bubble(text, heading=seen.heading, buttons=seen.buttons, missing=lacking))
    about = of.id, template.id
    if st.button(_("Send"), type="primary", icon=":material/send:", key="chat-template-send", disabled=bool(lacking)):
        look.ask("chat-sure", of=about)
    who = of.name or _("this person")
    if look.confirmed(
        "chat-sure", _("Send “{name}” to {who} now?", name=name, who=who), button=_("Yes, send"), of=about
    ):
        try:
            _send(of, {"type": "template", "template_id": template.id, "variables": values})
        except (Invalid, Conflict) as error:
            look.problem(error)


def _values(missing: Sequence[str]) -> dict[str, str]:
    return {
        variable: st.text_input(f"{{{variable}}}", key=f"chat-value-{variable}", max_chars=1000).strip()
        for variable in missing
    }
