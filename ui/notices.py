"""What a notification says, in the reader's language. The API has the same words in English (core/notices.py)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ui import formats, look, reasons, words
from ui.words import _, later
from waqtor import Notification

WORDS: Mapping[str, tuple[str, str]] = {
    "campaign.finished": (later("Campaign “{name}” is finished"), later("Everybody in it has an outcome.")),
    "campaign.finished.unknown": (
        later("Campaign “{name}” is finished, and of some people the outcome is unknown"),
        later("They may have got the message or not. You decide whether they are written to again."),
    ),
    "campaign.finished.nobody": (
        later("Campaign “{name}” is finished, and nobody got it"),
        later("The campaign says for each person why."),
    ),
    "campaign.paused": (
        later("Campaign “{name}” was paused by itself"),
        later("{because} Resume it when that is put right."),
    ),
    "campaign.paused.canary_passed": (
        later("Campaign “{name}” waits for somebody to look at it"),
        later("{because} Resume it to write to them."),
    ),
    "campaign.missed": (
        later("Campaign “{name}” was not sent when it was due"),
        later("It was due at {due_at}. {because}"),
    ),
    "sender.suspect": (
        later("Nothing is heard of what sender “{name}” sends"),
        later("{because} It rests until a receipt comes, or until you resume it."),
    ),
    "sender.heard": (later("Sender “{name}” is heard of again"), later("A receipt came, and it goes on sending.")),
    "sender.token_expired": (
        later("The access token of sender “{name}” has expired"),
        later("The sender is paused and nothing is lost. With a new token it goes on."),
    ),
    "sender.paused": (
        later("Sender “{name}” was paused by itself"),
        later("{because} Resume it when that is put right."),
    ),
    "sender.blocked": (
        later("WhatsApp does not let sender “{name}” send"),
        later("{because} Resume it when that is put right."),
    ),
    "sender.quality_fell": (
        later("WhatsApp's rating of sender “{name}” fell to {quality}"),
        later("It was {was}. People block or report its messages, and WhatsApp may limit it."),
    ),
    "template.stopped": (
        later("Template “{name}” ({language}) is {status} at WhatsApp"),
        later("Campaigns that were being sent with it are paused."),
    ),
    "import.finished": (
        later("Not all rows of “{filename}” were taken"),
        later("Taken: {taken}; not taken: {rejected}. The report says what is wrong with those."),
    ),
    "import.failed": (
        later("“{filename}” could not be taken to its end"),
        later("Rows taken: {taken}. The report says why it stopped."),
    ),
    "backup.restored": (
        later("A backup was restored"),
        later("Senders paused: {senders}. People of whom it is unknown whether they were written to since: {unknown}."),
    ),
    "api_key.made": (later("An API key named “{name}” was made"), later("It has the scopes {scopes}.")),
    "api_key.revoked": (later("The API key named “{name}” was revoked"), later("It is refused from now on.")),
    "sign_ins.failed.account": (
        later("Many failed tries to sign in to one account"),
        later("From now on each try has to wait longer. The audit log says where they came from."),
    ),
    "sign_ins.failed.network": (
        later("Many failed tries to sign in from one place"),
        later("From now on each try has to wait longer. The audit log says where they came from."),
    ),
    "user.made_admin": (
        later("“{name}” is an admin now"),
        later("An admin may do everything here. If you do not know why, take it back."),
    ),
    "sending.off": (later("All sending was switched off"), later("{reason}")),
    "sending.on": (later("Sending was switched on again"), later("{reason}")),
    "webhook.failing": (
        later("Webhook {webhook} does not take what it is told"),
        later("It is {percent} % of the way to being disabled. Nothing is lost: all of it is tried again."),
    ),
    "webhook.exhausted": (
        later("Webhook {webhook} did not take something, and it is not tried again"),
        later("What it was stands in its log of deliveries, and can be sent again from there."),
    ),
    "webhook.secret_expiring": (
        later("The old secret of webhook {webhook} is good until {ends_at}"),
        later("After that what it gets is signed with the new one alone. Does its receiver know that one?"),
    ),
    "webhook.disabled": (
        later("Webhook {webhook} was disabled, for it took nothing for five days"),
        later("What happens meanwhile is kept for it. Enable it when it works again."),
    ),
    "webhook.disabled.gone": (
        later("Webhook {webhook} was disabled, for it said that it is gone for good"),
        later("It is told nothing any more. Enable it if that was a mistake."),
    ),
    "program": ("{title}", "{text}"),
}


def said(one: Notification) -> tuple[str, str]:
    """Its title and its text. What a program told is shown as it told it."""
    if words.chosen() == "en" or one.wording not in WORDS:
        return one.title, one.text
    values = _Values({name: _shown(name, value) for name, value in one.params.items()})
    if "reason" in one.params:
        values["because"] = reasons.explained(str(one.params["reason"]))
    title, text = WORDS[one.wording]
    return _(title).format_map(values), _(text).format_map(values).strip()


class _Values(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "…"


def _shown(name: str, value: Any) -> str:
    if name in ("due_at", "ends_at"):
        return formats.moment(datetime.fromisoformat(value))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, int):
        return formats.number(value)
    said = look.state(str(value).upper()) if name == "status" else str(value)
    return f"\u2068{said}\u2069"  # a name in Latin letters does not turn the words around it
