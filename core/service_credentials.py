"""What the parts of one installation show each other. It is no person's: nobody signs in to WaQtor with it."""

import hmac

from core import keys
from core.errors import MasterKeyMissing
from core.keys import MasterKey
from core.settings import Settings

_NAME = "waqtor"


def for_prefect(settings: Settings) -> str | None:
    """`user:password` for Prefect's server: the setting, or else made of the master key, so that flows, workers on
    other machines and the API agree on it without sending it. None where there is no master key yet.

    Raises `MasterKeyWrong`.
    """
    if settings.prefect_auth is not None:
        return settings.prefect_auth.get_secret_value()
    try:
        key = keys.load(settings.key_file)
    except MasterKeyMissing:
        return None
    return f"{_NAME}:{key.hash('service', 'prefect')}"


def for_dashboard(settings: Settings) -> str | None:
    """What the dashboard shows the API, to be believed where the people it serves come from. It opens nothing. None
    where there is no master key yet. Raises `MasterKeyWrong`."""
    try:
        return _of_dashboard(keys.load(settings.key_file))
    except MasterKeyMissing:
        return None


def is_dashboards(key: MasterKey, said: str) -> bool:
    return hmac.compare_digest(said.encode(), _of_dashboard(key).encode())


def _of_dashboard(key: MasterKey) -> str:
    return key.hash("service", "dashboard")
