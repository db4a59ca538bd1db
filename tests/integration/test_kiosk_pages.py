"""The pages of the kiosk over HTTP, without a browser: who may see what, what a form does, nothing from elsewhere."""

import html
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from eyebright_common.release import Verdict
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.unit_report import unit_facts, unit_status
from eyebright_edge.agent.update_record import read_record
from eyebright_edge.catalogues import LANGUAGES, words_in
from eyebright_edge.kiosk.frame import Kiosk
from eyebright_edge.kiosk.technicians import Technicians
from eyebright_edge.records import VisitJournal
from kiosk_client import NAME, PIN, Clock, begin, client_of, give, kiosk_of, staffed_home
from page_client import TestClient
from tiny_release import REFER_BIAS
from visit_desk import IN_SCOPE, NOON, dark_picture, good_picture, unit_with_release

PAGES = ("/", "/visit/new", "/history", "/unit", "/leaves")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def home(tmp_path: Path) -> UnitHome:
    return staffed_home(tmp_path)


@pytest.fixture
def kiosk(home: UnitHome, clock: Clock) -> Kiosk:
    return kiosk_of(home, clock)


@pytest.fixture
def stranger(kiosk: Kiosk) -> TestClient:
    return client_of(kiosk)


@pytest.fixture
def client(stranger: TestClient) -> TestClient:
    stranger.post("/unlock", data={"technician": NAME, "pin": PIN})
    return stranger


def test_a_stranger_sees_only_the_lock(stranger: TestClient) -> None:
    for page in (*PAGES, "/visit/1", "/visit/1/clinician", "/inbox/0"):
        answer = stranger.get(page, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/lock?next={page}")
    assert stranger.get("/visit/1/waiting").status_code == 401
    assert "Who is working?" in stranger.get("/").text


def test_a_wrong_pin_does_not_open_and_is_counted(stranger: TestClient) -> None:
    answer = stranger.post("/unlock", data={"technician": NAME, "pin": "000000"})
    assert answer.status_code == 403
    assert "Tries left before a pause: \u20684\u2069" in answer.text
    assert stranger.get("/", follow_redirects=False).status_code == 303


def test_after_a_pause_the_screen_is_locked_and_leads_back(client: TestClient, clock: Clock) -> None:
    where = begin(client)
    clock.now += 301
    locked = client.get(where)
    assert "Locked after a pause" in locked.text
    back = client.post("/unlock", data={"technician": NAME, "pin": PIN, "next": where})
    assert (back.url.path, "Right eye: take a picture" in back.text.replace("\u2068", "").replace("\u2069", "")) == (
        where,
        True,
    )


def test_locking_ends_the_login(client: TestClient) -> None:
    secret = client.cookies["eyebright_login"]
    client.post("/lock")
    client.cookies.set("eyebright_login", secret)
    assert client.get("/", follow_redirects=False).status_code == 303


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "evil"])
def test_nobody_is_led_to_another_machine(stranger: TestClient, path: str) -> None:
    form = {"technician": NAME, "pin": PIN, "next": path}
    assert stranger.post("/unlock", data=form, follow_redirects=False).headers["location"] == "/"


def test_a_whole_visit(client: TestClient) -> None:
    where = begin(client)
    again = give(client, where, "R", dark_picture(0))
    assert "Not a retina" in again or "Too dark" in again
    assert "the picture is good enough" in give(client, where, "R", good_picture(0))
    result = give(client, where, "L", good_picture(1))
    for part in (
        "NO REFERRAL",
        "21 November 2027",
        "P-17",
        "NOT validated",
        "0.50",
        "finding people to refer",
        "This is screening, not a diagnosis.",
        "Research use. Not for diagnosis.",
        'class="icon icon-clear"',
    ):
        assert part in result, part
    assert "/looked/" not in result
    clinician = client.get(f"{where}/clinician").text
    assert "Where the model looked, not what is there." in clinician
    for kind in ("seen", "looked"):
        (address,) = set(re.findall(rf'src="({where}/{kind}/[0-9a-f]+)"', clinician)[:1])
        assert client.get(address).headers["content-type"] == "image/png"


