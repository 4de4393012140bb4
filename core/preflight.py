"""What a campaign would do if it were launched now, found with the code of the real send. Sends nothing."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache

import phonenumbers
from sqlalchemy import func, select

from core import audiences, campaigns, canaries, occurrences, pacing, quiet, rates, senders, templates, variants
from core.addressing import Addressed, Row, addressed
from core.bootstrap import Platform
from core.canaries import Canary
from core.content import Content, Text
from core.database import Tx
from core.forecast import Budgets, Forecast, forecast
from core.models import Campaign, Contact, Identity, Recipient, Schedule, Sender
from core.permission import Rules, look_at

_CHUNK = 2_000
_EXAMPLES = 3
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cost:
    """`each` and `total` are None where the rate file has no line for this country."""

    recipients: int
    each: Decimal | None
    total: Decimal | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Preflight:
    """`excluded` by reason; with the `recipients` it makes up `people`. `missing` counts people by variable.
    `us_marketing`: numbers of the United States, to which WhatsApp delivers no marketing. `asleep` are among the
    recipients. `variants`: how many of the recipients get which, by its name. `canary`: about how
    many of them go first; the forecast has its hold."""

    people: int
    recipients: int
    excluded: Mapping[str, int]
    missing: Mapping[str, int]
    variants: Mapping[str, int]
    canary: int | None
    asleep: int
    us_marketing: int
    costs: Mapping[str, Cost]
    forecast: Forecast
    examples: Sequence[str]
    at: datetime


async def check(platform: Platform, campaign_id: int) -> Preflight:
    """Look at everybody in the audience, in a snapshot. The forecast is kept with the campaign, to be compared."""
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        found = await _look(tx, platform, await campaigns.get(tx, campaign_id), now=now)
    async with platform.database.transaction() as tx:
        campaign = await campaigns.get(tx, campaign_id, lock=True)
        if campaign.state in (campaigns.DRAFT, campaigns.SCHEDULED):
            campaign.forecast = {
                "recipients": found.recipients,
                "finishes_at": found.forecast.finishes_at and found.forecast.finishes_at.isoformat(),
                "limited_by": found.forecast.limited_by,
                "at": now.isoformat(),
            }
    return found


@dataclass(slots=True)
class _Sums:
    people: int
    excluded: Counter[str]
    missing: Counter[str]
    countries: Counter[tuple[str, str]]  # with the template's category
    wakes: Counter[datetime]
    opening: int
    variants: Counter[int]
    examples: dict[int, list[str]]  # by variant


async def _look(tx: Tx, platform: Platform, campaign: Campaign, *, now: datetime) -> Preflight:
    sender = await senders.get(tx, campaign.sender_id)
    lots = await variants.lots(tx, campaign)
    families = await variants.families(tx, campaign)
    known = {one.number: one for one in await variants.of_one(tx, campaign.id)}
    categories = {
        number: (await templates.get(tx, (number and known[number].template_id) or campaign.template_id)).category
        for number in families
    }
    connector = await platform.connectors.open(senders.config(sender, platform.key))
    capabilities = connector.capabilities
    await connector.close()
    rules = Rules.of(campaign.purpose, platform.settings, capabilities)
    sums = _Sums(0, Counter(), Counter(), Counter(), Counter(), 0, Counter(), {})
    async for ids in _members(tx, campaign):
        had = await _had_it(tx, campaign, ids)
        people = await look_at(tx, sender.id, ids, rules, now=now)
        gets = {one: lots.variant(one) or 0 for one in ids}
        found = addressed(await _rows(tx, ids, gets), families)
        zones = await _zones(tx, ids) if campaign.quiet_hours else {}
        for contact_id in ids:
            sums.people += 1
            if contact_id in had:
                sums.excluded["had_it_before"] += 1
                continue
            person = people.get(contact_id)
            letter = found.letters.get(contact_id)
            # In the order of the real send: planning looks at the person, claiming at the message, the intent at both.
            why = rules.bar(person, Text.model_construct(body="")) if person else "erased"
            if why not in ("opted_out", "unverified") and person and lots.held_out(contact_id):
                why = campaigns.HOLDOUT
            elif why not in ("opted_out", "unverified"):
                why = _why_no_letter(found, contact_id) or (rules.bar(person, letter[2]) if letter else None)
            if why is not None or letter is None or person is None:
                sums.excluded[(why or "erased").partition(":")[0]] += 1
                if why and why.startswith("missing_variable:"):
                    sums.missing[why.partition(":")[2]] += 1
                continue
            variant = gets[contact_id]
            sums.variants[variant] += 1
            sums.countries[country(letter[1].value), categories[variant]] += 1
            sums.wakes[_wakes(campaign, letter[1].value, zones.get(contact_id), now=now)] += 1
            sums.opening += not person.recent
            if len(said := sums.examples.setdefault(variant, [])) < _EXAMPLES:
                said.append(_text(letter[2]))
    canary = canaries.of(campaign)
    recipients = sum(sums.countries.values())
    budgets = await _budgets(tx, sender, campaign, now=now)
    priced = rates.read(platform.settings.data_dir / rates.FILE, on=now.date())
    return Preflight(
        people=sums.people,
        recipients=recipients,
        excluded=dict(sums.excluded),
        missing=dict(sums.missing),
        asleep=sum(count for moment, count in sums.wakes.items() if moment > now),
        canary=_goes_first(canary, recipients, people=sums.people),
        variants={one.name: sums.variants[number] for number, one in known.items()},
        us_marketing=sums.countries["US", "marketing"],
        costs=_costs(sums.countries, priced),
        forecast=_with_hold(forecast(sums.wakes, opening=sums.opening, budgets=budgets, now=now), canary),
        examples=_examples(sums.examples),
        at=now,
    )


def _goes_first(canary: Canary | None, recipients: int, *, people: int) -> int | None:
    if canary is None:
        return None
    share = canary.percent if canary.percent is not None else 100 * (canary.count or 0) / max(1, people)
    return min(recipients, max(1, round(recipients * share / 100)))


def _with_hold(found: Forecast, canary: Canary | None) -> Forecast:
    if canary is None or found.finishes_at is None:
        return found
    return replace(found, finishes_at=found.finishes_at + timedelta(minutes=canary.hold_minutes))


async def _had_it(tx: Tx, campaign: Campaign, ids: Sequence[int]) -> set[int]:
    schedule = await tx.get(Schedule, campaign.id)
    if schedule is None or schedule.include_earlier:
        return set()
    return await occurrences.who_had_it(tx, campaign.id, ids)


def _why_no_letter(found: Addressed, contact_id: int) -> str | None:
    return None if contact_id in found.letters else found.barred.get(contact_id, "erased")


def _text(content: Content) -> str:
    return str(getattr(content, "text", None) or getattr(content, "body", ""))


async def _members(tx: Tx, campaign: Campaign) -> AsyncIterator[Sequence[int]]:
    """The audience as of now, chunk by chunk."""
    chosen = await audiences.members(tx, campaign.audience)
    member = chosen.selected_columns.id
    after = 0
    while True:
        ids = (await tx.execute(chosen.where(member > after).order_by(member).limit(_CHUNK))).scalars().all()
        if not ids:
            return
        yield ids
        after = ids[-1]


async def _rows(tx: Tx, ids: Sequence[int], gets: Mapping[int, int]) -> list[Row]:
    rows = await tx.execute(
        select(
            Contact.id,
            Contact.name,
            Contact.language,
            Contact.attributes,
            Identity.kind,
            Identity.value,
        )
        .outerjoin(Identity, Identity.contact_id == Contact.id)
        .where(Contact.id.between(ids[0], ids[-1]), Contact.id.in_(ids))
        .order_by(Contact.id, Identity.id)
    )
    return [
        Row(key, key, name, language, attributes, kind, value, gets[key])
        for key, name, language, attributes, kind, value in rows
    ]


async def _zones(tx: Tx, ids: Sequence[int]) -> Mapping[int, str]:
    rows = await tx.execute(
        select(Contact.id, Contact.timezone).where(Contact.id.in_(ids), Contact.timezone.is_not(None))
    )
    return {row.id: row.timezone for row in rows}


def _wakes(campaign: Campaign, address: str, own: str | None, *, now: datetime) -> datetime:
    if campaign.quiet_hours is None:
        return now
    phone = address if address.startswith("+") else None
    night = quiet.sleep(quiet.parsed(campaign.quiet_hours), now=now, own=own, phone=phone, campaign=campaign.timezone)
    return night.until if night else now


async def _budgets(tx: Tx, sender: Sender, campaign: Campaign, *, now: datetime) -> Budgets:
    left = await pacing.allowance(tx, sender, now=now)
    others = (
        select(func.count())
        .select_from(Recipient)
        .join(Campaign, Campaign.id == Recipient.campaign_id)
        .where(
            Campaign.sender_id == sender.id,
            Campaign.state == campaigns.RUNNING,
            Campaign.id != campaign.id,
            Recipient.state == "queued",
        )
    )
    return Budgets(
        rate=sender.rate,
        ahead=(await tx.execute(others)).scalar_one(),
        messages_left=left.messages,
        messages_per_day=sender.daily_cap,
        conversations_left=left.conversations,
        conversations_per_day=pacing.most_conversations(sender, now=now),
    )


@lru_cache(maxsize=65_536)
def country(address: str) -> str:
    """Two letters, or `unknown`."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(address)) or UNKNOWN
    except phonenumbers.NumberParseException:
        return UNKNOWN


