"""How things look, the same on every page: headings, states, tables, bubbles, what is empty and what went wrong."""

import functools
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, ParamSpec

import streamlit as st

from ui import formats, page, refusals, session, words
from ui.markdown import plain
from ui.words import _, later
from waqtor import Error, NotReached, NotSignedIn

P = ParamSpec("P")
LOCKED = "locked"
"""Where the area is kept for which the API asked a one-time code."""
_CSS = Path(__file__).with_name("look.css")
_COLOURS = {
    "running": "green", "finished": "blue", "scheduled": "blue", "paused": "orange", "holding": "orange",
    "cancelled": "gray", "draft": "gray", "active": "green", "blocked": "red", "suspect": "orange", "failed": "red",
    "sent": "green", "delivered": "green", "read": "blue", "replied": "blue", "skipped": "gray", "queued": "gray",
    "unknown": "orange", "admin": "blue", "user": "green", "viewer": "gray", "auditor": "orange", "opted_out": "red",
    "APPROVED": "green", "PENDING": "orange", "REJECTED": "red", "PAUSED": "orange", "sending": "orange",
}  # fmt: skip
_STATES = {
    "running": later("running"), "finished": later("finished"), "scheduled": later("scheduled"),
    "paused": later("paused"), "holding": later("waits"), "cancelled": later("cancelled"), "draft": later("draft"),
    "active": later("active"), "blocked": later("blocked"), "suspect": later("suspect"), "failed": later("failed"),
    "sent": later("sent"), "delivered": later("delivered"), "read": later("read"), "replied": later("replied"),
    "skipped": later("skipped"), "queued": later("waiting"), "unknown": later("unknown"), "admin": later("admin"),
    "user": later("user"), "viewer": later("viewer"), "auditor": later("auditor"), "opted_out": later("opted out"),
    "APPROVED": later("approved"), "PENDING": later("pending"), "REJECTED": later("rejected"),
    "PAUSED": later("paused"), "sending": later("sending"), "none": later("none"), "disabled": later("disabled"),
    "missed": later("missed"),
}  # fmt: skip


def dress() -> None:
    """Our rules on top of Streamlit's, and which way the page reads."""
    language = words.chosen()
    st.html(f"<style>{_css()}</style>")
    if language != "en":  # what Streamlit itself says where we cannot
        most = _("At most {size} MB", size=formats.number(st.get_option("server.maxUploadSize")))
        _say_instead('[data-testid="stFileUploaderDropzone"] button p', _("Choose a file"))
        _say_instead('[data-testid="stFileUploaderDropzoneInstructions"]', most)
    turn = f"document.documentElement.lang='{language}';document.documentElement.dir='{words.direction(language)}'"
    st.html(f"<script>{turn}</script>", unsafe_allow_javascript=True)


def _say_instead(where: str, text: str) -> None:
    hidden, shown = f"{where}, {where} *", f'content: "{text}"; font-size: .875rem'
    st.html(f"<style>{hidden} {{ font-size: 0; }} {where}::after {{ {shown}; }}</style>")


def mark_as_new(names: Sequence[str]) -> None:
    """A tag beside these pages in the sidebar. Streamlit takes plain text there, and would have it in the title too."""
    links = ",".join(f'[data-testid="stSidebarNavLink"][href$="/{name}"]::after' for name in names)
    st.html(f'<style>{links} {{ content: "{_("New")}"; padding: .2rem .45rem; }}</style>')


@functools.cache
def _css() -> str:
    return _CSS.read_text()


def leave(path: str) -> None:
    """To a page outside Streamlit; the link is for who sees this before the browser goes."""
    dress()
    st.html(f"<script>window.location.replace('{path}')</script>", unsafe_allow_javascript=True)
    st.html(f'<p class="wq"><a href="{path}" target="_self">{_("Sign in")}</a></p>')


# ---- text ---------------------------------------------------------------------------------------------------


def heading(title: str, under: str = "") -> None:
    st.html('<span id="wq-top"></span>')
    st.title(plain(title), anchor=False)
    if under:
        st.html(f'<p class="wq wq-sub">{escape(under)}</p>')


