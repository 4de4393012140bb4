"""The templates of a WhatsApp account, taken in: new ones made, known ones brought up to date, gone ones marked."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select, text

from core import senders, template_slots, template_status, templates
from core.bootstrap import Platform
from core.database import Tx, is_postgres
from core.errors import Conflict, Invalid
from core.events import TemplateSaved, publish
from core.models import Sender, Template, TemplateVariant
from core.ports import AccountTemplate, SendError, TemplateChanged, TemplateSource
from core.template_slots import PLACEHOLDER, unfillable
from core.wordings import mapping, tag, text_of, variables

_LOCK = 7_726_007
_MAX_NAME = 100
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """A template that is at WhatsApp and cannot be sent from here, and why."""

    name: str
    language: str
    message: str


@dataclass(slots=True)
class Synced:
    """Counts languages of templates, not templates."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    problems: list[Problem] = field(default_factory=list)


async def sync(platform: Platform, sender_id: int) -> Synced:
    """Ask WhatsApp for the templates of a sender's account and take them in. Safe to repeat at any time."""
    async with platform.database.reading() as tx:
        sender = await senders.get(tx, sender_id)
    connector = await platform.connectors.open(senders.config(sender, platform.key))
    try:
        if not isinstance(connector, TemplateSource):
            raise Invalid(f"Sender {sender.name!r} keeps no templates at WhatsApp.", field="sender_id")
        found = await connector.templates()
    except SendError as error:
        raise Conflict(
            f"WhatsApp did not give the templates of sender {sender.name!r}: {error.code}.",
            field="sender_id",
            hint=f"GET /api/v3/senders/{sender_id}/health says what is wrong with the account.",
        ) from None
    finally:
        await connector.close()
    async with platform.database.transaction() as tx:
        return await take_in(tx, sender.waba_id, found, at=await platform.clock.now(tx))


async def sync_all(platform: Platform) -> dict[str, int]:
    """Each account once. One that does not answer stops no other."""
    async with platform.database.reading() as tx:
        rows = (await tx.execute(select(Sender.waba_id, Sender.id).order_by(Sender.id.desc()))).tuples()
        accounts = dict(rows.all())
    counts = {"accounts": 0, "created": 0, "updated": 0, "deleted": 0, "failed": 0}
    for sender_id in sorted(accounts.values()):
        try:
            synced = await sync(platform, sender_id)
        except (Conflict, Invalid) as error:
            logger.warning("templates_not_synced sender=%s why=%s", sender_id, error.message)
            counts["failed"] += 1
            continue
        counts["accounts"] += 1
        for name in ("created", "updated", "deleted"):
            counts[name] += getattr(synced, name)
    return counts


async def take_in(tx: Tx, waba_id: str, found: Sequence[AccountTemplate], *, at: datetime) -> Synced:
    if is_postgres(tx):  # two at once would both make what is new
        await tx.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    rows = await tx.execute(select(Template).where(Template.waba_id == waba_id).order_by(Template.id).with_for_update())
    known = rows.scalars().all()
    variants = await templates.variants(tx, [one.id for one in known])
    done = Synced()
    languages: dict[str, list[AccountTemplate]] = {}
    for one in found:
        languages.setdefault(one.name, []).append(one)
    for name, wanted in languages.items():
        mine = [one for one in known if one.cloud_name == name]
        if not mine:
            if (made := await _made(tx, waba_id, wanted, done, at=at)) is None:
                continue
            mine = [made]
        for template in mine:
            await _brought_up(tx, template, list(variants.get(template.id, ())), wanted, done, at=at)
    for template in known:
        if template.cloud_name not in languages:
            for row in templates.languages(template, variants.get(template.id, ())):
                await _gone(tx, template, row, done, at=at)
    return done


async def _made(
    tx: Tx, waba_id: str, wanted: Sequence[AccountTemplate], done: Synced, *, at: datetime
) -> Template | None:
    """With the first approved language as its own; None where none of them can be taken in."""
    for one in sorted(wanted, key=lambda one: one.status != template_status.APPROVED):
        try:
            body = _worded(one, "", None)
        except Invalid as problem:
            done.problems.append(Problem(one.name, one.language, problem.message))
            continue
        template = Template(
            name=await _free_name(tx, one.name, waba_id),
            body=body,
            language=one.language,
            defaults={},
            cloud_name=one.name,
            category=one.category,
            waba_id=waba_id,
            created_at=at,
        )
        tx.add(template)
        await tx.flush()
        return template
    return None


