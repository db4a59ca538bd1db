"""The page that the kiosk prints: both eyes are on it, opened as a patient's doctor would."""

import shutil
import subprocess
from pathlib import Path

import pytest

from eyebright_edge.kiosk.technicians import Technicians
from kiosk_client import NAME, PIN, Clock, begin, client_of, give, kiosk_of, unlock
from page_client import TestClient
from visit_desk import dark_picture, good_picture, unit_with_release

CODE = "P-0042"
needs_poppler = pytest.mark.skipif(shutil.which("pdfimages") is None, reason="poppler-utils is not installed")


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    home = unit_with_release(tmp_path)
    Technicians(home.root).set_pin(NAME, PIN)
    client = client_of(kiosk_of(home, Clock()))
    unlock(client)
    return client


def printed(client: TestClient, where: str) -> bytes:
    answer = client.post(f"{where}/report.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    return bytes(answer.content)


def pictures_on(page: bytes) -> int:
    return page.count(b"/Subtype /Image")


def poppler(program: str, *arguments: str, page: bytes) -> str:
    return subprocess.run([program, *arguments], input=page, capture_output=True, check=True).stdout.decode()


def test_both_eyes_stand_on_the_page(client: TestClient) -> None:
    where = begin(client, patient=CODE)
    for seed, eye in enumerate("RL"):
        give(client, where, eye, good_picture(seed))
    page = printed(client, where)
    assert (pictures_on(page), page.count(b"/Width 640"), page.count(b"/Height 640")) == (2, 2, 2)


@needs_poppler
def test_the_page_opens_in_another_reader_with_its_words_and_pictures(client: TestClient) -> None:
    where = begin(client, patient=CODE)
    for seed, eye in enumerate("RL"):
        give(client, where, eye, good_picture(seed))
    page = printed(client, where)
    lines = poppler("pdfimages", "-list", "-", page=page).splitlines()[2:]
    assert [line.split()[3:5] for line in lines if line.split()[2] == "image"] == [["640", "640"]] * 2
    words = poppler("pdftotext", "-", "-", page=page)
    assert all(word in words for word in (CODE, "Right eye", "Left eye"))


def test_an_eye_that_could_not_be_judged_is_shown_as_it_was_last_tried_and_a_missing_one_is_not(
    client: TestClient,
) -> None:
    where = begin(client, patient=CODE)
    for level in range(3):
        give(client, where, "R", dark_picture(level))
    client.post(f"{where}/skip", data={"eye": "L"})
    assert pictures_on(printed(client, where)) == 1


def test_a_visit_without_pictures_is_printed_without_any(client: TestClient) -> None:
    where = begin(client, patient=CODE, symptoms="yes")
    assert pictures_on(printed(client, where)) == 0


def test_the_visit_is_saved_for_a_record_system_and_that_is_on_record(client: TestClient, tmp_path: Path) -> None:
    where = begin(client, patient=CODE)
    for seed, eye in enumerate("RL"):
        give(client, where, eye, good_picture(seed))
    assert "report.fhir.json" in client.get(f"{where}/clinician").text
    answer = client.post(f"{where}/report.fhir.json")
    assert answer.headers["content-type"] == "application/fhir+json"
    assert CODE not in answer.headers["content-disposition"]
    assert [one["resource"]["resourceType"] for one in answer.json()["entry"]].count("Observation") == 2
    assert b'"exported"' in (tmp_path / "unit" / "visits.jsonl").read_bytes()