def way_back(name: str, label: str) -> None:
    """From one thing to the list it is on."""
    turned = words.direction(words.chosen()) == "rtl"
    page.link(name, label, icon=":material/arrow_forward:" if turned else ":material/arrow_back:")


def back_to_top() -> None:
    st.html(f'<a class="wq-top" href="#wq-top" target="_self">↑ {_("Back to top")}</a>')


def state(name: str) -> str:
    """The word for a state, in the reader's language."""
    return _(_STATES[name]) if name in _STATES else name


def chip(name: str, label: str = "") -> str:
    """As HTML; colour is never the only sign."""
    return f'<span class="wq-chip {_COLOURS.get(name, "gray")}">{escape(label or state(name))}</span>'


def chips(*names: str) -> None:
    st.html("".join(chip(name) for name in names))


# ---- what there is, and what there is not -------------------------------------------------------------------


def empty(title: str, text: str, *, do: tuple[str, str] | None = None) -> None:
    """What to do first: `do` is a page, and the words on the link to it."""
    st.html(f'<div class="wq wq-empty"><b>{escape(title)}</b><span>{escape(text)}</span></div>')
    if do:
        with st.container(horizontal=True, horizontal_alignment="center"):
            page.link(do[0], do[1], icon=":material/arrow_forward:")


def problem(error: Error) -> None:
    """What went wrong, and what to do about it. The request's number finds it in the server's log."""
    if isinstance(error, NotReached):
        st.error(_("WaQtor does not answer. It is asked again when you press the button."), icon=":material/cloud_off:")
        st.button(_("Try again"), icon=":material/refresh:", key=f"again-{error.code}")
        return
    if (area := refusals.locked(error)) is not None:
        page.kept()[LOCKED] = area  # its code is asked for below the page: a form cannot stand in a form
        st.info(_("This takes a one-time code. An admin gives you one."), icon=":material/lock:")
        return
    said = "\n\n".join(plain(one) for one in refusals.told(error) if one)
    number = f"\n\n`{error.request_id}`" if error.request_id else ""
    st.error(f"{said}{number}", icon=":material/error:")


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]], *, numeric: Sequence[int] = ()) -> None:
    """A page's worth of rows, which screen readers can read; on a phone each row is a card. Cells that are `Html` are
    taken as they are."""
    head = "".join(f'<th scope="col"{_num(at, numeric)}>{escape(one)}</th>' for at, one in enumerate(heads))
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-label="{escape(heads[at])}"{_num(at, numeric)}>{_cell(one)}</td>' for at, one in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    st.html(f'<div class="wq-scroll"><table class="wq-rows"><thead><tr>{head}</tr></thead>{body}</table></div>')


class Html(str):
    """Made by us, and escaped where it has to be."""


def number_of(phone: str | None) -> Html:
    return code(phone or "–")


def tried(do: Callable[[], object]) -> bool:
    """Whether it went well; what went wrong stands where the form is."""
    try:
        do()
    except NotSignedIn as error:
        if error.field is None:  # else it is the password of the form that is not right
            raise
        problem(error)
    except Error as error:
        problem(error)
    else:
        return True
    return False


def fresh(name: str) -> str:
    """The key of a field that `clear` empties: it keeps what was typed until that was taken."""
    return f"{name}-{st.session_state.get(f'{name}-turn', 0)}"


def clear(*names: str) -> None:
    """From the next drawing on."""
    for name in names:
        st.session_state[f"{name}-turn"] = st.session_state.get(f"{name}-turn", 0) + 1


def code(text: str) -> Html:
    """Read from left to right wherever it stands."""
    return Html(f'<bdi class="code" dir="ltr">{escape(text)}</bdi>')


def words_of(text: str) -> Html:
    """What a person wrote, in the direction of its own language."""
    return Html(f'<span dir="auto">{escape(text)}</span>')


def _cell(value: Any) -> str:
    if isinstance(value, Html):
        return value
    shown = formats.number(value) if isinstance(value, int) else str(value)
    return f'<span dir="auto">{escape(shown)}</span>'


