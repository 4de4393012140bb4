"""The pictures of the dashboard's main pages, each with something on it, as somebody at work has it before them."""

import io
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from cli.local import Local
from simulator.config import NUMBER_ID
from waqtor import Client
from waqtor.auth import COOKIE
from waqtor.contacts import Consent, Contact

WIDTH = 1280
_LARGEST_BYTES = 120_000
_COLOURS = 256
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars")
_DRAWN = (
    "document.querySelector('[data-test-script-state=notRunning]') && document.querySelector('[data-testid=stMain] h1')"
    " && !document.querySelector('[data-testid=stSkeleton], [data-stale=true], [data-testid=stSpinner]')"
)
_SOON_MS = 1000  # until what slides in has arrived
_SHEET = """\
الجوال,الاسم,المدينة,الوسوم
+966501234567,نورة العتيبي,الرياض,vip
0509876543,Omar Haddad,Jeddah,customers
12345,سارة الحربي,جدة,customers
+971501234567,Layla Nasser,دبي,customers;vip
,خالد الشمري,الرياض,customers
+201012345678,محمد المصري,القاهرة,customers
٠٥٥١١١٢٢٣٣,هند الزهراني,الدمام,vip
"""
_BODY = "Hello {name}, the *olive trees* are back.\n\nWe keep one for you until Sunday."
_ASKED = "السلام عليكم، هل ما زالت شتلات الزيتون متوفرة؟"
_ANSWERED = "وعليكم السلام! نعم، لدينا *شتلات زيتون* بعمر سنتين، والخصم يشملها حتى الأحد."
_THANKED = "ممتاز، سأمرّ بكم غدًا إن شاء الله"


@dataclass(frozen=True)
class View:
    """`path` may have the id of what was made for it; `arrange` brings the page to what the picture is of."""

    name: str
    path: str
    arrange: Callable[[Page], object] = lambda _page: None
    language: str = "en"
    is_dark: bool = False
    height: int = 860


@dataclass(frozen=True)
class Made:
    """What there is to look at beside the first campaign."""

    template_id: int
    draft_id: int
    chat_id: str


def views(made: Made) -> Iterator[View]:
    """Each page once; languages and colours in turns, so that each look is seen."""
    yield View("dashboard-contacts.png", "/contacts")
    yield View("dashboard-contacts-ar-dark.png", "/contacts", language="ar", is_dark=True)
    yield View("dashboard-import-ar.png", "/import", _look_over, language="ar")
    yield View("dashboard-template-dark.png", f"/templates?id={made.template_id}", _to_the_message, is_dark=True)
    yield View("dashboard-check.png", f"/campaign-new?id={made.draft_id}", _to_the_check, height=1000)
    yield View("dashboard-chat-ar.png", f"/messages?chat={made.chat_id}", _to_the_end, language="ar")
    yield View("dashboard-reports-ar.png", "/reports", _to_the_charts, language="ar", height=1240)
    yield View("dashboard-senders-ar-dark.png", "/senders?id=1", language="ar", is_dark=True)


def take(local: Local, email: str, password: str, folder: Path, wanted: list[str]) -> None:
    """Those of `wanted`, or all."""
    with Client(local.settings.api_url, "") as nobody:
        cookie = nobody.auth.sign_in_browser(email, password).cookie
    made = furnish(local)
    with _chromium() as browser:
        for view in views(made):
            if not wanted or view.name in wanted:
                with _window(browser, local.settings.public_dashboard_url, cookie, view) as page:
                    _take(page, view, folder / view.name)


