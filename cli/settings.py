"""Settings as a command reads them: one line that names what is wrong, instead of a validation report."""

from pydantic import ValidationError

from cli.doctor import require_known_environment
from core.errors import Invalid
from core.settings import Settings


def load_settings() -> Settings:
    """The settings of this process; raises `Invalid` that names the wrong one."""
    require_known_environment()
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "settings"
        raise Invalid(
            f"Setting {name}: {first['msg']}",
            field=name,
            hint="config.example.toml lists every setting; waqtor config show prints those in force.",
        ) from None