def test_an_answer_out_of_scope_ends_the_visit_with_what_to_do(client: TestClient) -> None:
    where = begin(client, symptoms="yes")
    page = client.get(where).text
    assert "NOT SCREENED" in page
    assert "Refer today" in page
    assert "NO REFERRAL" not in page


def test_a_question_left_open_is_asked_again_and_nothing_is_lost(client: TestClient) -> None:
    where = client.post("/visit/new", data={"patient": "P-17"}).url.path
    answer = client.post(f"{where}/checklist", data={**IN_SCOPE, "age": "old"})
    assert answer.status_code == 422
    assert "Please answer" in answer.text
    assert 'name="diabetes" value="yes" required checked' in answer.text


def test_an_eye_that_cannot_be_photographed_is_no_negative(client: TestClient) -> None:
    where = begin(client)
    give(client, where, "R", good_picture(0))
    page = client.post(f"{where}/skip", data={"eye": "L"}).text
    assert "NO ANSWER YET" in page
    assert "Not a negative answer" in page


def test_a_finding_is_a_referral_with_its_date(tmp_path: Path, clock: Clock) -> None:
    home = unit_with_release(tmp_path, bias=REFER_BIAS)
    Technicians(home.root).set_pin(NAME, PIN)
    client = client_of(kiosk_of(home, clock))
    client.post("/unlock", data={"technician": NAME, "pin": PIN})
    where = begin(client)
    give(client, where, "R", good_picture(0))
    page = give(client, where, "L", good_picture(1))
    for part in ("REFER", "Refer to an ophthalmologist.", "19 December 2026", 'class="icon icon-refer"'):
        assert part in page


def test_the_same_picture_for_both_eyes_is_refused(client: TestClient) -> None:
    where = begin(client)
    give(client, where, "R", good_picture(0))
    assert "already given for the other eye" in give(client, where, "L", good_picture(0))


def test_sending_a_form_twice_changes_nothing(client: TestClient, kiosk: Kiosk) -> None:
    where = begin(client)
    for _ in range(2):
        give(client, where, "R", good_picture(0))
    assert len(kiosk.desk.visit(1).pictures) == 1
    client.post(f"{where}/checklist", data={**IN_SCOPE, "symptoms": "yes"})
    assert kiosk.desk.visit(1).checklist == IN_SCOPE


def test_a_picture_from_the_camera_is_offered_used_and_gone(
    client: TestClient, home: UnitHome, kiosk: Kiosk, clock: Clock
) -> None:
    where, saved = begin(client), home.root / "inbox" / "left_1.png"
    saved.write_bytes(good_picture(0))
    client.get(f"{where}/waiting")
    clock.now += 2
    offered = client.get(f"{where}/waiting").text
    assert "named for the other eye" in offered
    (key,) = set(re.findall(r'name="inbox" value="([0-9a-f]+)"', offered))
    assert client.get(f"/inbox/{key}").headers["content-type"] == "image/jpeg"
    client.post(f"{where}/picture", data={"eye": "R", "inbox": key})
    assert not saved.exists()
    assert kiosk.desk.visit(1).pictures[0]["verdict"] == Verdict.NO_REFERRAL


def test_a_picture_of_nobody_here_is_put_aside(client: TestClient, home: UnitHome, clock: Clock) -> None:
    where, saved = begin(client), home.root / "inbox" / "x.png"
    saved.write_bytes(good_picture(0))
    client.get(f"{where}/waiting")
    clock.now += 2
    (key,) = set(re.findall(r'name="inbox" value="([0-9a-f]+)"', client.get(f"{where}/waiting").text))
    client.post(f"/inbox/{key}/aside", data={"next": where})
    assert (saved.parent / "aside" / "x.png").exists()


def test_a_visit_that_a_restart_cut_short_is_on_the_first_page(
    client: TestClient, home: UnitHome, clock: Clock
) -> None:
    where = begin(client)
    again = client_of(kiosk_of(home, clock))
    again.post("/unlock", data={"technician": NAME, "pin": PIN})
    assert f'href="{where}"' in again.get("/").text
    assert "Right eye" in again.get(where).text


def test_the_history_finds_a_code(client: TestClient) -> None:
    begin(client, symptoms="yes")
    assert "P-17" in client.get("/history?code=p-17").text
    assert "No visit found." in client.get("/history?code=Q").text


