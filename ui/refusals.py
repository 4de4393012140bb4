"""What the API refuses, in the reader's language. Its own words are English; those that people meet here are known by
their text, with names where it fills something in, and the others are told by their code."""

import re
from collections.abc import Mapping
from functools import cache

from ui.words import chosen, later, say
from waqtor import Error

_SOURCE = "en"
CODES: Mapping[str, str] = {
    "invalid": later("Something that was entered is not right."),
    "not_found": later("It is not there, or not any more."),
    "conflict": later("As things are now, that cannot be done."),
    "not_allowed": later("You may not do this."),
    "not_signed_in": later("You are not signed in any more."),
    "second_factor_needed": later("A code of your authenticator app is needed."),
    "page_closed": later("This takes a one-time code. An admin gives you one."),
    "too_large": later("That is larger than what is taken."),
    "too_many": later("That was too often. Wait a little, then try again."),
    "idempotency_key_reused": later("This was asked before in another way. Load the page anew and try again."),
    "unavailable": later("WaQtor is busy at this moment. Try again soon."),
    "internal": later("Something went wrong in WaQtor itself. The server's log has it under this number."),
    "schema_behind": later("The server is not ready. Whoever runs it finds why in its log."),
    "master_key_missing": later("The server is not ready. Whoever runs it finds why in its log."),
    "master_key_wrong": later("The server is not ready. Whoever runs it finds why in its log."),
}
_LOCKED = later("This takes a one-time code for {area}.")
TEXTS = (
    # rows of a file, and files
    later("This is not a phone number."),
    later("No such number exists in its country."),
    later("A number without a leading + is read as one of {country}."),
    later("A spreadsheet has rounded this number: make its column text there."),
    later("This is neither yes nor no."),
    later("More than {count} values."),
    later("{count} values for {columns} columns."),
    later("Contains a null character or half a character."),
    later("Longer than {count} characters."),
    later("{name} is a {kind}, which this value is not."),
    later("{name} is no time zone."),
    later("No attribute can be called {name}."),
    later("Two columns cannot both be {place}."),
    later("The file has no column {name}."),
    later("No column is 'phone'."),
    later("The column {name} cannot go to {place}."),
    later("The column {name} is there twice."),
    later("The name of a column contains a null character or half a character."),
    later("More than {count} columns: this is no list of contacts."),
    later("This is an old Excel file."),
    later("In Excel: Save as → Excel workbook (.xlsx)."),
    later("The file is not UTF-8 text."),
    later("In Excel: Save as → CSV UTF-8."),
    later("The file is not CSV: {why}."),
    later("The file is not JSON: {why}."),
    later("The Excel file unpacks to more than is taken."),
    later("The Excel file is damaged ({why})."),
    later("This is not an Excel file, whatever its name."),
    later("Save it as .xlsx, or as CSV UTF-8."),
    later("Split it, or save it as CSV."),
    later("Open it in Excel and save it."),
    later("The kept file is gone."),
    later("Import it again."),
    later("There is no country {name}."),
    later("This moment has not come yet."),
    later("The file is larger than {count} bytes."),
    later("A file gives its people at most {count} tags."),
    # people, tags and segments
    later("There is no contact {id}."),
    later("Contact {id} was merged into contact {other}."),
    later("There is no import {id}."),
    later("There is no segment {id}."),
    later("A segment needs a name."),
    later("There is a segment named {name} already."),
    later("Campaign {id} is for this segment and is {state}."),
    later("Cancel the campaign, or wait until it is finished."),
    later("Expected {what} at character {place}, found {found}."),
    later("The filter has {count} characters; {most} are allowed."),
    later("The filter has more than {count} conditions."),
    later("The filter is nested more than {count} deep."),
    # campaigns, messages and senders
    later("A campaign needs a name."),
    later("There is no campaign {id}."),
    later("Campaign {id} is {state}; it cannot become {to}."),
    later("Campaign {id} is {state}; only a draft can be changed."),
    later("Campaign {id} was launched already; it is {state}."),
    later("Campaign {id} is scheduled."),
    later("Campaign {id} is {state}."),
    later("Campaign {id} is {state}, not paused."),
    later("Sender {id} is {state}: {why}"),
    later("There is no sender {id}."),
    later("There is no template {id}."),
    later("There is a template named {name} already."),
    later("A template has 1 to {most} characters; this has {count}."),
    later("WhatsApp has template {id} as {state}; only an approved one can be sent."),
    later("Template {id} is of another WhatsApp account."),
    later("Campaign {id} uses this template."),
    later("Campaign {id} is sending this template now."),
    later("It has no text."),
    later("It has {what}, which cannot be filled in from here."),
    later("There is a {brace} that does not belong to a variable."),
    later("With its values filled in, the text is too long for WhatsApp."),
    later("The file is empty."),
    later("WhatsApp takes no files of this kind; what counts is what is in it, not its name."),
    later("It has {count} bytes; of {kind} WhatsApp takes {most} at most."),
    later("This is never due."),
    later("{when} UTC has passed."),
    # accounts and pages
    later("This takes the permission {name}."),
    _LOCKED,
    later("This request comes from another site's page."),
    later("A password has {least} to {most} characters."),
    later("This password is among those that are tried first."),
    later("This password is made of your name or address."),
    later("Four or five words that do not belong together are easy to keep and hard to guess."),
    later("The password is not right."),
    later("The address or the password is not right."),
    later("This code is not right."),
    later("Is the clock of the phone right?"),
    later("This code is not right, or was used."),
    later("This code is not right, was used, or is too old."),
    later("Ask an admin for another."),
    later("There is a second factor already."),
    later("Too many tries."),
    later("Too many requests."),
    later("Try again in {seconds} s."),
    later("This link is not good any more."),
    later("There is an account for this address already."),
    later("There is an account for {email} already."),
    later("There is no user {id}."),
    later("There is no role {name}."),
    later("A name has at most 200 characters."),
    later("This is no code of a language."),
    later("No second factor was begun."),
    later("Turn it off first."),
    later("This is the last admin."),
    later("Make somebody else an admin first."),
    later("Nobody changes their own role."),
    later("Another admin can."),
    later("This is no e-mail address."),
    later("A picture is a PNG or JPEG of at most 64 KiB."),
    later("A key has a name of 1 to 100 characters, to be known by in the list."),
    later("A key without a scope can do nothing."),
    later("This moment has passed."),
    # webhooks
    later("There is no webhook {id}."),
    later("Nothing can be posted to this address: {why}."),
    later("An endpoint asks for at least one event."),
    later("There is no event {name}."),
    later("There are {count} endpoints already."),
    later("Remove those that nobody needs."),
)
# What the texts above are filled in with, beside names and the words for states.
_PARTS = (
    later("the id of a campaign"),
    later("a condition"),
    later("a field or an attribute"),
    later("and, or, or the end"),
    later('a value: "text" in quotes, a number, true or false'),
    later("the end"),
    later("a location above its text"),
    later("a button of the kind otp"),
    later("a button of the kind catalog"),
    later("a button of the kind mpm"),
    later("a button of the kind flow"),
    later("a carousel"),
    later("a limited time offer"),
    later("number"),
    later("date"),
    later("boolean"),
)


