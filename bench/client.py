"""The API as a stubborn operator uses it: asked again, with the same idempotency key, until it answers."""

import asyncio
import time
import uuid
from typing import Any

import httpx

from cli.local import Local


class Refused(Exception):
    """The API answered with an error of ours (4xx)."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body[:300]}")
        self.status = status


class Client:
    """Processes may be dead, stopped or starting while it asks."""

    def __init__(self, local: Local, *, patience_s: float = 90) -> None:
        self._patience_s = patience_s
        self._http = httpx.AsyncClient(
            base_url=local.settings.api_url,
            headers={"Authorization": f"Bearer {local.api_key}"},
            timeout=15,
            trust_env=False,
        )

    async def ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """`content` is what httpx takes: `json`, `files`."""
        headers = {"Idempotency-Key": str(uuid.uuid4())} if method != "GET" else {}
        until = time.monotonic() + self._patience_s
        while True:
            try:
                answer = await self._http.request(method, path, headers=headers, **content)
                if answer.is_success:
                    found: dict[str, Any] = answer.json()
                    return found
                busy = answer.status_code >= 500 or "idempotency" in answer.text
                if not busy:
                    raise Refused(answer.status_code, answer.text)
                failure: Exception = RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            except httpx.HTTPError as error:
                failure = error
            if time.monotonic() > until:
                raise TimeoutError(f"{method} {path} was never answered") from failure
            await asyncio.sleep(0.3)

    async def close(self) -> None:
        await self._http.aclose()
