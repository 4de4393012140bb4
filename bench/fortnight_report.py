"""A simulated fortnight as a page of tables."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from bench.fortnight_check import DAY_S, Facts, accepted, busiest, cap_of, number_of, opened_by, place_of
from bench.fortnight_plan import HOME


def written(facts: Facts, wrong: Sequence[str], about: str) -> str:
    plan, days = facts.plan, range(facts.plan.days)
    lines = [
        f"# {plan.days} simulated days: {len(plan.senders)} senders, {len(plan.campaigns)} campaigns, "
        f"{plan.people:,} people",
        "",
        f"{about}. Our core with the Cloud connector and the API with its webhooks, over sockets to the simulator; "
        f"both clocks moved on hour by hour. Quiet "
        f"from {plan.quiet_hours['from']} to {plan.quiet_hours['to']} in six time "
        f"zones; at most {plan.per_week} marketing messages per person and week.",
        "",
        "**Everything as it has to be.**" if not wrong else "**Wrong:** " + "; ".join(wrong[:20]),
        "",
        f"{facts.verdict.recipients:,} recipients, each with an outcome; {len(facts.requests):,} requests, "
        f"{len(accepted(facts)):,} accepted; {len(facts.inbounds):,} replies. Unknown: "
        f"{facts.verdict.unknown_with_effect + facts.verdict.unknown_without_effect}.",
        "",
        "## By campaign",
        "",
        "| campaign | sender | to be launched on day | for | state | outcomes |",
        "|---|---|---|---|---|---|",
    ]
    campaigns = sorted(facts.campaigns, key=place_of)
    for campaign in campaigns:
        place = place_of(campaign)
        asked = plan.campaigns[place]
        counts = Counter(
            state if state == "sent" else f"{state}: {reason}" for state, reason in facts.recipients[campaign.id]
        )
        outcomes = ", ".join(f"{number} {what}" for what, number in counts.most_common())
        who = "everybody" if "all" in asked.audience else asked.audience["tag"]
        about = f"{asked.sender} | {asked.day + 1:.1f} | {who}, {asked.purpose}"
        lines.append(f"| {place} | {about} | {campaign.state} | {outcomes} |")
    lines += ["", "## What recurred", "", f"Due in {HOME}; where nothing was sent, the reason.", ""]
    lines += ["| campaign | rule | earlier ones again | due | came to | people |", "|---|---|---|---|---|---|"]
    for campaign in campaigns:
        if (weekly := plan.campaigns[place_of(campaign)].weekly) is None:
            continue
        for one in facts.occurrences[campaign.id]:
            people = facts.by_occurrence.get((campaign.id, one.number), Counter[str]())
            cells = [
                str(place_of(campaign)),
                f"`{weekly.cron}`",
                "yes" if weekly.include_earlier else "no",
                f"day {(one.planned_at - facts.began) / timedelta(days=1) + 1:.1f}",
                f"{one.state} {one.reason}".strip(),
                ", ".join(f"{number} {state}" for state, number in people.most_common()) or "-",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## By sender and day",
        "",
        "Messages accepted that day, and the most new conversations that lay within 24 hours up to any moment of it, "
        "of those allowed (- is no limit).",
        "",
        "| sender | limits | " + " | ".join(str(day + 1) for day in days) + " |",
        "|---|---|" + "---|" * len(days),
    ]
    start = facts.began.timestamp()
    for place, caps in enumerate(plan.senders):
        sent = Counter(
            int((row["at"] - start) // DAY_S) for row in accepted(facts) if row["phone_number_id"] == number_of(place)
        )
        most: Counter[int] = Counter()
        for at, number in busiest(opened_by(facts, number_of(place))):
            day = int((at - start) // DAY_S)
            most[day] = max(most[day], number)
        limits = ", ".join(f"{name} {value}" for name, value in caps.items() if value) or "-"
        cells = [f"{sent[day]}; {most[day]}/{cap_of(facts, place, start + day * DAY_S + 1) or '-'}" for day in days]
        lines.append(f"| {place} | {limits} | " + " | ".join(cells) + " |")
    lines += ["", "## What happened besides", ""]
    lines += [
        f"- day {day + 1:.1f}: {name} {', '.join(f'{key} {value}' for key, value in what.items())}".rstrip()
        for day, name, what in plan.happenings
    ]
    lines += [
        "",
        "Paused by themselves: " + ", ".join(f"{what} ({n})" for what, n in sorted(facts.stopped.items())) + ".",
    ]
    refused = Counter(row["error"] for row in facts.requests if row["error"])
    lines += [
        "",
        "WhatsApp's refusals by code: "
        + (", ".join(f"{code}: {n}" for code, n in refused.most_common()) or "none")
        + ".",
    ]
    stops = sum(row["text"] in ("STOP", "إيقاف") or row["kind"] == "preference" for row in facts.inbounds)
    return "\n".join([*lines, f"People who asked to stop: {stops}; messages after that: {facts.after_a_stop}."]) + "\n"
