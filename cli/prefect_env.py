"""What Prefect has to be told, for its server and for the flows alike. Set before `prefect` is imported."""

from core import service_credentials
from core.settings import Settings


def prefect_env(settings: Settings) -> dict[str, str]:
    """Every PREFECT_* setting we rely on. What is not here (say, a PostgreSQL address) may come from outside."""
    env = {
        # Its database, profiles and results live with our data, never in the home of whoever starts it.
        "PREFECT_HOME": str(settings.data_dir.resolve() / "prefect"),
        # Without it a flow starts a temporary server of its own: 25 s, and its runs are seen nowhere.
        "PREFECT_API_URL": settings.prefect_api_url,
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        # Nothing leaves this machine: client analytics, the server's heartbeat home, banners in its UI.
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # By default the server records about 18 task runs a second; in batches it keeps up with its runs.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "50",
        # A campaign is to start within seconds; the default looks every 10 s.
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        # The shortest it allows: a run whose process was killed together with its runner shows after 75 s.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        # A sample every 10 s from every run, which nobody reads, into an SQLite file that has one writer.
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_LOGGING_LEVEL": settings.log_level.upper(),
        # The server tells at INFO of each request and each loop; its own warnings are what one looks for.
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        # Logs are files: no colour codes, no wrapping at 80 columns, no questions on a terminal.
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_CLI_WRAP_LINES": "false",
        "PREFECT_CLI_PROMPT": "false",
    }
    if credential := service_credentials.for_prefect(settings):
        # Without it every program on this machine, and every web page in its browser, may start and stop runs.
        env["PREFECT_API_AUTH_STRING"] = env["PREFECT_SERVER_API_AUTH_STRING"] = credential
    return env