def locked(error: Error) -> str | None:
    """The area whose one-time code is asked for."""
    if error.code != "page_closed":
        return None
    found = re.fullmatch(_pattern(_LOCKED), error.message)
    return found["area"] if found else None


def told(error: Error, language: str = "") -> tuple[str, str]:
    """What went wrong, and what to do about it."""
    language = language or chosen()
    hint = error.hint or ""
    if language == _SOURCE:
        return error.message, hint
    if (known := said(error.message, language)) is not None:
        return known, said(hint, language) or ""
    if error.code in CODES:
        return say(language, CODES[error.code]), f"\u2068{error.message}\u2069 \u2068{hint}\u2069"
    return error.message, hint


def said(text: str, language: str = "") -> str | None:
    """In the reader's language; None where we have no words for it."""
    language = language or chosen()
    if language == _SOURCE:
        return text
    for known, pattern in _patterns().items():
        if found := pattern.fullmatch(text):
            parts = {name: f"\u2068{_part(part, language)}\u2069" for name, part in found.groupdict().items()}
            return say(language, known, **parts)
    return None


def _part(text: str, language: str) -> str:
    return say(language, text) if text else ""


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    return {text: re.compile(_pattern(text), re.DOTALL) for text in TEXTS}


def _pattern(text: str) -> str:
    """`{name}` takes what stands in its place."""
    return "".join(f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(split(text)))


def split(text: str) -> list[str]:
    """In turn what is said, and the name of what is filled in."""
    return re.split(r"\{(\w+)\}", text)
