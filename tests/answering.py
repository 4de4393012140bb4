"""Whether a process that was started serves by now."""

import httpx

_CLIENT = httpx.Client(trust_env=False, verify=False, timeout=2)
"""One for all: reading the certificates anew for each look would take the processor from who is starting."""


def answers(url: str) -> bool:
    try:
        return _CLIENT.get(url).status_code == 200
    except httpx.HTTPError:
        return False
