"""A whole visit in Chromium: by touch, and by the keyboard alone; nothing is asked of any other machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eyebright_edge.agent.home import UnitHome
from eyebright_edge.catalogues import Words, words_in
from eyebright_edge.kiosk.technicians import Technicians
from kiosk_process import AUDIT, CHROMIUM, FLAGS, running_kiosk, tab_to
from visit_desk import dark_picture, good_picture, unit_with_release

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed"),
]
_WAIT_MS = 30_000


@pytest.fixture
def home(tmp_path: Path) -> UnitHome:
    home = unit_with_release(tmp_path)
    Technicians(home.root).set_pin("Ana", "4711")
    return home


@pytest.fixture
def kiosk(home: UnitHome) -> Iterator[str]:
    with running_kiosk(home.root) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()


def page_of(browser: Any, kiosk: str, *, width: int = 1280, height: int = 800) -> tuple[Any, list[str]]:
    """Open the first page; return it with everything that went wrong or left for another machine, as it happens."""
    page = browser.new_context(viewport={"width": width, "height": height}, has_touch=True).new_page()
    page.set_default_timeout(_WAIT_MS)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.on("request", lambda asked: None if asked.url.startswith((kiosk, "blob:")) else wrong.append(asked.url))
    page.goto(f"{kiosk}/")
    return page, wrong


def in_language(page: Any, code: str) -> Words:
    with page.expect_navigation():
        page.locator(f"button[lang={code}]").tap()
    return words_in(code)


def tap(page: Any, selector: str) -> None:
    with page.expect_navigation():
        page.locator(selector).tap()
    assert page.evaluate(AUDIT) == []


def press_enter(page: Any, selector: str) -> None:
    tab_to(page, selector)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.evaluate(AUDIT) == []


def touch_keys(page: Any, signs: str) -> None:
    for sign in signs:
        page.get_by_role("button", name=sign, exact=True).first.tap()


def heading(page: Any) -> str:
    return str(page.locator("h1").inner_text())


@pytest.mark.parametrize(("code", "width", "height"), [("en", 1280, 800), ("hi", 390, 844)], ids=["kiosk", "phone"])
def test_a_visit_by_touch(browser: Any, kiosk: str, home: UnitHome, code: str, width: int, height: int) -> None:
    page, wrong = page_of(browser, kiosk, width=width, height=height)
    words, inbox = in_language(page, code), home.root / "inbox"
    touch_keys(page, "4711")
    tap(page, "main .primary")
    tap(page, "a.huge")
    touch_keys(page, "P-17")
    tap(page, "main .primary")
    for question, answer in (("consent", "yes"), ("symptoms", "no"), ("treatment", "no"), ("diabetes", "yes")):
        page.locator(f"input[name={question}][value={answer}]").tap()
    touch_keys(page, "54")
    tap(page, "main .primary")
    assert heading(page) == words("take.title", eye=words("eye.R"))
    (inbox / "one.png").write_bytes(dark_picture(0))
    tap(page, ".offer.first .primary")
    assert page.locator(".instruction").inner_text() in {
        words(f"instruction.{r}") for r in ("not_a_retina", "too_dark")
    }
    (inbox / "two.png").write_bytes(good_picture(0))
    tap(page, ".offer.first .primary")
    assert heading(page) == words("take.title", eye=words("eye.L"))
    page.locator("#file").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": good_picture(1)})
    tap(page, "section[aria-labelledby=from-file] button")
    assert heading(page) == words("verdict.NO REFERRAL")
    assert page.locator(".over").count() == 0
    tap(page, ".actions a.quiet")
    assert words("clinician.caption") in page.locator("#caption").inner_text()
    assert page.evaluate("document.querySelector('.over').naturalWidth") > 0
    page.locator("#opacity").fill("80")
    assert page.evaluate("getComputedStyle(document.querySelector('.over')).opacity") == "0.8"
    for target in ("/history", "/unit", "/leaves", "/"):
        tap(page, f"nav a[href='{target}']")
    assert list(inbox.glob("*.png")) == []
    assert wrong == []


@pytest.mark.parametrize("code", ["es", "ar"])
def test_a_visit_by_the_keyboard_alone(browser: Any, kiosk: str, home: UnitHome, code: str) -> None:
    page, wrong = page_of(browser, kiosk)
    words, inbox = words_in(code), home.root / "inbox"
    press_enter(page, f"button[lang={code}]")
    assert page.locator("html").get_attribute("dir") == words.language.direction
    page.locator("#pin").focus()
    page.keyboard.type("4711")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    press_enter(page, "a.huge")
    page.keyboard.type("P-18")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    for question, downs in (("consent", 0), ("symptoms", 1), ("treatment", 1), ("diabetes", 0)):
        tab_to(page, f"input[name={question}]")
        page.keyboard.press("Space")
        for _ in range(downs):
            page.keyboard.press("ArrowDown")
        if question == "consent":
            tab_to(page, "#age")
            page.keyboard.type("61")
    press_enter(page, "main .primary")
    for eye, seed in (("R", 0), ("L", 1)):
        assert heading(page) == words("take.title", eye=words(f"eye.{eye}"))
        (inbox / f"{seed}.png").write_bytes(good_picture(seed))
        page.wait_for_selector(".offer.first .primary")
        press_enter(page, ".offer.first .primary")
    assert heading(page) == words("verdict.NO REFERRAL")
    press_enter(page, ".actions a.primary")
    assert page.evaluate("document.activeElement.id") == "patient"
    assert wrong == []


def test_a_screen_reader_hears_what_changes(browser: Any, kiosk: str, home: UnitHome) -> None:
    page, _ = page_of(browser, kiosk)
    touch_keys(page, "4711")
    tap(page, "main .primary")
    tap(page, "a.huge")
    page.locator("#patient").fill("P")
    tap(page, "main .primary")
    assert page.locator("[aria-current=step]").inner_text().split()[-1] == "Questions"
    for question in ("consent", "symptoms", "treatment", "diabetes"):
        assert page.get_by_role("group", name=words_in("en")(f"check.{question}")).count() == 1
    page.locator("input[name=consent][value=yes]").tap()
    page.locator("input[name=symptoms][value=yes]").tap()
    page.locator("input[name=treatment][value=no]").tap()
    page.locator("input[name=diabetes][value=no]").tap()
    page.get_by_label("Age in years").fill("54")
    tap(page, "main .primary")
    told = page.get_by_role("status")
    assert "NOT SCREENED" in told.inner_text()
    assert "Refer today" in told.inner_text()
