"""Messages with `{name}` variables, as in 2.3.0, in one language or several. Their filling is in `wordings`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, delete, or_, select

from core import media, template_slots
from core.content import MAX_CAPTION, MAX_TEXT, Content, Header, Media, Text
from core.content import Template as TemplateContent
from core.database import Tx
from core.errors import Conflict, Invalid, NotFound
from core.events import TemplateMoved, TemplateSaved, publish
from core.listing import Order, some
from core.models import Campaign, CampaignVariant, Template, TemplateVariant
from core.template_slots import unfillable
from core.wordings import Family, MissingVariable, mapping, media_of, tag, variables

__all__ = ["Family", "MissingVariable", "render", "variables"]

_MAX_BODY = 1024  # Meta's limit of a template's body
_MAX_SLOT = {"header": 60, "url": 2_000, "copy_code": 15}  # and of what is filled in around it


def render(template: Template | Family, values: Mapping[str, Any], *, language: str | None = None) -> Content:
    """The message for one person who reads `language`; raises `MissingVariable`. Who writes to many gives the
    `Family`, which is prepared once."""
    known = Family.of(template) if isinstance(template, Template) else template
    return known.wording(language).fill(values)


def is_too_long(content: Content) -> bool:
    """Longer than WhatsApp takes, with the person's values filled in."""
    match content:
        case TemplateContent(text=text, slots=slots):
            return len(text) > MAX_TEXT or any(len(slot.value) > _MAX_SLOT[slot.place] for slot in slots)
        case Text(body=text):
            return len(text) > MAX_TEXT
        case Media(caption=text):
            return len(text or "") > MAX_CAPTION
        case _:
            return False


async def create(
    tx: Tx,
    *,
    name: str,
    body: str,
    language: str = "en",
    defaults: Mapping[str, str] | None = None,
    cloud_name: str | None = None,
    header: Mapping[str, Any] | None = None,
    at: datetime,
) -> Template:
    check(body, defaults or {})
    if (await tx.execute(select(Template.id).where(Template.name == name))).first():
        raise Conflict(f"There is a template named {name!r} already.", field="name")
    template = Template(
        name=name,
        body=body,
        language=language,
        defaults=dict(defaults or {}),
        cloud_name=cloud_name,
        header=await _header(tx, header),
        created_at=at,
    )
    tx.add(template)
    await tx.flush()
    await publish(tx, TemplateSaved(template_id=template.id), at=at)
    return template


async def get(tx: Tx, template_id: int, *, lock: bool = False) -> Template:
    template = await tx.get(Template, template_id, with_for_update=True if lock else None)
    if template is None:
        raise NotFound(f"There is no template {template_id}.", field="template_id")
    return template


async def listed(
    tx: Tx, *, after: int, limit: int, order: Order = "oldest", name: str | None = None
) -> Sequence[Template]:
    query = some(select(Template), Template.id, after=after, limit=limit, order=order)
    if name is not None:
        query = query.where(Template.name == name)
    return (await tx.execute(query)).scalars().all()


async def variants(tx: Tx, template_ids: Sequence[int]) -> Mapping[int, Sequence[TemplateVariant]]:
    """The other languages of each template that has some."""
    rows = await tx.execute(
        select(TemplateVariant).where(TemplateVariant.template_id.in_(template_ids)).order_by(TemplateVariant.id)
    )
    found: dict[int, list[TemplateVariant]] = {}
    for row in rows.scalars():
        found.setdefault(row.template_id, []).append(row)
    return found


def languages(template: Template, others: Sequence[TemplateVariant]) -> list[Template | TemplateVariant]:
    return [template, *others]


async def family(tx: Tx, template_id: int) -> Family:
    """The template in all its languages, for filling in; load it once and keep it, it holds no row."""
    template = await get(tx, template_id)
    return Family.of(template, (await variants(tx, [template_id])).get(template_id, ()))


