"""One template: its text in each language, what fills its variables, and what a person would read."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from ui import bubbles, formats, look, page, refusals, session, tongues
from ui.markdown import plain
from ui.pages import template_header, template_preview
from ui.words import _, later, n_
from waqtor import Conflict, Error, Invalid, Template
from waqtor.templates import Variant

LONGEST = 1024  # WhatsApp's for an approved template, and a good limit for any
CATEGORIES = {
    "marketing": later("marketing"),
    "utility": later("order and account news"),
    "authentication": later("one-time codes"),
}
_STATUSES = {
    "approved": later("approved"), "pending": later("WhatsApp is looking at it"), "rejected": later("rejected"),
    "paused": later("paused by WhatsApp"), "disabled": later("disabled by WhatsApp"),
    "deleted": later("gone at WhatsApp"), "archived": later("archived at WhatsApp"),
}  # fmt: skip
_NEW = "new"
_MOST_CAMPAIGNS = 100
_NUMBERED = re.compile(r"v\d+")  # as the blanks of a text are called that WhatsApp numbers


def status(of: Template) -> str:
    """What WhatsApp says of a template, as HTML."""
    said = of.status
    if said is None:
        only = "" if of.cloud_name else look.chip("PENDING", _("for answers only"))
        return look.chip("own", _("written here")) + only
    return look.chip(said.upper(), _(_STATUSES[said]) if said in _STATUSES else said)


def category(name: str) -> str:
    return look.chip("category", _(CATEGORIES[name]) if name in CATEGORIES else name)


def write() -> None:
    """A new one."""
    _back()
    look.heading(_("New template"))
    if not session.may("templates.write"):
        st.info(_("You may look at templates, but not write them."))
        return
    _for_answers()
    _keep(_NEW)
    left, right = st.columns([3, 2], gap="large")
    with left:
        name = st.text_input(
            _("Name"), max_chars=100, key=_key(_NEW, "name"), help=_("Only you and your colleagues see it.")
        )
        language = _which_language(_NEW, "en" if formats.locale().language != "ar" else "ar")
        body, defaults = _text(_NEW, "", {})
        header = template_header.choose(_key(_NEW, ""), None)
        if st.button(_("Save"), type="primary", icon=":material/save:", key=_key(_NEW, "save")):
            try:
                made = session.client().templates.create(
                    name, body, language=language, defaults=defaults, header=header
                )
            except (Invalid, Conflict) as error:
                look.problem(error)
            else:
                _forget(_NEW)
                st.session_state["template-told"] = _("Saved.")
                page.go("templates", {"id": made.id})
    with right:
        template_preview.of_draft(body, defaults, header)


def _for_answers() -> None:
    st.info(
        _(
            "What is written here can answer people who wrote to you in the last 24 hours. For a campaign WhatsApp has "
            "to approve the text: write it in Meta's WhatsApp Manager, then take it in on the page of all templates."
        ),
        icon=":material/info:",
    )


def change(template: Template) -> None:
    _back()
    look.heading(template.name)
    st.html(status(template) + category(template.category))
    if not template.cloud_name:
        _for_answers()
    if (told := st.session_state.pop("template-told", None)) is not None:
        st.success(told, icon=":material/check_circle:")
    variants = {one.language: one for one in template.variants}
    chosen = _languages(template, list(variants))
    variant = variants.get(chosen)
    if chosen != template.language and variant is None:  # one that is being added
        variant = Variant(language=chosen, body="", defaults={}, header=None, slots={}, status=None)
    draft = f"{template.id}-{chosen}"
    _keep(draft)
    of: Template | Variant = variant or template
    if of.status not in (None, "approved"):
        st.warning(
            _("WhatsApp does not send it in this language now: {status}.", status=_(_STATUSES.get(of.status or "", "")))
        )
    writes = session.may("templates.write")
    left, right = st.columns([3, 2], gap="large")
    with left:
        body, defaults, header = _fields(template, variant, draft) if writes else _looked_at(of)
    with right:
        template_preview.of_saved(template, variant, body, defaults, header)


# ---- what is typed ------------------------------------------------------------------------------------------


def _fields(
    template: Template, variant: Variant | None, draft: str
) -> tuple[str, Mapping[str, str], Mapping[str, Any] | None]:
    of: Template | Variant = variant or template
    name = template.name
    if variant is None:
        name = st.text_input(_("Name"), template.name, max_chars=100, key=_key(draft, "name"))
    if template.waba_id:
        body, defaults = _filled_by(draft, of.body, of.defaults)
    else:
        body, defaults = _text(draft, of.body, of.defaults)
    header = template_header.choose(_key(draft, ""), of.header, is_variant=variant is not None)
    slots = _slots(draft, of.slots)
    with st.container(horizontal=True):
        saves = st.button(_("Save"), type="primary", icon=":material/save:", key=_key(draft, "save"))
        is_saved = variant is None or any(one.language == variant.language for one in template.variants)
        if is_saved and st.button(_("Delete"), icon=":material/delete:", key=_key(draft, "delete")):
            look.ask(_key(draft, "sure"))
    if saves:
        _save(
            template,
            variant,
            draft,
            {"name": name, "body": body, "defaults": defaults, "header": header, "slots": slots},
        )
    _delete(template, variant, draft)
    return body, defaults, header


def _looked_at(of: Template | Variant) -> tuple[str, Mapping[str, str], Mapping[str, Any] | None]:
    st.text_area(_("Text"), of.body, disabled=True, height=180)
    return of.body, of.defaults, of.header


def _text(draft: str, body: str, defaults: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The text, buttons that put a variable into it, and what to say to people who lack a value."""
    key = _key(draft, "body")
    st.session_state.setdefault(key, body)
    written: str = st.text_area(
        _("Text"),
        key=key,
        height=200,
        max_chars=4096,
        help=_("*bold*, _italic_ and ~struck~ look so in WhatsApp. Write {name} where the person's name goes."),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_("Put in:"), width="content")
        for variable, says in (("name", _("Name")), *((one, one) for one in _known_attributes())):
            st.button(says, key=_key(draft, f"put-{variable}"), on_click=_put, args=(key, variable), type="tertiary")
    try:
        variables = session.client().templates.preview_draft(written).variables if written.strip() else []
    except Invalid as error:
        st.error(plain(" ".join(refusals.told(error))))
        variables = []
    return written, _defaults(draft, variables, defaults)


