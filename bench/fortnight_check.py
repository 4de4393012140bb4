"""What came of a simulated fortnight, held against what may be: by WhatsApp's books, not only by ours."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from bench.fortnight_plan import Plan, zone_of
from cli.oracle import Book, Verdict, compare
from core.bootstrap import Platform
from core.events import SenderMoved
from core.models import Campaign, Event, Identity, Message, Occurrence, Recipient, Suppression

DAY_S = 86_400.0
_WEEK_S = 7 * DAY_S
_FINAL = {"sent", "failed", "skipped", "unknown"}
_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Facts:
    """`requests` and `inbounds` are rows of the simulator's ledger, the others ours, by campaign.
    `by_occurrence`: how many recipients of each state, by campaign and the number of the occurrence."""

    plan: Plan
    began: datetime
    campaigns: Sequence[Campaign]
    recipients: Mapping[int, Sequence[tuple[str, str | None]]]
    occurrences: Mapping[int, Sequence[Occurrence]]
    by_occurrence: Mapping[tuple[int, int], Counter[str]]
    requests: Sequence[Mapping[str, Any]]
    inbounds: Sequence[Mapping[str, Any]]
    verdict: Verdict
    after_a_stop: int
    purposes: Mapping[str, str]
    stopped: Mapping[str, int]  # what was paused, and why


async def gathered(
    plan: Plan, platform: Platform, simulator_url: str, campaign_ids: Sequence[int], *, began: datetime
) -> Facts:
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def rows(kind: str) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            after: int | None = 0
            while after is not None:
                async with session.get(f"{simulator_url}/_sim/ledger/{kind}?after={after}&limit={_PAGE}") as answer:
                    page = await answer.json()
                found += page["data"]
                after = page["next_after"]
            return found

        requests, statuses, inbounds = await rows("requests"), await rows("statuses"), await rows("inbounds")
    async with platform.database.reading() as tx:
        of = (
            (await tx.execute(select(Campaign).where(Campaign.id.in_(campaign_ids)).order_by(Campaign.id)))
            .scalars()
            .all()
        )
        begun = select(Occurrence).where(Occurrence.campaign_id.in_(campaign_ids)).order_by(Occurrence.id)
        occurrences = (await tx.execute(begun)).scalars().all()
        query = select(
            Recipient.campaign_id,
            Recipient.occurrence,
            Recipient.state,
            Recipient.reason,
            Message.client_id,
            Campaign.purpose,
        )
        query = query.join(Campaign, Campaign.id == Recipient.campaign_id)
        found = (await tx.execute(query.outerjoin(Message, Message.recipient_id == Recipient.id))).all()
        late = await tx.execute(
            select(Message.id)
            .join(Identity, Identity.contact_id == Message.contact_id)
            .join(Suppression, Suppression.identity_hash == Identity.value_hash)
            .where(Message.direction == "out", Message.at > Suppression.created_at)
        )
        after_a_stop = len(late.all())
        moves = (
            await tx.execute(select(Event.data).where(Event.type.in_(("campaign.paused", SenderMoved.TYPE))))
        ).scalars()
        stopped = Counter(
            f"{'campaign' if 'campaign_id' in one else 'sender'}: {one['reason']}"
            for one in moves
            if "paused" in (one.get("what"), one.get("state"))
        )
    recipients: dict[int, list[tuple[str, str | None]]] = {one: [] for one in campaign_ids}
    by_occurrence: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    for row in found:
        recipients[row.campaign_id].append((row.state, row.reason))
        by_occurrence[row.campaign_id, row.occurrence][row.state] += 1
    return Facts(
        plan=plan,
        began=began,
        campaigns=of,
        recipients=recipients,
        occurrences={
            one: [occurrence for occurrence in occurrences if occurrence.campaign_id == one] for one in campaign_ids
        },
        by_occurrence=by_occurrence,
        requests=requests,
        inbounds=inbounds,
        verdict=compare([Book(row.client_id, row.state) for row in found], requests, statuses),
        after_a_stop=after_a_stop,
        stopped=stopped,
        purposes={f"wq1:{row.client_id}": row.purpose for row in found if row.client_id},
    )


def problems(facts: Facts) -> list[str]:
    """Everything that is not as it has to be; empty is well."""
    wrong = [f"{number} {what}" for what, number in facts.verdict.contradictions().items() if number]
    for campaign_id, outcomes in facts.recipients.items():
        bad = [one for one in outcomes if one[0] not in _FINAL or (one[0] != "sent" and not one[1])]
        wrong += (
            [f"campaign {campaign_id}: {len(bad)} recipients without an outcome or reason, as {bad[0]}"] if bad else []
        )
        wrong += [] if outcomes else [f"campaign {campaign_id}: nobody"]
    if facts.after_a_stop:
        wrong.append(f"{facts.after_a_stop} messages after a stop")
    return [*wrong, *_recurrences(facts), *_nights(facts), *_budgets(facts), *_weeks(facts)]


def place_of(campaign: Campaign) -> int:
    return int(campaign.name.split()[-1])


def _recurrences(facts: Facts) -> Iterator[str]:
    """Each time that the rule names came to something, and nothing else did."""
    end = facts.began + timedelta(days=facts.plan.days)
    for campaign in facts.campaigns:
        asked = facts.plan.campaigns[place_of(campaign)]
        if asked.weekly is None:
            continue
        ours = [one for one in facts.occurrences[campaign.id] if one.planned_at < end]
        due = asked.weekly.dues(facts.began + timedelta(days=asked.day), end)
        if [one.planned_at for one in ours] != due:
            yield f"{campaign.name} was due {len(due)} times and has {len(ours)} other occurrences"
        for one in ours:
            if one.state == "missed" and one.reason:
                continue
            if one.state not in ("finished", "cancelled") or not facts.by_occurrence[campaign.id, one.number]:
                yield f"{campaign.name}: occurrence {one.number} is {one.state} {one.reason}"


def accepted(facts: Facts) -> list[Mapping[str, Any]]:
    return [row for row in facts.requests if row["accepted"]]


def _nights(facts: Facts) -> Iterator[str]:
    start, end = (time.fromisoformat(facts.plan.quiet_hours[name]) for name in ("from", "to"))
    for row in accepted(facts):
        local = datetime.fromtimestamp(row["at"], ZoneInfo(zone_of("+" + row["to"].lstrip("+"))))
        if local.time() >= start or local.time() < end:
            yield f"{row['to']} was written to at {local}"


def cap_of(facts: Facts, place: int, at: float) -> int | None:
    """New conversations in a moving day: the least of our cap, the warm-up's day and WhatsApp's tier."""
    asked = facts.plan.senders[place]
    days = (at - facts.began.timestamp()) / DAY_S
    tier = int(asked["tier"])
    for day, name, what in facts.plan.happenings:
        if name == "tier" and what["sender"] == place and day <= days:
            tier = int(what["tier"])
    ramp = asked.get("warm_up", ())
    of_day = ramp[int(days)] if int(days) < len(ramp) else None
    return min((one for one in (tier or None, asked.get("conversation_cap"), of_day) if one), default=None)


def opened_by(facts: Facts, number: str) -> list[float]:
    """When this number wrote to somebody with whom nothing had been said for a day."""
    said: dict[str, float] = {}
    opened = []
    talk = [(row["at"], row["to"], True) for row in accepted(facts) if row["phone_number_id"] == number]
    talk += [(row["at"], row["contact"], False) for row in facts.inbounds if row["phone_number_id"] == number]
    for at, person, is_ours in sorted(talk):
        if is_ours and at - said.get(person, 0.0) >= DAY_S:
            opened.append(at)
        said[person] = at
    return opened


def busiest(moments: Sequence[float]) -> list[tuple[float, int]]:
    """At each moment, how many there were in the 24 hours up to it."""
    found, first = [], 0
    for place, at in enumerate(moments):
        while at - moments[first] >= DAY_S:
            first += 1
        found.append((at, place - first + 1))
    return found


def number_of(place: int) -> str:
    return f"30000000000000{place}"


def _budgets(facts: Facts) -> Iterator[str]:
    for place, asked in enumerate(facts.plan.senders):
        daily = asked.get("daily_cap")
        moments = [row["at"] for row in accepted(facts) if row["phone_number_id"] == number_of(place)]
        if daily and (most := max((number for _, number in busiest(moments)), default=0)) > daily:
            yield f"sender {place}: {most} messages in 24 hours, {daily} allowed"
        for at, number in busiest(opened_by(facts, number_of(place))):
            if (cap := cap_of(facts, place, at)) is not None and number > cap:
                yield f"sender {place}: {number} new conversations in 24 hours, {cap} allowed"
                break
        if refused := sum(
            row["error"] == 131048 and row["phone_number_id"] == number_of(place) for row in facts.requests
        ):
            yield f"sender {place}: WhatsApp refused {refused} for the tier"


def _weeks(facts: Facts) -> Iterator[str]:
    marketing: dict[str, list[float]] = defaultdict(list)
    for row in accepted(facts):
        if row["effect"] and facts.purposes.get(row["callback"]) == "marketing":
            marketing[row["to"]].append(row["at"])
    for person, moments in marketing.items():
        most = max(sum(0 <= at - one < _WEEK_S for one in moments) for at in moments)
        if most > facts.plan.per_week:
            yield f"{person} got {most} marketing messages in a week"
