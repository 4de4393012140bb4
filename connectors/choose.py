"""Which connector fulfils which port. The only place that looks at a kind; imports wait until one is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from connectors.cloud_http import GuardedSession
    from core.ports import Connector, Jobs, Poster, SenderConfig
    from core.settings import Settings


class CloudConnectors:
    """All connectors of a process share one pool of connections; `close` it last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session: GuardedSession | None = None

    async def open(self, sender: SenderConfig) -> Connector:
        if sender.kind == "cloud":
            from connectors.cloud import CloudConnector
            from connectors.cloud_http import open_session

            if self._session is None or self._session.closed:
                self._session = open_session()
            return CloudConnector(
                sender,
                base_url=self._settings.cloud_api_url,
                request_timeout_s=self._settings.request_timeout_s,
                session=self._session,
            )
        assert_never(sender.kind)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def jobs(settings: Settings) -> Jobs:
    from connectors.jobs import PrefectJobs
    from core import service_credentials

    return PrefectJobs(settings.prefect_api_url, auth=service_credentials.for_prefect(settings))


def poster(settings: Settings) -> Poster:
    """Inside a running loop; whoever asked for it closes it."""
    from connectors.posting import Posting

    proxy = settings.webhook_proxy
    return Posting(settings.webhook_rules, proxy=proxy.get_secret_value() if proxy else None)