async def _brought_up(
    tx: Tx,
    template: Template,
    variants: list[TemplateVariant],
    wanted: Sequence[AccountTemplate],
    done: Synced,
    *,
    at: datetime,
) -> None:
    """One template and its languages as the account has them now."""
    before = done.created, done.updated
    template.synced_at = at
    own = next((one for one in wanted if tag(one.language) == tag(template.language)), wanted[0])
    if template.category != own.category:
        template.category = own.category
        done.updated += 1
    rows = {tag(one.language): one for one in reversed(templates.languages(template, variants))}
    for one in wanted:
        row = rows.pop(tag(one.language), None)
        is_new = row is None or row.components is None
        try:
            body = _worded(one, row.body if row else "", row.components if row else None)
        except Invalid as problem:
            done.problems.append(Problem(one.name, one.language, problem.message))
            if row is not None:
                await _move(tx, template, row, one, at=at)
            continue
        if what := unfillable(one.components):
            done.problems.append(
                Problem(one.name, one.language, f"It has {what}, which cannot be filled in from here.")
            )
        if row is None:
            row = TemplateVariant(
                template_id=template.id, language=one.language, body=body, defaults={}, status=one.status, created_at=at
            )
            tx.add(row)
        components = [dict(part) for part in one.components]
        changed = row.body != body or row.components != components or row.status != one.status
        row.body, row.components = body, components
        filled_by = template_slots.variables(components, row.slots)
        row.slots = template_slots.chosen(components, filled_by)
        used = {*variables(body), *filled_by.values()}
        row.defaults = {name: value for name, value in row.defaults.items() if name in used}
        await _move(tx, template, row, one, at=at)
        done.created += is_new
        done.updated += changed and not is_new
    for row in rows.values():
        await _gone(tx, template, row, done, at=at)
    await tx.flush()
    if before != (done.created, done.updated):
        await publish(tx, TemplateSaved(template_id=template.id), at=at)


async def _move(
    tx: Tx, template: Template, row: Template | TemplateVariant, now: AccountTemplate, *, at: datetime
) -> None:
    is_used = row.status != now.status and await template_status.move(tx, template, row, now.status, at=at)
    if is_used and now.status in template_status.STOPPING and template.waba_id is not None:
        change = TemplateChanged(template.waba_id, now.name, row.language, status=now.status)
        await template_status.pause_campaigns(tx, change, at=at)


async def _gone(tx: Tx, template: Template, row: Template | TemplateVariant, done: Synced, *, at: datetime) -> None:
    if row.status != template_status.DELETED:
        gone = AccountTemplate(template.cloud_name or "", row.language, "", template_status.DELETED, ())
        await _move(tx, template, row, gone, at=at)
        done.deleted += 1


def _worded(one: AccountTemplate, body: str, components: Sequence[dict[str, object]] | None) -> str:
    """Meta's text with our variables in it: those it had under the same placeholder, or new ones (`{{1}}` is
    `{v1}`, `{{first_name}}` is `{first_name}`)."""
    theirs = text_of(one.components)
    if not theirs.strip():
        raise Invalid("It has no text.")
    names = mapping(body, components) if components else {}
    worded = PLACEHOLDER.sub(lambda found: f"{{{names.get(found[1]) or _variable(found[1])}}}", theirs)
    variables(worded)
    return worded


def _variable(placeholder: str) -> str:
    return f"v{placeholder}" if placeholder.isdecimal() else placeholder


async def _free_name(tx: Tx, name: str, waba_id: str) -> str:
    """Meta's name where it is free: names of templates are ours, and one for each."""
    for end in ("", f" ({waba_id})", *(f" ({waba_id}, {number})" for number in range(2, 1_000))):
        free = name[: _MAX_NAME - len(end)] + end
        if not (await tx.execute(select(Template.id).where(Template.name == free))).first():
            return free
    raise Conflict(f"There are too many templates named {name[:_MAX_NAME]!r}.", field="name")