def _costs(counts: Mapping[tuple[str, str], int], priced: Mapping[tuple[str, str], rates.Rate]) -> dict[str, Cost]:
    """By country. Where variants are of several categories there is no price of each, and without the rate of one of
    them no total."""
    found: dict[str, Cost] = {}
    for (one, category), count in counts.items():
        rate = priced.get((one, category))
        cost = _cost(count, rate)
        found[one] = _together(found[one], cost) if one in found else cost
    return found


def _cost(count: int, rate: rates.Rate | None) -> Cost:
    if rate is None:
        return Cost(recipients=count, each=None, total=None, currency=None)
    return Cost(recipients=count, each=rate.price, total=rate.price * count, currency=rate.currency)


def _together(one: Cost, other: Cost) -> Cost:
    is_known = one.total is not None and other.total is not None and one.currency == other.currency
    return Cost(
        recipients=one.recipients + other.recipients,
        each=one.each if one.each == other.each else None,
        total=(one.total or Decimal()) + (other.total or Decimal()) if is_known else None,
        currency=one.currency if is_known else None,
    )


def _examples(found: Mapping[int, Sequence[str]]) -> list[str]:
    """Some of each variant in turn, so that each is seen."""
    if len(found) <= 1:
        return [text for said in found.values() for text in said]
    return [said[0] for _, said in sorted(found.items())]
