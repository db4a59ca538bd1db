"""What hands and cameras do to the kiosk: two taps, two browsers on one visit, a folder full of anything."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from eyebright_edge.catalogues import words_in
from eyebright_edge.kiosk.frame import Kiosk
from kiosk_client import Clock, begin, client_of, give, kiosk_of, staffed_home, unlock
from page_client import TestClient
from visit_desk import IN_SCOPE, good_picture

WORDS = words_in("en")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kiosk(tmp_path: Path, clock: Clock) -> Kiosk:
    return kiosk_of(staffed_home(tmp_path), clock)


@pytest.fixture
def client(kiosk: Kiosk) -> TestClient:
    client = client_of(kiosk)
    unlock(client)
    return client


def once_on(page: str) -> str:
    return page.split('name="once" value="')[1].split('"')[0]


def twice_at_once(work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def offered(kiosk: Kiosk, clock: Clock) -> list[str]:
    kiosk.inbox.waiting()
    clock.now += 2
    return [one.key for one in kiosk.inbox.waiting()]


def test_two_taps_open_one_visit(client: TestClient, kiosk: Kiosk) -> None:
    form = {"patient": "P-17", "once": once_on(client.get("/visit/new").text)}
    twice_at_once(lambda: client.post("/visit/new", data=form))
    assert client.post("/visit/new", data=form).url.path == "/visit/1"
    assert len(kiosk.desk.visits()) == 1


def test_the_next_patient_and_the_same_one_again_get_visits_of_their_own(client: TestClient, kiosk: Kiosk) -> None:
    form = {"patient": "P-17", "once": once_on(client.get("/visit/new").text)}
    client.post("/visit/new", data=form)
    assert client.post("/visit/new", data={**form, "patient": "P-18"}).url.path == "/visit/2"
    again = {"patient": "P-17", "once": once_on(client.get("/visit/new").text)}
    assert client.post("/visit/new", data=again).url.path == "/visit/3"


def test_a_picture_tapped_twice_is_one_and_shows_the_next_eye(client: TestClient, kiosk: Kiosk, clock: Clock) -> None:
    where = begin(client)
    (kiosk.inbox.folder / "eye.png").write_bytes(good_picture(0))
    (key,) = offered(kiosk, clock)
    form = {"eye": "R", "inbox": key}
    client.post(f"{where}/picture", data=form)
    second = client.post(f"{where}/picture", data=form)
    assert (second.status_code, second.url.path) == (200, where)
    assert "Left eye" in second.text
    assert len(kiosk.desk.visit(1).received) == 1


def test_a_picture_that_another_browser_has_used_is_said_to_be_gone(
    client: TestClient, kiosk: Kiosk, clock: Clock
) -> None:
    where = begin(client)
    (kiosk.inbox.folder / "eye.png").write_bytes(good_picture(0))
    (key,) = offered(kiosk, clock)
    kiosk.inbox.put_aside(key)
    answer = client.post(f"{where}/picture", data={"eye": "R", "inbox": key})
    assert answer.status_code == 422
    assert WORDS("error.gone") in answer.text
    assert WORDS("take.title", eye=WORDS("eye.R")) in answer.text


def test_two_browsers_that_answer_the_same_questions_both_go_on(
    client: TestClient, kiosk: Kiosk, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = client.post("/visit/new", data={"patient": "P-17"}).url.path
    before = kiosk.desk.visit(1)
    client.post(f"{where}/checklist", data=IN_SCOPE)
    # The other browser's request had looked at the visit before this one was done.
    monkeypatch.setattr(kiosk.desk, "visit", lambda number: before)
    other = client.post(f"{where}/checklist", data={**IN_SCOPE, "age": "23"}, follow_redirects=False)
    assert (other.status_code, other.headers["location"]) == (303, where)
    monkeypatch.undo()
    assert (kiosk.desk.visit(1).checklist or {})["age"] == "54"


def test_two_browsers_that_give_the_last_picture_close_the_visit_once(client: TestClient, kiosk: Kiosk) -> None:
    where = begin(client)
    give(client, where, "R", good_picture(0))
    seeds = iter((1, 2))
    twice_at_once(lambda: give(client, where, "L", good_picture(next(seeds))))
    visit = kiosk.desk.visit(1)
    assert visit.answer is not None
    assert len([one for one in visit.received if one["eye"] == "L"]) == 1
    assert "NO REFERRAL" in client.get(where).text


def test_a_folder_with_hundreds_of_other_files_offers_the_picture(
    client: TestClient, kiosk: Kiosk, clock: Clock
) -> None:
    where = begin(client)
    for number in range(300):
        (kiosk.inbox.folder / f"DSC{number}.{('raw', 'xml', 'thm', 'mov', 'txt')[number % 5]}").write_bytes(b"x" * 100)
    (kiosk.inbox.folder / "folder.jpg").mkdir()
    (kiosk.inbox.folder / "gone.jpg").symlink_to("/nowhere/at/all.jpg")
    os.mkfifo(kiosk.inbox.folder / "pipe.jpg")
    (kiosk.inbox.folder / "empty.jpg").write_bytes(b"")
    (kiosk.inbox.folder / "right.png").write_bytes(good_picture(0))
    assert len(offered(kiosk, clock)) == 1
    page = client.get(f"{where}/waiting").text
    assert page.count("<article") == 1
    assert "right.png" in page


def test_pictures_by_the_hundred_that_are_none_cost_a_retake_each_and_nothing_else(
    client: TestClient, kiosk: Kiosk, clock: Clock
) -> None:
    where = begin(client)
    for number in range(200):
        (kiosk.inbox.folder / f"note{number}.jpg").write_text(f"this is a note {number}")
    keys = offered(kiosk, clock)
    assert len(keys) == 200
    assert client.get(f"/inbox/{keys[0]}").status_code == 404
    said = client.post(f"{where}/picture", data={"eye": "R", "inbox": keys[0]})
    assert said.status_code == 200
    assert "take it again" in said.text
    assert len(offered(kiosk, clock)) == 199


def test_a_name_in_another_alphabet_of_a_cameras_card_is_offered_and_used(
    client: TestClient, kiosk: Kiosk, clock: Clock
) -> None:
    where = begin(client)
    (Path(os.fsdecode(os.fsencode(kiosk.inbox.folder) + b"/\xf1and\xfa_OD.png"))).write_bytes(good_picture(0))
    (key,) = offered(kiosk, clock)
    assert client.get(where).status_code == 200
    assert client.get(f"/inbox/{key}").status_code == 200
    assert "Left eye" in client.post(f"{where}/picture", data={"eye": "R", "inbox": key}).text
    assert list(kiosk.inbox.folder.iterdir()) == []


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eyebright_edge.kiosk.technicians.write_bytes", full)


def test_a_mistyped_pin_shuts_nobody_out_when_the_disk_is_full(kiosk: Kiosk, full_disk: None) -> None:
    client = client_of(kiosk)
    assert WORDS("lock.wrong", left=4) in unlock(client, pin="926314")
    assert "is working" in unlock(client).replace("\u2068", "").replace("\u2069", "")


def test_wrong_pins_cost_time_when_the_disk_is_full_too(kiosk: Kiosk, full_disk: None) -> None:
    client = client_of(kiosk)
    for _ in range(5):
        unlock(client, pin="926314")
    assert WORDS("lock.pause", seconds=30) in unlock(client)
