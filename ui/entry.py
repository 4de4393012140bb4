"""The pages before one is signed in, as plain HTML: they work before a script does, and hold nothing but a form."""

from html import escape

from ui.words import LANGUAGES, direction, later, say

_STYLE = """
:root{color-scheme:light dark;--ink:#16231e;--soft:#5a6b64;--page:#eef4f1;--card:#fff;--line:#cfdcd6;
  --go:#0b7a5b;--on:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e6efeb;--soft:#a3b5ad;--page:#0f1614;--card:#18221f;
  --line:#33443d;
--go:#2fbf8f;--on:#06231a}
}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;color:var(--ink);
background:var(--page);font:16px/1.5 system-ui,"Segoe UI","Noto Sans","Noto Sans Arabic",Tahoma,sans-serif}
main{background:var(--card);border:1px solid var(--line);border-radius:1rem;padding:2rem;
  width:min(26rem,100%)}
h1{font-size:1.5rem;margin:0 0 .25rem}
p{margin:.25rem 0 1rem;color:var(--soft)}
label{display:block;margin:1rem 0 .25rem;font-weight:600}
input{width:100%;font:inherit;padding:.6rem .75rem;border:1px solid var(--line);border-radius:.5rem;
  background:var(--page);color:inherit}
input:focus-visible,button:focus-visible,a:focus-visible{outline:3px solid var(--go);outline-offset:2px}
button{width:100%;margin-top:1.5rem;font:inherit;font-weight:600;padding:.7rem;border:0;border-radius:.5rem;
  background:var(--go);color:var(--on);cursor:pointer}
.told{background:color-mix(in srgb,#d33 14%,transparent);color:inherit;border-radius:.5rem;
  padding:.6rem .75rem;margin:1rem 0 0}
.calm{background:color-mix(in srgb,var(--go) 14%,transparent)}
.brand{color:var(--go);font-weight:700;letter-spacing:.02em}
nav{margin-top:1.5rem;text-align:center}
nav a{color:var(--soft);margin:0 .5rem}
small{color:var(--soft)}
"""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # the address of a one-time link is a secret; without any a form has no origin
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}

# The API's own words are English; these are the ones that a person meets here.
_SAID = {
    "not_signed_in": later("The address, the password or the code is not right."),
    "too_many": later("Too many tries. Wait a little, then try again."),
    "not_found": later("This link is not good any more. Ask an admin for another."),
    "not_reached": later("WaQtor does not answer. Try again in a moment."),
    "conflict": later("There is an account for this address already."),
    "elsewhere": later("This request comes from another site's page."),
    "ended": later("You are signed out."),
    "differ": later("The two passwords are not the same."),
    "again": later("That took too long. Please sign in again."),
}


def explained(language: str, code: str, message: str = "") -> str:
    """In the reader's language where we have words for it."""
    return say(language, _SAID[code]) if code in _SAID else message


def sign_in(language: str, *, next_path: str, email: str = "", told: str = "", is_calm: bool = False) -> str:
    fields = (
        _told(told, is_calm=is_calm)
        + _field(language, later("E-mail"), "email", "email", value=email, fill="username")
        + _field(language, later("Password"), "password", "password", fill="current-password")
        + f'<input type="hidden" name="next" value="{escape(next_path)}">'
    )
    return _page(language, later("Sign in"), later("Campaigns on WhatsApp, from your own machine."), fields)


def second_factor(language: str, *, ticket: str, next_path: str, told: str = "") -> str:
    fields = (
        _told(told)
        + _field(language, later("Code"), "code", "text", fill="one-time-code")
        + f'<input type="hidden" name="ticket" value="{escape(ticket)}">'
        + f'<input type="hidden" name="next" value="{escape(next_path)}">'
    )
    return _page(
        language,
        later("One more step"),
        later("Type the code that your authenticator app shows, or a recovery code."),
        fields,
        button=later("Sign in"),
    )


def welcome(language: str, *, kind: str, email: str | None, given: dict[str, str], told: str = "") -> str:
    """Behind a one-time link: the first admin, somebody invited, or a new password."""
    is_new = kind == "invite"
    fields = _told(told)
    if email:
        fields += f"<p>{say(language, 'Account')}: <b dir=ltr>{escape(email)}</b></p>"
        fields += f'<input type="hidden" name="email" autocomplete="username" value="{escape(email)}">'
    else:
        fields += _field(language, later("E-mail"), "email", "email", value=given.get("email", ""), fill="username")
    if is_new:
        fields += _field(language, later("Your name"), "name", "text", value=given.get("name", ""), fill="name")
    fields += _field(
        language, later("New password, at least 10 characters"), "password", "password", fill="new-password"
    )
    fields += _field(language, later("The same again"), "again", "password", fill="new-password")
    heading = later("Welcome to WaQtor") if is_new else later("A new password")
    kept = later("Make your account. It is kept on your own server only.")
    text = kept if is_new else later("Choose a new password.")
    return _page(language, heading, text, fields, button=later("Save and sign in"))


def refused(language: str, told: str) -> str:
    return _page(language, later("That did not work"), "", _told(told), button="")


def once_more(path: str) -> str:
    """For who comes by a link on another site: the cookie is sent along from here on only."""
    return (
        '<!doctype html><meta charset="utf-8"><title>WaQtor</title>'
        f'<meta http-equiv="refresh" content="0;url={escape(path)}"><a href="{escape(path)}">WaQtor</a>'
    )


def _field(language: str, label: str, name: str, kind: str, *, value: str = "", fill: str = "") -> str:
    turned = ' dir="ltr"' if kind in ("email", "password") or name == "code" else ' dir="auto"'
    first = " autofocus" if name in ("email", "code") else ""
    needed = "" if name == "name" else " required"
    return (
        f'<label for="{name}">{say(language, label)}</label><input id="{name}" name="{name}" type="{kind}"'
        f' value="{escape(value)}" autocomplete="{fill}"{turned}{first}{needed}>'
    )


def _told(told: str, *, is_calm: bool = False) -> str:
    return f'<p class="told{" calm" if is_calm else ""}" role="alert">{escape(told)}</p>' if told else ""


def _page(language: str, heading: str, text: str, fields: str, *, button: str = later("Sign in")) -> str:
    others = " ".join(
        f'<a href="/auth/language?to={code}" lang="{code}" hreflang="{code}">{name}</a>'
        for code, name in LANGUAGES.items()
        if code != language
    )
    press = f"<button>{say(language, button)}</button>" if button else ""
    under = f"<p>{say(language, text)}</p>" if text else ""
    return (
        f'<!doctype html><html lang="{language}" dir="{direction(language)}"><meta charset="utf-8">'
        f"<title>{say(language, heading)} · WaQtor</title>"
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style>'
        f'<body><main><div class="brand">WaQtor</div><h1>{say(language, heading)}</h1>{under}'
        f'<form method="post">{fields}{press}</form><nav>{others}</nav></main></body></html>'
    )
