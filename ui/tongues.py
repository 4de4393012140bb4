"""Languages that messages are written in, by the name that the reader gives them."""

from babel import Locale, UnknownLocaleError

from ui import formats

COMMON = ("en", "ar", "ar_SA", "ar_EG", "fr", "es", "pt_BR", "de", "it", "tr", "ur", "fa", "hi", "bn", "id", "ru")


def name(code: str) -> str:
    """Such as Arabic (Egypt); the code itself where it is of no language."""
    try:
        said = Locale.parse(code.replace("-", "_")).get_display_name(formats.locale())
    except (ValueError, UnknownLocaleError):
        return code
    return said[:1].upper() + said[1:] if said else code