def _num(at: int, numeric: Sequence[int]) -> str:
    return ' class="num"' if at in numeric else ""


def funnel(steps: Sequence[tuple[str, int, str]], whole: int) -> None:
    """Bars of label, count and kind (empty, warn or bad), each as a share of `whole`."""
    rows = "".join(
        f"<span>{escape(label)}</span>"
        f'<span class="bar"><i class="{kind}" style="width:{100 * count / max(whole, 1):.1f}%"></i></span>'
        f'<span class="num">{formats.number(count)}</span>'
        for label, count, kind in steps
    )
    st.html(f'<div class="wq wq-funnel">{rows}</div>')


def bubble(
    text: str, *, heading: str = "", buttons: Sequence[str] = (), marked: Mapping[str, str] | None = None
) -> None:
    """As the person sees it in WhatsApp."""
    shown = escape(text)
    for name, value in (marked or {}).items():
        shown = shown.replace(escape(name), f"<mark>{escape(value)}</mark>")
    over = f'<b class="head">{escape(heading)}</b>' if heading else ""
    under = "".join(f'<span class="press">{escape(one)}</span>' for one in buttons)
    st.html(f'<div class="wq-chat"><div class="wq-bubble">{over}{shown}{under}</div></div>')


# ---- what happens -------------------------------------------------------------------------------------------


def live(every_s: float) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """A part of the page that is drawn anew by itself, and leaves alone what one types elsewhere."""

    def make(draw: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(draw)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                draw(*args, **kwargs)
            except NotSignedIn:
                st.rerun()  # the whole page finds out, and leads to the way in
            except Error as error:
                area = refusals.locked(error)
                if area is not None and not session.closed(area):
                    st.rerun()  # it was closed meanwhile; the whole page asks for the code
                problem(error)

        found: Callable[P, None] = st.fragment(guarded, run_every=every_s)
        return found

    return make


def turn(cursors: str, next_cursor: str | None) -> None:
    """Buttons for the page before and the next one; `cursors` names where they are kept."""
    kept: list[str | None] = st.session_state.setdefault(cursors, [None])
    if len(kept) == 1 and next_cursor is None:
        return
    with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center"):
        if st.button(_("Back"), key=f"{cursors}-back", icon=":material/chevron_left:", disabled=len(kept) == 1):
            kept.pop()
            st.rerun()
        st.caption(_("Page {number}", number=formats.number(len(kept))))
        if st.button(_("Next"), key=f"{cursors}-next", icon=":material/chevron_right:", disabled=next_cursor is None):
            kept.append(next_cursor)
            st.rerun()


def cursor(cursors: str, *, of: Any = None) -> str | None:
    """Where the list is. When `of` changes (another search), it begins anew."""
    if st.session_state.get(f"{cursors}-of") != of:
        st.session_state[f"{cursors}-of"] = of
        st.session_state[cursors] = [None]
    kept: list[str | None] = st.session_state.setdefault(cursors, [None])
    return kept[-1]


def confirmed(key: str, question: str, *, button: str, of: object = None, is_grave: bool = False) -> bool:
    """A question with its numbers, in a box; True once, when it was answered with yes. `of`: what it was asked about,
    so that yes never falls on another."""
    if not is_asked(key, of=of):
        return False
    with st.container(border=True):
        (st.error if is_grave else st.warning)(plain(question), icon=":material/help:")
        with st.container(horizontal=True):
            yes = st.button(button, key=f"{key}-yes", type="primary")
            no = st.button(_("No, go back"), key=f"{key}-no")
    if yes or no:
        answered(key)
    if no:
        st.rerun()
    return yes


def ask(key: str, *, of: object = None) -> None:
    """The question of `confirmed` is put from now on, as long as one stays on this page and what it is about."""
    page.kept()[key] = (of,)


def is_asked(key: str, *, of: object = None) -> bool:
    return page.kept().get(key) == (of,)


def answered(key: str) -> None:
    """It is not put any more."""
    page.kept().pop(key, None)
