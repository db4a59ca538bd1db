"""A technician's day where nothing is installed but the `[edge]` extra, and where there is no network but loopback.

Agent, kiosk and every command are processes of that environment, in a network of their own with the operator's server.
The rest of the test's side is what stands around a unit: a camera that saves files, and a technician's finger in
Chromium.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from eyebright_edge.catalogues import words_in
from eyebright_server.distribution import OperatorFolder, serve_in_thread
from kiosk_process import AUDIT, CHROMIUM, FLAGS
from lean_environment import lean_environment
from lean_unit import LeanUnit
from lean_wheel import ABSENT
from loopback_only import Door, loopback_only
from tiny_release import REFER_BIAS, write_tiny_release
from visit_desk import IN_SCOPE, dark_picture, good_picture

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed"),
]
NAME, PIN, IDLE_S = "Technician 1", "471147", 30
FIRST, SECOND = "P-0107", "P-0108"
WORDS = words_in("en")


@pytest.fixture
def environment() -> Path:
    return lean_environment()


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def page() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        opened = browser.new_context(viewport={"width": 1280, "height": 800}, has_touch=True).new_page()
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


@pytest.fixture
def attempts_to_leave(environment: Path, door: Door, page: Any) -> Iterator[Callable[[], int]]:
    """Installer, browser and door were there before: what comes after this is in a network of its own."""
    with loopback_only() as attempts:
        yield attempts


@pytest.fixture
def operator(attempts_to_leave: Callable[[], int], tmp_path: Path) -> Iterator[OperatorFolder]:
    folder = OperatorFolder.create(tmp_path / "operator")
    yield folder
    folder.close()


@pytest.fixture
def unit(environment: Path, operator: OperatorFolder, tmp_path: Path) -> LeanUnit:
    return LeanUnit(environment, tmp_path)


def publish(operator: OperatorFolder, folder: Path, version: str, **how: Any) -> None:
    write_tiny_release(folder / version, version=version, **how)
    operator.repository.publish(folder / version)


def tap(page: Any, selector: str) -> None:
    with page.expect_navigation():
        page.locator(selector).tap()
    assert page.evaluate(AUDIT) == []


def unlock(page: Any) -> None:
    for digit in PIN:
        page.get_by_role("button", name=digit, exact=True).first.tap()
    tap(page, "main .primary")


def begin(page: Any, code: str) -> None:
    tap(page, "a.huge")
    page.locator("#patient").fill(code)
    tap(page, "main .primary")
    for question, answer in IN_SCOPE.items():
        if question == "age":
            page.locator("#age").fill(answer)
        else:
            page.locator(f"input[name={question}][value={answer}]").tap()
    tap(page, "main .primary")


def from_camera(page: Any, unit: LeanUnit, picture: bytes) -> None:
    (unit.home / "inbox" / "IMG_0001.png").write_bytes(picture)
    tap(page, ".offer.first .primary")


def from_file(page: Any, picture: bytes) -> None:
    page.locator("#file").set_input_files({"name": "eye.png", "mimeType": "image/png", "buffer": picture})
    tap(page, "section[aria-labelledby=from-file] button")


def saved(page: Any, form: str) -> bytes:
    with page.expect_download() as download:
        page.locator(f"form[action$='{form}'] button").tap()
    return Path(download.value.path()).read_bytes()


def heading(page: Any) -> str:
    return str(page.locator("h1").inner_text())


def release_on(page: Any) -> str:
    (found,) = re.findall(r"\bfundus (\d+)", page.locator("dl.facts").inner_text())
    return str(found)


def test_a_technicians_day(
    attempts_to_leave: Callable[[], int],
    operator: OperatorFolder,
    unit: LeanUnit,
    page: Any,
    door: Door,
    tmp_path: Path,
) -> None:
    assert unit.importable(*ABSENT) == []
    publish(operator, tmp_path, "1")
    with serve_in_thread(operator) as addresses:
        # The installer's morning.
        invitation = tmp_path / "clinic-7.invitation"
        invitation.write_text(operator.invite("clinic-7", addresses=addresses).encode())
        assert "Enrolled as clinic-7 for fundus." in unit.edge("enrol", invitation)
        assert "Installed release 1. Release 1 serves." in unit.edge("update")
        shown = unit.type_pin(NAME, PIN)
        assert f"{NAME} can work here." in shown
        assert PIN not in shown
        unit.settle("unit.json", trial={"visits": 1})
        unit.settle("kiosk.json", idle_lock_s=IDLE_S, camera="Handheld A")

        with unit.service("agent") as agent, unit.service("kiosk", "--port", "0") as kiosk, ExitStack() as walk:
            agent.wait_for("up to date; release 1 serves")
            port = int(kiosk.wait_for("The kiosk is at http://127.0.0.1:").rstrip("/").rpartition(":")[2])
            page.goto(walk.enter_context(door.opens(port)))
            unlock(page)
            begin(page, FIRST)
            from_camera(page, unit, dark_picture(0))
            assert WORDS("take.again", eye=WORDS("eye.R")) == heading(page)
            assert page.locator(".instruction").inner_text()

            # An update arrives and is proven while the visit is open; meanwhile the technician has gone away.
            publish(operator, tmp_path, "2", bias=REFER_BIAS)
            page.wait_for_selector("#pin")
            assert WORDS("lock.idle") in page.locator("main").inner_text()
            assert "waiting; release 1 serves (a visit is open" in agent.wait_for("release 2 serves after it")
            told = unit.edge("status")
            assert "a visit is open; release 2 serves after it" in " ".join(told.split())
            unlock(page)
            assert heading(page) == WORDS("take.again", eye=WORDS("eye.R"))
            from_camera(page, unit, good_picture(0))
            from_file(page, good_picture(1))
            assert (heading(page), release_on(page)) == (WORDS("verdict.NO REFERRAL"), "1")
            printed = saved(page, "report.pdf")
            assert (printed[:5], printed.count(b"/Subtype /Image")) == (b"%PDF-", 2)
            tap(page, ".actions a.quiet")
            bundle = json.loads(saved(page, "report.fhir.json"))
            kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
            assert sorted(kinds) == ["Device", "DiagnosticReport", "Observation", "Observation", "Patient"]
            pytest.importorskip("fhir.resources.R4B.bundle").Bundle.model_validate(bundle)

            # The visit is closed: now it takes effect, for the next patient.
            tap(page, "nav a[href='/leaves']")
            assert FIRST not in page.content()
            tap(page, "nav a[href='/']")
            agent.wait_for("release 2 is on trial: 0 of 1 visits")
            page.goto(page.url)
            if page.locator("#pin").count():
                unlock(page)
            begin(page, SECOND)
            from_file(page, good_picture(2))
            from_camera(page, unit, good_picture(3))
            assert (heading(page), release_on(page)) == (WORDS("verdict.REFER"), "2")
            agent.wait_for("release 2 serves; next look")
            status = " ".join(unit.edge("status").split())
            assert "runs release 2" in status
            assert "can go back to release 1" in status
            assert "visits 1 REFER, 1 NO REFERRAL, 0 UNGRADABLE" in status
            page.wait_for_selector("#pin")
    assert list((unit.home / "inbox").iterdir()) == []
    everything = b"".join(file.read_bytes() for file in unit.home.rglob("*") if file.is_file())
    assert not any(code.encode() in everything for code in (FIRST, SECOND, PIN))
    assert attempts_to_leave() == 0