def test_what_leaves_is_the_next_report_whole_and_nothing_of_a_patient(client: TestClient, kiosk: Kiosk) -> None:
    where = begin(client)
    give(client, where, "R", good_picture(0), name="family-name.png")
    give(client, where, "L", good_picture(1), name="family-name-2.png")
    journal = VisitJournal(kiosk.home.visits_file, lambda: NOON - timedelta(days=1))
    for _ in range(6):
        journal.close(journal.open(release="1"), {"verdict": "REFER"})
    page = client.get("/leaves").text
    exact = re.search(r"<pre[^>]*>(.*?)</pre>", page, re.S)
    assert exact
    sent = unit_status(unit_facts(kiosk.home, read_record(kiosk.home), task="fundus", today=NOON.date()))
    shown = json.loads(html.unescape(exact[1]))
    temperature = {"temperature_c": None}  # of the machine, which may change in between
    assert {**shown, "telemetry": shown["telemetry"] | temperature} == {
        **(whole := sent.model_dump(mode="json")),
        "telemetry": whole["telemetry"] | temperature,
    }
    assert shown["telemetry"]["days"][0]["results"]["refer"] == 6
    plain = page.replace("\u2068", "").replace("\u2069", "")
    for words in (
        "20 November 2026",
        "REFER: 6",
        "NO REFERRAL: 0",
        "camera not known: 6",
        "of 1 to 4",
        "below 50",
    ):
        assert words in plain, words
    # Today's visit is not over with the day, and is told neither there nor in the totals.
    assert (shown["screened"], shown["verdicts"]["no_referral"]) == (0, 0)
    assert not any(secret in page for secret in ("P-17", "family-name"))


def test_printing_is_on_record(client: TestClient, kiosk: Kiosk) -> None:
    where = begin(client, symptoms="yes")
    client.post(f"{where}/printed")
    assert [(one["how"], one["technician"]) for one in kiosk.desk.visit(1).exported] == [("print", NAME)]


@pytest.mark.parametrize("language", [language.code for language in LANGUAGES])
def test_every_page_speaks_the_chosen_language_and_loads_from_this_unit_alone(
    client: TestClient, language: str
) -> None:
    client.post("/language", data={"language": language})
    where = begin(client)
    take = client.get(where).text
    give(client, where, "R", good_picture(0))
    give(client, where, "L", good_picture(1))
    pages = [take, *(client.get(page).text for page in (*PAGES, where, f"{where}/clinician", "/lock"))]
    for text in pages:
        assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}">' in text
        assert words_in(language)("research") in text
        assert [
            address for address in re.findall(r'(?:src|href|action)="([^"]*)"', text) if address[:1] not in "/#"
        ] == []


def test_a_page_may_load_nothing_from_elsewhere_and_is_not_kept(client: TestClient) -> None:
    headers = client.get("/").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_a_form_from_another_page_and_another_name_are_refused(client: TestClient) -> None:
    assert (
        client.post("/visit/new", data={"patient": "P"}, headers={"origin": "http://evil.example"}).status_code == 403
    )
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421


def test_a_body_larger_than_any_picture_is_refused_unread(client: TestClient) -> None:
    answer = client.post("/visit/1/picture", content=b"x", headers={"content-length": str(10**9)})
    assert answer.status_code == 413


def test_a_name_is_never_markup(client: TestClient) -> None:
    where = client.post("/visit/new", data={"patient": "<b>x</b>"}).url.path
    assert "<b>x</b>" not in client.get(where).text


def test_a_page_that_is_not_there_is_said(client: TestClient) -> None:
    for path in ("/visit/99", "/nothing"):
        answer = client.get(path)
        assert (answer.status_code, "There is no such page on this unit." in answer.text) == (404, True)


def test_without_a_release_the_first_page_says_why(tmp_path: Path, clock: Clock) -> None:
    home = unit_with_release(tmp_path)
    home.activate(None)
    Technicians(home.root).set_pin(NAME, PIN)
    client = client_of(kiosk_of(home, clock))
    page = client.post("/unlock", data={"technician": NAME, "pin": PIN}).text
    assert "This unit cannot screen yet." in page