def furnish(local: Local) -> Made:
    """People who agreed, a chat, a template, two more campaigns, and one that waits to be sent."""
    with Client(local.settings.api_url, local.api_key) as client:
        consent = Consent(source="shop", wording="Yes, send me offers on WhatsApp.", given_at=datetime.now(UTC))
        numbers = [str(one.phone) for one in client.contacts.list(tag="vip") if one.phone and not one.opted_out]
        client.contacts.import_file("\n".join(["phone", *numbers]).encode(), filename="agreed.csv", consent=consent)
        template = client.templates.create("Back in stock", _BODY)
        client.senders.sync_templates(1)
        spring = next(one for one in client.templates.list() if one.cloud_name == "spring_offer")
        for name in ("Olive trees", "Eid greeting"):
            campaign = client.campaigns.create(name, sender_id=1, template_id=spring.id, tag="vip", purpose="service")
            client.campaigns.launch(campaign.id)
            client.campaigns.wait(campaign.id, timeout_s=120)
        draft = client.campaigns.create("Summer", sender_id=1, template_id=spring.id, tag="vip", purpose="marketing")
        client.segments.create("VIPs in Riyadh", 'tag = "vip" and city = "Riyadh"')
        chat = _talk(local, client)
    return Made(template.id, draft.id, chat)


def _talk(local: Local, client: Client) -> str:
    """One that somebody with an Arabic name began."""
    person = next(one for one in client.contacts.list() if _reads_arabic(one) and one.phone and "vip" not in one.tags)
    number = str(person.phone).removeprefix("+")
    local.simulator("POST", f"contacts/{number}/say", to=NUMBER_ID, text=_ASKED)
    _until(lambda: client.chats.get(f"1-{person.id}").unread > 0)  # only then a free answer may go
    answer = client.messages.send(1, _ANSWERED, contact_id=person.id)
    client.messages.wait(answer.id)
    local.simulator("POST", f"contacts/{number}/say", to=NUMBER_ID, text=_THANKED)
    return f"1-{person.id}"


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("The message did not come in.")
        time.sleep(0.2)


def _reads_arabic(person: Contact) -> bool:
    return any("ء" <= letter <= "ي" for letter in person.name)


# ---- what is done on a page ---------------------------------------------------------------------------------


def _look_over(page: Page) -> None:
    sheet = {"name": "customers.csv", "mimeType": "text/csv", "buffer": _SHEET.encode()}
    page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(files=[sheet])
    page.locator(".wq-rows").first.evaluate(
        "rows => {rows.scrollIntoView(); document.querySelector('[data-testid=stMain]').scrollBy(0, -200)}"
    )


def _to_the_message(page: Page) -> None:
    page.locator(".wq-bubble").first.wait_for()


def _to_the_check(page: Page) -> None:
    for shown in (".st-key-wqd-name", ".st-key-wqd-purpose", ".st-key-wqd-when"):
        page.locator(shown).wait_for()
        _drawn(page)
        page.locator(".st-key-wqd-on button").click()
    page.locator(".st-key-wqd-ask").wait_for()


def _to_the_end(page: Page) -> None:
    page.locator(".wq-bubble").last.scroll_into_view_if_needed()


def _to_the_charts(page: Page) -> None:
    page.locator("[data-testid=stVegaLiteChart]").first.wait_for()


# ---- how it is taken ----------------------------------------------------------------------------------------


@contextmanager
def _chromium() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _window(browser: Browser, url: str, cookie: str, view: View) -> Iterator[Page]:
    context = browser.new_context(
        base_url=url,
        locale={"en": "en-GB", "ar": "ar-EG"}[view.language],
        timezone_id="Asia/Riyadh",
        color_scheme="dark" if view.is_dark else "light",
        viewport={"width": WIDTH, "height": view.height},
    )
    kept = {COOKIE: cookie, "waqtor_language": view.language}
    context.add_cookies([{"name": name, "value": value, "url": url} for name, value in kept.items()])
    context.set_default_timeout(60_000)
    try:
        yield context.new_page()
    finally:
        context.close()


def _take(page: Page, view: View, file: Path) -> None:
    page.goto(view.path)
    _drawn(page)
    view.arrange(page)
    _drawn(page)
    page.wait_for_timeout(_SOON_MS)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    size = file.stat().st_size
    if size > _LARGEST_BYTES:
        raise RuntimeError(f"{file.name} has {size:,} bytes, more than {_LARGEST_BYTES:,}.")
    print(f"  {file.name}: {WIDTH} x {view.height}, {size // 1000} kB")


def _drawn(page: Page) -> None:
    page.wait_for_function(_DRAWN)