async def check_sendable(tx: Tx, template: Template, waba_id: str) -> None:
    """Raises `Conflict` where WhatsApp would refuse every message of it from this account, as far as we know. One
    made by hand is known by what the account's own template of its name says, once that was synced."""
    if template.cloud_name is None:
        return
    if template.waba_id not in (None, waba_id):
        raise Conflict(f"Template {template.name!r} is of another WhatsApp account.", field="template_id")
    status = template.status if template.waba_id else await _status_at(tx, waba_id, template)
    if status not in (None, "approved"):
        raise Conflict(
            f"WhatsApp has template {template.name!r} as {status}; only an approved one can be sent.",
            field="template_id",
            hint="If that is old, sync the templates of the sender.",
        )
    if not template.components:
        return
    if what := unfillable(template.components):
        raise Conflict(f"Template {template.name!r} has {what}, which cannot be filled in yet.", field="template_id")
    media = media_of(template.components)
    if media and (template.header or {}).get("type") != media:
        raise Conflict(
            f"Template {template.name!r} needs its {media} above its text.",
            field="template_id",
            hint=f'Give the template a header: {{"type": "{media}", "link": "https://…"}}',
        )


async def _status_at(tx: Tx, waba_id: str, template: Template) -> str | None:
    rows = await tx.execute(
        select(Template).where(Template.waba_id == waba_id, Template.cloud_name == template.cloud_name)
    )
    synced = rows.scalars().all()
    others = await variants(tx, [one.id for one in synced])
    known = (row for one in synced for row in languages(one, others.get(one.id, ())))
    return next((row.status for row in known if tag(row.language) == tag(template.language)), None)


# ---- changes ------------------------------------------------------------------------------------------------


async def change(tx: Tx, template_id: int, changes: Mapping[str, Any], *, at: datetime) -> Template:
    """`changes` names any of name, body, defaults, header, slots, language and cloud_name; a header or cloud_name of
    None takes it away. The last two are Meta's where it comes from there, and only there are slots."""
    template = await get(tx, template_id, lock=True)
    await _refuse_while_running(tx, template_id)
    language, cloud_name = changes.get("language", template.language), changes.get("cloud_name", template.cloud_name)
    if template.waba_id is not None and (language, cloud_name) != (template.language, template.cloud_name):
        field = "language" if language != template.language else "cloud_name"
        raise Conflict("This template comes from WhatsApp; its name and language there stay.", field=field)
    if tag(language) != tag(template.language) and await _variant(tx, template_id, language) is not None:
        raise Conflict(f"There is a variant in {language} already.", field="language", hint="Delete the variant first.")
    template.language, template.cloud_name = language, cloud_name
    name = changes.get("name", template.name)
    if name != template.name and (await tx.execute(select(Template.id).where(Template.name == name))).first():
        raise Conflict(f"There is a template named {name!r} already.", field="name")
    template.name = name
    await _reword(tx, template, changes)
    await publish(tx, TemplateSaved(template_id=template_id), at=at)
    return template


async def save_variant(
    tx: Tx, template_id: int, language: str, changes: Mapping[str, Any], *, at: datetime
) -> TemplateVariant:
    """Add the template in another language, or change it there; `changes` as for `change`."""
    template = await get(tx, template_id, lock=True)
    await _refuse_while_running(tx, template_id)
    if tag(language) == tag(template.language):
        raise Conflict(f"The template itself is in {template.language}.", field="language", hint="Change the template.")
    variant = await _variant(tx, template_id, language)
    if variant is None:
        if template.waba_id is not None:
            raise Conflict(
                "This template's languages are those it has at Meta.",
                field="language",
                hint="Add the language at Meta; it comes with the next sync.",
            )
        variant = TemplateVariant(
            template_id=template_id, language=language.strip(), body="", defaults={}, created_at=at
        )
        changes = {"body": "", **changes}
    await _reword(tx, variant, changes)
    tx.add(variant)
    await tx.flush()
    await publish(tx, TemplateSaved(template_id=template_id), at=at)
    return variant