def _filled_by(draft: str, body: str, defaults: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Of a text that WhatsApp approved only the names of its variables can be changed."""
    st.text_area(_("Text, as WhatsApp approved it"), body, disabled=True, height=140)
    variables = list(dict.fromkeys(bubbles.VARIABLE.findall(body)))
    known = ["name", *_known_attributes()]
    chosen: dict[str, str] = {}
    for variable in variables:
        picked: str | None = st.selectbox(
            _("What fills {variable}", variable=f"{{{variable}}}"),
            list(dict.fromkeys([variable, *known])),
            format_func=functools.partial(_filling, variable),
            key=_key(draft, f"fills-{variable}"),
            accept_new_options=True,
            help=_("A detail that your contacts have, such as their name or city."),
        )
        chosen[variable] = picked or variable
    written = bubbles.VARIABLE.sub(lambda found: f"{{{chosen[found[1]]}}}", body)
    told = {chosen.get(variable, variable): said for variable, said in defaults.items()}
    return written, _defaults(draft, list(dict.fromkeys(chosen.values())), told)


def _filling(blank: str, field: str) -> str:
    if field == "name":
        return _("the person's name")
    return _("nothing yet: choose what") if field == blank and _NUMBERED.fullmatch(field) else field


def _defaults(draft: str, variables: Sequence[str], defaults: Mapping[str, str]) -> dict[str, str]:
    filled: dict[str, str] = {}
    if variables:
        st.markdown("**" + _("When somebody has no value") + "**")
        st.caption(_("Who has neither a value nor a word from here does not get the message."))
    for variable in variables:
        kept = _key(draft, f"default-{variable}")
        st.session_state.setdefault(kept, defaults.get(variable, ""))
        said: str = st.text_input(_("Instead of {variable}", variable=f"{{{variable}}}"), key=kept, max_chars=1000)
        if said.strip():
            filled[variable] = said.strip()
    return filled


def _put(key: str, variable: str) -> None:
    before = str(st.session_state.get(key, ""))
    gap = " " if before and not before[-1].isspace() else ""
    st.session_state[key] = f"{before}{gap}{{{variable}}}"


def _known_attributes() -> list[str]:
    if not session.may("contacts.read"):
        return []
    try:
        return [one.name for one in session.client().attributes.list()][:6]
    except Error:  # the buttons are a comfort
        return []


def _slots(draft: str, slots: Mapping[str, str]) -> dict[str, str]:
    """Which variable fills the heading and the buttons of WhatsApp's template."""
    if not slots:
        return {}
    st.markdown("**" + _("Heading and buttons") + "**")
    return {
        slot: st.text_input(_slot(slot), slots[slot], key=_key(draft, f"slot-{slot}"), max_chars=50).strip() or slot
        for slot in slots
    }


def _slot(name: str) -> str:
    place, _sep, number = name.partition("_")
    if place == "button" and number.isdecimal():
        return _("Button {number} is filled by", number=formats.number(int(number)))
    return _("The heading is filled by")


def _which_language(draft: str, first: str) -> str:
    codes = list(tongues.COMMON)
    chosen: str | None = st.selectbox(
        _("Language"),
        codes,
        index=codes.index(first),
        format_func=tongues.name,
        key=_key(draft, "language"),
        accept_new_options=True,
    )
    return chosen or first


def _languages(template: Template, others: list[str]) -> str:
    """The one that is shown; a language is added by choosing it."""
    known = [template.language, *others]
    key = f"template-language-{template.id}"
    adding = st.session_state.get(f"{key}-new")
    shown = [*known, adding] if adding and adding not in known else known
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen: str | None = None
        if len(shown) > 1:
            chosen = st.segmented_control(
                _("Language"),
                shown,
                default=adding if adding in shown else shown[0],
                format_func=tongues.name,
                required=True,
                key=key,
            )
        if not template.waba_id and session.may("templates.write"):
            free = [one for one in tongues.COMMON if one not in shown]

            def add() -> None:
                wanted = st.session_state[f"{key}-add"]
                if wanted:
                    st.session_state[f"{key}-new"] = wanted
                    st.session_state[f"{key}-add"] = None
                    st.session_state.pop(key, None)

            st.selectbox(
                _("Add a language"), free, index=None, format_func=tongues.name, key=f"{key}-add", on_change=add,
                placeholder=_("Choose"), width=220, accept_new_options=True,
            )  # fmt: skip
    return chosen or template.language


# ---- what happens to it -------------------------------------------------------------------------------------


def _save(template: Template, variant: Variant | None, draft: str, typed: Mapping[str, Any]) -> None:
    of: Template | Variant = variant or template
    wanted = {**typed, "slots": typed["slots"] or None}
    changes = {name: value for name, value in wanted.items() if value != getattr(of, name, None)}
    changes = {name: value for name, value in changes.items() if name == "header" or value is not None}
    if variant is not None:
        changes.pop("name", None)
    try:
        if variant is None:
            if changes:
                session.client().templates.change(template.id, changes)
        else:
            session.client().templates.save_variant(template.id, variant.language, changes)
    except (Invalid, Conflict) as error:
        look.problem(error)
        return
    _forget(draft)
    st.session_state["template-told"] = _("Saved.")
    st.rerun()


def _delete(template: Template, variant: Variant | None, draft: str) -> None:
    what = (
        _("Delete “{name}”, with all its languages? What was sent with it stays in the chats.", name=template.name)
        if variant is None
        else _("Delete the text in {language}? Its readers get “{name}” in its first language.",
            language=tongues.name(variant.language), name=template.name,
        )
    )  # fmt: skip
    key = _key(draft, "sure")
    if look.is_asked(key) and (used := _uses(template.id)):
        what += " " + n_("{count} campaign uses it.", "{count} campaigns use it.", used)
        what += " " + _("A template that a campaign uses is not deleted as a whole.") if variant is None else ""
    if not look.confirmed(key, what, button=_("Yes, delete"), is_grave=True):
        return
    try:
        if variant is None:
            session.client().templates.delete(template.id)
        else:
            session.client().templates.delete_variant(template.id, variant.language)
    except (Invalid, Conflict) as error:
        look.problem(error)
        return
    _forget(draft)
    st.session_state.pop(f"template-language-{template.id}", None)
    st.session_state.pop(f"template-language-{template.id}-new", None)
    page.go("templates", {"id": template.id} if variant is not None else None)


def _uses(template_id: int) -> int:
    """How many of the newest campaigns, sent or not, have it."""
    if not session.may("campaigns.read"):
        return 0
    newest = session.client().campaigns.list.page(None, order="newest", limit=_MOST_CAMPAIGNS).data
    return sum(template_id in (one.template_id, *(other.template_id for other in one.variants)) for one in newest)


# ---- what is not saved yet ----------------------------------------------------------------------------------


def _back() -> None:
    look.way_back("templates", _("All templates"))


def _key(draft: str, field: str) -> str:
    return f"template:{draft}:{field}"


def _keep(draft: str) -> None:
    """What is typed stays while another language is looked at: Streamlit drops what it does not draw."""
    for key in list(st.session_state):
        name = str(key)
        if name.startswith("template:") and name.rpartition(":")[2].startswith(("body", "default-")):
            st.session_state[name] = st.session_state[name]


def _forget(draft: str) -> None:
    for key in list(st.session_state):
        if str(key).startswith(_key(draft, "")):
            del st.session_state[key]
