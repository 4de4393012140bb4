"""What the alerts of the live events say, in the reader's language. The API has the same in English (api/alerts.py)."""

from collections.abc import Mapping

from ui.words import _, later
from waqtor.monitor import LiveAlert

ALERTS: Mapping[str, tuple[str, str]] = {
    "bad_signature": (
        later("Wrong signatures or tickets"),
        later(
            "If it is a program of yours: is its key right, and is a nonce used twice? If not, somebody tries to come "
            "in: refuse the address (live_addresses_refused)."
        ),
    ),
    "expired_signature": (
        later("Signatures that are too old"),
        later(
            "The clock of a client is more than 5 minutes off, or somebody repeats what was recorded. Set the clock."
        ),
    ),
    "unauthorized": (
        later("Unknown keys"),
        later("A program may still use a key that was revoked. Else refuse the address (live_addresses_refused)."),
    ),
    "bad_origin": (
        later("Pages of other sites"),
        later("Is it a page of yours? Then name its origin in live_origins."),
    ),
    "bad_address": (
        later("Connections from refused addresses"),
        later("They stay outside. Should they come in: live_addresses, live_addresses_refused."),
    ),
    "too_many_of_address": (
        later("Too many connections from one address"),
        later("Many people behind one proxy? Name it in trusted_proxies, or raise live_per_address."),
    ),
    "too_many_of_principal": (
        later("Too many connections of one key or person"),
        later("A program may open connections and not close them. If it needs so many: live_per_principal."),
    ),
    "draining": (later("This process ends"), later("Nothing, if you restart it. Clients resume where they were.")),
    "database_away": (
        later("The database does not answer"),
        later("Look at the database. Nothing is lost: what happened comes when it is back."),
    ),
    "internal": (
        later("Something fails here"),
        later("The log has the trace: look for live_failed and websocket_failed."),
    ),
    "behind": (
        later("Events come late"),
        later("A large campaign catches up by itself. If the number grows: is the database slow, or one core full?"),
    ),
    "slow_delivery": (
        later("Deliveries are slow"),
        later("Look at CPU below: near 100 % a second process helps. Else the database answers slowly."),
    ),
    "full": (
        later("No room for more connections"),
        later("Raise live_connections if memory allows, or run a second process."),
    ),
    "slow_readers": (
        later("Somebody does not keep up"),
        later("They are in the table, with what waits for them. After 20 s they are sent away (1013) and resume."),
    ),
    "nearly_full": (later("Nearly full"), later("Raise live_connections if memory allows, or run a second process.")),
    "sent_away": (
        later("Slow readers were sent away"),
        later("Clients that resume lose nothing. If it is always the same one, it may follow less."),
    ),
}


def said(one: LiveAlert) -> tuple[str, str]:
    """Its title, and what to do. One of a newer server says it as it comes."""
    title, do = ALERTS.get(one.code, (one.title, one.do))
    return _(title), _(do)