async def remove_variant(tx: Tx, template_id: int, language: str, *, at: datetime) -> None:
    template = await get(tx, template_id, lock=True)
    await _refuse_while_running(tx, template_id)
    variant = await _variant(tx, template_id, language)
    if variant is None:
        raise NotFound(f"Template {template_id} is not there in {language!r}.", field="language")
    if template.waba_id is not None and variant.status != "deleted":
        raise Conflict("This language is still at Meta.", field="language", hint="Remove it there, then sync.")
    await tx.delete(variant)
    await tx.flush()
    await publish(tx, TemplateSaved(template_id=template_id), at=at)


async def remove(tx: Tx, template_id: int, *, at: datetime) -> None:
    """Only one that no campaign ever used: a campaign's record says what it sent."""
    template = await get(tx, template_id, lock=True)
    used = (await tx.execute(select(Campaign.id).where(_uses(template_id)).limit(1))).scalar()
    if used is not None:
        raise Conflict(f"Campaign {used} uses this template.", field="template_id")
    await tx.execute(delete(TemplateVariant).where(TemplateVariant.template_id == template_id))
    await tx.delete(template)
    await tx.flush()
    await publish(tx, TemplateMoved(template_id=template_id, what="removed"), at=at)


async def _variant(tx: Tx, template_id: int, language: str) -> TemplateVariant | None:
    known = (await variants(tx, [template_id])).get(template_id, ())
    return next((one for one in known if tag(one.language) == tag(language)), None)


async def _refuse_while_running(tx: Tx, template_id: int) -> None:
    running = (_uses(template_id), Campaign.state.in_(("running", "holding")))
    if (used := (await tx.execute(select(Campaign.id).where(*running).limit(1))).scalar()) is not None:
        raise Conflict(
            f"Campaign {used} is sending this template now.", field="template_id", hint=f"Pause campaign {used} first."
        )


def _uses(template_id: int) -> ColumnElement[bool]:
    """A condition on `Campaign`: it names this template, for itself or for a variant."""
    its = select(CampaignVariant.campaign_id).where(CampaignVariant.template_id == template_id)
    return or_(Campaign.template_id == template_id, Campaign.id.in_(its))


async def _reword(tx: Tx, row: Template | TemplateVariant, changes: Mapping[str, Any]) -> None:
    body = changes.get("body", row.body)
    chosen = template_slots.chosen(row.components, changes.get("slots", row.slots or {}))
    others = list(template_slots.variables(row.components, chosen).values())
    defaults = changes.get("defaults")
    if defaults is None:  # those given before are kept where the body still has them
        known = [*variables(body), *others]
        defaults = {name: value for name, value in row.defaults.items() if name in known}
    if row.components:
        mapping(body, row.components)
    check(body, defaults, others)
    row.body, row.defaults, row.slots = body, dict(defaults), chosen
    if "header" in changes:
        row.header = await _header(tx, changes["header"])


def check(body: str, defaults: Mapping[str, str], others: Sequence[str] = ()) -> None:
    """Raises `Invalid` where no template could be made of it. `others` are variables outside the body."""
    if not body.strip() or len(body) > _MAX_BODY:
        raise Invalid(f"A template has 1 to {_MAX_BODY} characters; this has {len(body)}.", field="body")
    used = [*variables(body), *others]
    if unknown := sorted(set(defaults) - set(used)):
        raise Invalid(
            f"There is a default for {unknown[0]!r}, but the body has no such variable.",
            field="defaults",
            hint=f"Variables of the template: {', '.join(used) or 'none'}.",
        )


async def _header(tx: Tx, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    try:
        header = Header.model_validate(dict(given))
    except ValidationError as error:
        raise Invalid(
            error.errors()[0]["msg"].removeprefix("Value error, "),
            field="header",
            hint='{"type": "image", "link": "https://…"}; the types are image, video and document.',
        ) from None
    if header.media_id is not None:
        await media.usable(tx, header.media_id, header.type, field="header.media_id")
    return header.model_dump(exclude_none=True)
