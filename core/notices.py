"""What people at work are told: each kind with who may see it, and its words in English.

A notice is kept as the name of its words and what fills them, so that a page can say it in another language.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from core.models import ApiKey, Campaign, Import, Occurrence, Sender, Template, User, Webhook
from core.reasons import explained
from core.roles import Permission

Severity = Literal["info", "success", "warning", "problem"]
Kind = Literal[
    "campaign.finished",
    "campaign.paused",
    "campaign.missed",
    "sender.suspect",
    "sender.heard",
    "sender.token_expired",
    "sender.paused",
    "sender.blocked",
    "sender.quality_fell",
    "template.stopped",
    "import.finished",
    "backup.restored",
    "api_key.made",
    "api_key.revoked",
    "sign_ins.failed",
    "user.made_admin",
    "sending.switched",
    "webhook.failing",
    "webhook.exhausted",
    "webhook.secret_expiring",
    "webhook.disabled",
    "program",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

_SEEN_BY: Mapping[Kind, Permission] = {
    "campaign.finished": "campaigns.read",
    "campaign.paused": "campaigns.read",
    "campaign.missed": "campaigns.read",
    "sender.suspect": "senders.read",
    "sender.heard": "senders.read",
    "sender.token_expired": "senders.read",
    "sender.paused": "senders.read",
    "sender.blocked": "senders.read",
    "sender.quality_fell": "senders.read",
    "template.stopped": "templates.read",
    "import.finished": "contacts.read",
    "backup.restored": "campaigns.read",
    "api_key.made": "keys.manage",
    "api_key.revoked": "keys.manage",
    "sign_ins.failed": "users.manage",
    "user.made_admin": "users.manage",
    "sending.switched": "senders.read",
    "webhook.failing": "webhooks.read",
    "webhook.exhausted": "webhooks.read",
    "webhook.secret_expiring": "webhooks.read",
    "webhook.disabled": "webhooks.read",
}
ABOUT: Mapping[str, tuple[str, Permission]] = {
    "campaign": ("/api/v3/campaigns/{id}", "campaigns.read"),
    "sender": ("/api/v3/senders/{id}", "senders.read"),
    "template": ("/api/v3/templates/{id}", "templates.read"),
    "segment": ("/api/v3/segments/{id}", "contacts.read"),
    "contact": ("/api/v3/contacts/{id}", "contacts.read"),
    "message": ("/api/v3/messages/{id}", "messages.read"),
    "import": ("/api/v3/imports/{id}", "contacts.read"),
    "user": ("/api/v3/users/{id}", "users.manage"),
    "api_key": ("/api/v3/api-keys", "keys.manage"),
    "sending": ("/api/v3/sending", "senders.read"),
    "webhook": ("/api/v3/webhooks/{id}", "webhooks.read"),
}
"""What a notice may be about, as `campaign:7`: where that is found, and what it takes to look at it."""

WORDS: Mapping[str, tuple[str, str]] = {
    "campaign.finished": ("Campaign “{name}” is finished", "Everybody in it has an outcome."),
    "campaign.finished.unknown": (
        "Campaign “{name}” is finished, and of some people the outcome is unknown",
        "They may have got the message or not. You decide whether they are written to again.",
    ),
    "campaign.finished.nobody": (
        "Campaign “{name}” is finished, and nobody got it",
        "The campaign says for each person why.",
    ),
    "campaign.paused": ("Campaign “{name}” was paused by itself", "{because} Resume it when that is put right."),
    "campaign.paused.canary_passed": (
        "Campaign “{name}” waits for somebody to look at it",
        "{because} Resume it to write to them.",
    ),
    "campaign.missed": ("Campaign “{name}” was not sent when it was due", "It was due at {due_at}. {because}"),
    "sender.suspect": (
        "Nothing is heard of what sender “{name}” sends",
        "{because} It rests until a receipt comes, or until you resume it.",
    ),
    "sender.heard": ("Sender “{name}” is heard of again", "A receipt came, and it goes on sending."),
    "sender.token_expired": (
        "The access token of sender “{name}” has expired",
        "The sender is paused and nothing is lost. With a new token it goes on.",
    ),
    "sender.paused": ("Sender “{name}” was paused by itself", "{because} Resume it when that is put right."),
    "sender.blocked": ("WhatsApp does not let sender “{name}” send", "{because} Resume it when that is put right."),
    "sender.quality_fell": (
        "WhatsApp's rating of sender “{name}” fell to {quality}",
        "It was {was}. People block or report its messages, and WhatsApp may limit it.",
    ),
    "template.stopped": (
        "Template “{name}” ({language}) is {status} at WhatsApp",
        "Campaigns that were being sent with it are paused.",
    ),
    "import.finished": (
        "Not all rows of “{filename}” were taken",
        "Taken: {taken}; not taken: {rejected}. The report says what is wrong with those.",
    ),
    "import.failed": (
        "“{filename}” could not be taken to its end",
        "Rows taken: {taken}. The report says why it stopped.",
    ),
    "backup.restored": (
        "A backup was restored",
        "Senders paused: {senders}. People of whom it is unknown whether they were written to since: {unknown}.",
    ),
    "api_key.made": ("An API key named “{name}” was made", "It has the scopes {scopes}."),
    "api_key.revoked": ("The API key named “{name}” was revoked", "It is refused from now on."),
    "sign_ins.failed.account": (
        "Many failed tries to sign in to one account",
        "From now on each try has to wait longer. The audit log says where they came from.",
    ),
    "sign_ins.failed.network": (
        "Many failed tries to sign in from one place",
        "From now on each try has to wait longer. The audit log says where they came from.",
    ),
    "user.made_admin": (
        "“{name}” is an admin now",
        "An admin may do everything here. If you do not know why, take it back.",
    ),
    "sending.off": ("All sending was switched off", "{reason}"),
    "sending.on": ("Sending was switched on again", "{reason}"),
    "webhook.failing": (
        "Webhook {webhook} does not take what it is told",
        "It is {percent} % of the way to being disabled. Nothing is lost: all of it is tried again.",
    ),
    "webhook.exhausted": (
        "Webhook {webhook} did not take something, and it is not tried again",
        "What it was stands in its log of deliveries, and can be sent again from there.",
    ),
    "webhook.secret_expiring": (
        "The old secret of webhook {webhook} is good until {ends_at}",
        "After that what it gets is signed with the new one alone. Does its receiver know that one?",
    ),
    "webhook.disabled": (
        "Webhook {webhook} was disabled, for it took nothing for five days",
        "What happens meanwhile is kept for it. Enable it when it works again.",
    ),
    "webhook.disabled.gone": (
        "Webhook {webhook} was disabled, for it said that it is gone for good",
        "It is told nothing any more. Enable it if that was a mistake.",
    ),
    "program": ("{title}", "{text}"),
}
_ALONE = ("sending",)  # there is only one
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_QUALITY = ("red", "yellow", "green")


@dataclass(frozen=True, slots=True)
class Notice:
    """`about` and `cause` as in the row. The words are those of the kind where `wording` names no others."""

    kind: Kind
    severity: Severity
    cause: str
    about: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    wording: str = ""

    @property
    def permission(self) -> Permission:
        """What it takes to see it. One of a program that is about nothing is for everybody."""
        if self.kind in _SEEN_BY:
            return _SEEN_BY[self.kind]
        return "notifications.read" if self.about is None else ABOUT[self.about.partition(":")[0]][1]


def forms() -> list[str]:
    """How to say what a notice is about."""
    return [kind if kind in _ALONE else f"{kind}:{{id}}" for kind in ABOUT]


def is_about_something(about: str) -> bool:
    kind, colon, number = about.partition(":")
    if kind in _ALONE:
        return not colon
    return kind in ABOUT and _NUMBER.fullmatch(number) is not None


def path(about: str | None) -> str | None:
    """Where the API has what a notice is about."""
    if about is None:
        return None
    kind, _, number = about.partition(":")
    return ABOUT[kind][0].format(id=number)


def said(wording: str, params: Mapping[str, Any]) -> tuple[str, str]:
    """Title and text in English. Also of words or values that are no longer known: rows outlive versions."""
    values = _Values({name: ", ".join(one) if isinstance(one, list) else one for name, one in params.items()})
    if "reason" in params:
        values["because"] = explained(params["reason"])
    title, text = WORDS.get(wording, (wording, ""))
    return title.format_map(values), text.format_map(values).strip()


class _Values(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "…"


# ---- each of them -------------------------------------------------------------------------------------------


def campaign_finished(campaign: Campaign, occurrence: Occurrence, *, nobody: bool, unknown: bool) -> Notice:
    more = ".unknown" if unknown else ".nobody" if nobody else ""
    return Notice(
        "campaign.finished",
        "warning" if more else "success",
        # Trying again makes it run again, and finish again.
        cause=f"campaign:{campaign.id}:occurrence:{occurrence.number}:finished:{campaign.launches}",
        about=f"campaign:{campaign.id}",
        params={"name": campaign.name, "occurrence": occurrence.number},
        wording=f"campaign.finished{more}",
    )


def campaign_missed(campaign: Campaign, occurrence: Occurrence) -> Notice:
    return Notice(
        "campaign.missed",
        "warning",
        cause=f"campaign:{campaign.id}:occurrence:{occurrence.number}:missed",
        about=f"campaign:{campaign.id}",
        params={
            "name": campaign.name,
            "occurrence": occurrence.number,
            "due_at": occurrence.due_at.isoformat(timespec="minutes"),
            "reason": occurrence.reason,
        },
    )


def campaign_paused(campaign: Campaign, *, at: datetime) -> Notice:
    is_well = campaign.state_reason == "canary_passed"
    return Notice(
        "campaign.paused",
        "info" if is_well else "problem",
        cause=f"campaign:{campaign.id}:paused:{campaign.launches}:{at.isoformat()}",
        about=f"campaign:{campaign.id}",
        params={"name": campaign.name, "reason": campaign.state_reason},
        wording="campaign.paused.canary_passed" if is_well else "campaign.paused",
    )


def sender_stopped(sender: Sender, *, at: datetime) -> Notice:
    """It is in another state than active now."""
    kind: Kind = "sender.paused"
    if sender.state in ("suspect", "blocked"):
        kind = "sender.suspect" if sender.state == "suspect" else "sender.blocked"
    elif sender.state_reason == "token_expired":
        kind = "sender.token_expired"
    return Notice(
        kind,
        "problem",
        cause=f"sender:{sender.id}:{sender.state}:{at.isoformat()}",
        about=f"sender:{sender.id}",
        params={"name": sender.name, "reason": sender.state_reason},
    )


def sender_heard(sender: Sender, *, at: datetime) -> Notice:
    cause, params = f"sender:{sender.id}:heard:{at.isoformat()}", {"name": sender.name}
    return Notice("sender.heard", "success", cause=cause, about=f"sender:{sender.id}", params=params)


def quality_fell(sender: Sender, was: str | None, *, at: datetime) -> Notice | None:
    """None where it did not; WhatsApp rates green, yellow, red, or says that it does not know yet."""
    before, now = (was or "").lower(), (sender.quality or "").lower()
    if before not in _QUALITY or now not in _QUALITY or _QUALITY.index(now) >= _QUALITY.index(before):
        return None
    return Notice(
        "sender.quality_fell",
        "problem" if now == "red" else "warning",
        cause=f"sender:{sender.id}:quality:{now}:{at.isoformat()}",
        about=f"sender:{sender.id}",
        params={"name": sender.name, "quality": now, "was": before},
    )


def template_stopped(template: Template, language: str, status: str, *, at: datetime) -> Notice:
    return Notice(
        "template.stopped",
        "problem",
        cause=f"template:{template.id}:{language}:{status}:{at.isoformat()}",
        about=f"template:{template.id}",
        params={"name": template.name, "language": language, "status": status},
    )


def import_ended(job: Import, *, failed: bool) -> Notice:
    return Notice(
        "import.finished",
        "problem" if failed else "warning",
        cause=f"import:{job.id}:finished",
        about=f"import:{job.id}",
        params={"filename": job.filename, "rejected": job.rejected, "taken": job.rows - job.rejected},
        wording="import.failed" if failed else "import.finished",
    )


def backup_restored(*, senders: int, unknown: int, at: datetime) -> Notice:
    return Notice(
        "backup.restored",
        "warning",
        cause=f"backup:restored:{at.isoformat()}",
        params={"senders": senders, "unknown": unknown},
    )


def key_made(key: ApiKey) -> Notice:
    params = {"name": key.name, "scopes": list(key.scopes)}
    return Notice("api_key.made", "info", cause=f"api_key:{key.id}:made", about=f"api_key:{key.id}", params=params)


def key_revoked(key: ApiKey) -> Notice:
    cause, params = f"api_key:{key.id}:revoked", {"name": key.name}
    return Notice("api_key.revoked", "info", cause=cause, about=f"api_key:{key.id}", params=params)


def sign_ins_failed(user_id: int | None, *, at: datetime) -> Notice:
    """To one account, or from one place; each once an hour, however many tries there are."""
    about, which = (None, "network") if user_id is None else (f"user:{user_id}", "account")
    cause = f"{about or 'network'}:sign_ins:{at:%Y-%m-%dT%H}"
    return Notice("sign_ins.failed", "warning", cause=cause, about=about, wording=f"sign_ins.failed.{which}")


def made_admin(user: User, *, at: datetime) -> Notice:
    cause, params = f"user:{user.id}:admin:{at.isoformat()}", {"name": user.name or user.email}
    return Notice("user.made_admin", "warning", cause=cause, about=f"user:{user.id}", params=params)


def sending_switched(*, is_on: bool, reason: str, at: datetime) -> Notice:
    return Notice(
        "sending.switched",
        "info" if is_on else "warning",
        cause=f"sending:{'on' if is_on else 'off'}:{at.isoformat()}",
        about="sending",
        params={"reason": reason},
        wording=f"sending.{'on' if is_on else 'off'}",
    )


def of_program(severity: Severity, title: str, text: str, *, about: str | None, cause: str, **more: str) -> Notice:
    """What a program that uses the API has to say, in its own words; `more` is kept with them."""
    params = {"title": title, "text": text, **more}
    return Notice("program", severity, cause=cause, about=about, params=params)


def webhook_failing(webhook: Webhook, percent: int) -> Notice:
    cause = f"failing:{webhook.failing_since}:{percent}"
    return _of_webhook(webhook, "webhook.failing", "warning", cause, percent=percent)


def webhook_exhausted(webhook: Webhook, *, at: datetime) -> Notice:
    """Once an hour, however many it is."""
    return _of_webhook(webhook, "webhook.exhausted", "warning", f"exhausted:{at:%Y-%m-%dT%H}")


def webhook_secret_expiring(webhook: Webhook, *, ends_at: datetime) -> Notice:
    cause, shown = f"secret_expiring:{ends_at.isoformat()}", ends_at.isoformat(timespec="seconds")
    return _of_webhook(webhook, "webhook.secret_expiring", "info", cause, ends_at=shown)


def webhook_disabled(webhook: Webhook) -> Notice:
    """By itself."""
    wording = "webhook.disabled.gone" if webhook.disabled_reason == "gone" else "webhook.disabled"
    return _of_webhook(webhook, "webhook.disabled", "problem", f"disabled:{webhook.disabled_at}", wording=wording)


def _of_webhook(
    webhook: Webhook, kind: Kind, severity: Severity, cause: str, *, wording: str = "", **params: Any
) -> Notice:
    about = f"webhook:{webhook.id}"
    said = {"webhook": webhook.id, **params}
    return Notice(kind, severity, cause=f"{about}:{cause}", about=about, params=said, wording=wording)
