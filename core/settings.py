"""Every setting of the platform. Built once by a process, then passed on; never a global."""

from datetime import timedelta
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from core import webhook_addresses

Seconds = Annotated[float, Field(gt=0)]
PLAN_AT_ONCE = 5_000


class Settings(BaseSettings):
    """`WAQTOR_<NAME>` in the environment wins over `config.toml` in the working directory, then the default.

    `config.example.toml` lists them all with the reason of each default; a test keeps the two equal.
    """

    model_config = SettingsConfigDict(env_prefix="WAQTOR_", frozen=True, extra="forbid", toml_file="config.toml")

    # Where things are
    data_dir: Path = Path(".waqtor")
    database_url: Annotated[str, Field(repr=False)] = ""
    master_key_file: Path | None = None
    redis_url: Annotated[str, Field(repr=False)] = ""

    # Processes and addresses
    api_host: str = "127.0.0.1"
    api_port: int = 8080
    trusted_proxies: str = ""
    requests_per_s: Annotated[float, Field(gt=0)] = 200
    strangers_per_s: Annotated[float, Field(gt=0)] = 20
    dashboard_host: str = "127.0.0.1"
    dashboard_port: int = 8501
    dashboard_url: str = ""
    prefect_host: str = "127.0.0.1"
    prefect_port: int = 4200
    prefect_auth: SecretStr | None = None
    simulator_port: int = 8090
    cloud_api_url: str = "https://graph.facebook.com/v23.0"

    # Live events
    live_origins: str = ""
    live_addresses: str = ""
    live_addresses_refused: str = ""
    live_connections: Annotated[int, Field(ge=1)] = 10_000
    live_per_address: Annotated[int, Field(ge=1)] = 100
    live_per_principal: Annotated[int, Field(ge=1)] = 50
    live_messages_per_s: Annotated[float, Field(gt=0)] = 10
    live_messages_at_once: Annotated[int, Field(ge=1)] = 20
    live_compression: bool = True
    live_drain_s: Annotated[float, Field(ge=0, le=60)] = 0

    # Contacts
    default_country: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "SA"
    max_upload_bytes: Annotated[int, Field(gt=0)] = 32 * 1024 * 1024

    # Sending
    send_concurrency: Annotated[int, Field(ge=1, le=64)] = 64
    plan_at_once: Annotated[int, Field(ge=1, le=100_000)] = PLAN_AT_ONCE
    claim_s: Annotated[float, Field(gt=0, le=2)] = 2
    pace_ahead_s: Annotated[float, Field(gt=0, le=1)] = 0.25
    send_by_s: Seconds = 5
    request_timeout_s: Seconds = 15
    lease_s: Seconds = 30
    lease_margin_s: Seconds = 5
    silence_window_s: Seconds = 600
    sweep_interval_s: Seconds = 60
    batch_s: Seconds = 60
    max_attempts: Annotated[int, Field(ge=1)] = 5
    suspect_after_messages: Annotated[int, Field(ge=1)] = 50
    suspect_after_s: Seconds = 900
    schedule_grace_s: Seconds = 3600
    marketing_per_week: Annotated[int, Field(ge=1)] | None = None

    # Event log and inbox
    event_retention_days: Annotated[float, Field(gt=0)] = 14
    inbox_retention_days: Annotated[float, Field(gt=0)] = 7
    idempotency_days: Annotated[float, Field(gt=0)] = 7
    notification_retention_days: Annotated[float, Field(gt=0)] = 90

    # Webhooks
    webhook_networks: str = ""
    webhook_http: bool = False
    webhook_ports: str = "80 443 1024-65535"
    webhook_proxy: SecretStr | None = None
    webhook_body_days: Annotated[float, Field(gt=0)] = 30
    webhook_log_days: Annotated[float, Field(gt=0)] = 90

    # Database
    sqlite_busy_timeout_s: Seconds = 30
    pool_size: Annotated[int, Field(ge=1)] = 8

    log_level: str = "INFO"

    @model_validator(mode="after")
    def _lease_outlasts_the_request(self) -> Self:
        needed = self.send_by_s + self.request_timeout_s + self.lease_margin_s
        if self.lease_s < needed:
            raise ValueError(
                f"lease_s is {self.lease_s:g} but send_by_s + request_timeout_s + lease_margin_s is {needed:g}: "
                "a request could still be on its way when its lease has lapsed. Raise lease_s or lower the others."
            )
        return self

    @property
    def arrives_within(self) -> timedelta:
        """Counted from its intent, a message's request has ended by then."""
        return timedelta(seconds=self.send_by_s + self.request_timeout_s)

    @field_validator("redis_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("an address such as redis://host:6379/0, with rediss:// for TLS")
        return value

    @field_validator("trusted_proxies", "live_addresses", "live_addresses_refused", "webhook_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        _networks(value)
        return value

    @field_validator("webhook_ports")
    @classmethod
    def _are_ports(cls, value: str) -> str:
        webhook_addresses.ports(value)
        return value

    @field_validator("webhook_proxy")
    @classmethod
    def _is_a_proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("an address such as http://proxy.internal:3128")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def database(self) -> str:
        """The address with an async driver; the embedded SQLite file where none is set."""
        url = self.database_url or f"sqlite:///{(self.data_dir / 'waqtor.db').resolve()}"
        for plain, driver in (
            ("sqlite://", "sqlite+aiosqlite://"),
            ("postgresql://", "postgresql+asyncpg://"),
            ("postgres://", "postgresql+asyncpg://"),
        ):
            if url.startswith(plain):
                return driver + url.removeprefix(plain)
        return url

    @cached_property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Whose word on where a request comes from is taken."""
        return _networks(self.trusted_proxies)

    @cached_property
    def live_allowed(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Who may open a WebSocket; empty for all."""
        return _networks(self.live_addresses)

    @cached_property
    def live_refused(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return _networks(self.live_addresses_refused)

    @cached_property
    def webhook_rules(self) -> webhook_addresses.Rules:
        """Where webhooks may go."""
        return webhook_addresses.Rules(
            _networks(self.webhook_networks), self.webhook_http, webhook_addresses.ports(self.webhook_ports)
        )

    @property
    def key_file(self) -> Path:
        """The master key; beside the data, never in the database."""
        return self.master_key_file or self.data_dir / "master.key"

    @property
    def prefect_api_url(self) -> str:
        return f"http://{self.prefect_host}:{self.prefect_port}/api"

    @property
    def public_dashboard_url(self) -> str:
        """Where people find the dashboard."""
        return self.dashboard_url.rstrip("/") or f"http://{self.dashboard_host}:{self.dashboard_port}"

    def link(self, token: str) -> str:
        """Where a one-time link is used."""
        return f"{self.public_dashboard_url}/auth/link/{token}"

    @property
    def api_url(self) -> str:
        return f"http://{self.api_host}:{self.api_port}"


def _networks(named: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(one, strict=False) for one in named.replace(",", " ").split())
