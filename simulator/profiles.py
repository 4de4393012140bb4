"""The named worlds the simulator can be: account limits, contacts, delays, webhooks. One table."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one world behaves. Shares are probabilities; delays are medians in seconds of real life."""

    name: str
    # Account rules; 0 means no limit.
    rate_per_s: float = 0.0
    tier_per_day: int = 0
    pair_interval_s: float = 0.0
    pair_burst: int = 45
    service_window: bool = False
    marketing_per_day: int = 0
    # Receipts run this many times faster than life; the clock is another matter.
    receipt_speed: float = 1.0
    sent_s: float = 0.5
    delivered_s: float = 5.0
    delivered_sigma: float = 0.8
    read_s: float = 600.0
    read_sigma: float = 0.8
    reply_s: float = 300.0
    offline_s: tuple[float, float] = (1800.0, 7200.0)
    # Contacts, drawn once for each of them.
    not_on_whatsapp: float = 0.0
    never_reads: float = 0.0
    offline: float = 0.0
    replies: float = 0.0
    stops: float = 0.0
    stops_marketing: float = 0.0
    blocks: float = 0.0
    # Messages, drawn for each of them.
    reads_message: float = 1.0
    replies_to_message: float = 0.6
    refuses_marketing: float = 0.0
    # The network.
    answer_latency_s: tuple[float, float] = (0.0, 0.0)
    duplicates: float = 0.0
    reorders: float = 0.0
    reorder_s: float = 3.0
    linger_s: float = 0.03
    statuses_per_post: int = 1000
    posts_in_flight: int = 4
    post_timeout_s: float = 20.0
    retry_first_s: float = 1.0
    retry_longest_s: float = 60.0
    retry_for_s: float = 7 * 86400.0


_LIFE: dict[str, Any] = {
    "not_on_whatsapp": 0.04,
    "never_reads": 0.15,
    "offline": 0.05,
    "replies": 0.15,
    "stops": 0.02,
    "stops_marketing": 0.01,
    "blocks": 0.005,
    "reads_message": 0.95,
    "refuses_marketing": 0.005,
    "duplicates": 0.01,
    "reorders": 0.02,
}

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="demo",
            rate_per_s=80,
            tier_per_day=2000,
            pair_interval_s=6,
            service_window=True,
            marketing_per_day=5,
            receipt_speed=60,
            sent_s=6,
            delivered_s=60,
            read_s=480,
            answer_latency_s=(0.010, 0.040),
            **_LIFE,
        ),
        Profile(
            name="top",
            rate_per_s=1000,
            pair_interval_s=6,
            service_window=True,
            marketing_per_day=5,
            receipt_speed=60,
            sent_s=6,
            delivered_s=60,
            read_s=480,
            answer_latency_s=(0.010, 0.040),
            **_LIFE,
        ),
        Profile(
            name="bench",
            sent_s=0.05,
            delivered_s=0.3,
            delivered_sigma=0.2,
            read_s=0.4,
            read_sigma=0.3,
            # Two receipts for each message and a third for six in ten: 2.6, as in real traffic.
            reads_message=0.6,
            linger_s=0.05,
            retry_first_s=0.5,
            retry_longest_s=5,
        ),
        Profile(
            name="chaos",
            sent_s=0.05,
            delivered_s=0.4,
            delivered_sigma=0.5,
            read_s=0.8,
            read_sigma=0.5,
            reply_s=1,
            offline_s=(2, 6),
            not_on_whatsapp=0.03,
            never_reads=0.1,
            offline=0.03,
            replies=0.05,
            stops=0.01,
            blocks=0.005,
            answer_latency_s=(0.005, 0.050),
            duplicates=0.08,
            reorders=0.15,
            reorder_s=1,
            retry_first_s=0.3,
            retry_longest_s=5,
        ),
    )
}
