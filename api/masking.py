"""What somebody without `numbers.read` gets to see instead of phone numbers: at the edge, over every answer, so that
no route can forget it."""

import re

from fastapi import Response

from core.errors import NotAllowed, WaqtorError
from core.principals import Principal

_NUMBER = re.compile(r"(?<!\w)\+(?:\d[ ().-]?){7,14}\d(?!\d)")
_BARE = re.compile(r'(?<=")\d{9,15}(?=")')  # alone in its quotes, as WhatsApp writes them
_CHAT = re.compile(r"(?<!\w)\d{9,15}(?=@c\.us)")  # as 2.3.0 wrote them
_AT_WHATSAPP = re.compile(r"wamid\.[\w+/=-]+")  # holds the number, in base64
_DOTS = "•••••"


def masked(text: str) -> str:
    """`+966501234567` becomes `+9665•••••67`."""
    text = _NUMBER.sub(lambda found: f"+{_short(found.group())}", text)
    for form in (_BARE, _CHAT):
        text = form.sub(lambda found: _short(found.group()), text)
    return _AT_WHATSAPP.sub(f"wamid.{_DOTS}", text)


def _short(number: str) -> str:
    digits = "".join(char for char in number if char.isdigit())
    return f"{digits[:4]}{_DOTS}{digits[-2:]}"


def sees_numbers(principal: Principal) -> bool:
    return "numbers.read" in principal.may


def hide_numbers_in(refused: WaqtorError) -> None:
    refused.message = masked(refused.message)
    refused.hint = masked(refused.hint) if refused.hint else None


def hide_numbers(response: Response) -> Response:
    """The same answer with numbers masked. Raises `NotAllowed` for one that is not JSON: a file is not looked into."""
    if response.media_type == "text/event-stream":  # ids, and notifications that were masked one by one (api/bell.py)
        return response
    if response.media_type != "application/json" or not isinstance(getattr(response, "body", None), bytes):
        raise NotAllowed("This may hold phone numbers.", hint="It takes the permission numbers.read.")
    shown = Response(masked(bytes(response.body).decode()), response.status_code, None, response.media_type)
    shown.raw_headers += [one for one in response.raw_headers if one[0] not in (b"content-length", b"content-type")]
    shown.background = response.background
    return shown
