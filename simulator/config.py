"""What a simulator is started with."""

from dataclasses import dataclass
from pathlib import Path

from simulator.profiles import PROFILES, Profile

ACCOUNT_ID = "200000000000001"
NUMBER_ID = "100000000000001"
# Not secrets: what the simulator accepts until told otherwise.
TOKEN = "sim-token"  # noqa: S105
APP_SECRET = "sim-app-secret"  # noqa: S105


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """`port` 0 takes a free one; without `state` the ledger lives in a temporary file and ends with us."""

    host: str = "127.0.0.1"
    port: int = 8090
    profile: Profile = PROFILES["demo"]
    seed: int = 1
    state: Path | None = None
    speed: float = 1.0
    callback_url: str = ""
    verify_token: str = ""
