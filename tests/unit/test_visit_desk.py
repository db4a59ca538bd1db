"""A visit at the desk, step by step."""

import errno
from datetime import date
from pathlib import Path

import pytest

from eyebright_common.errors import InputError
from eyebright_common.imaging import Quality
from eyebright_common.release import Eye, ImageDecision, Verdict
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.records import Journal, VisitJournal
from eyebright_edge.screening.advice import due_date
from eyebright_edge.screening.desk import DeskRules, Step, VisitDesk, step_of
from eyebright_edge.screening.retakes import EYE_CAUSED, tries_are_over
from tiny_release import REFER_BIAS
from visit_desk import IN_SCOPE, dark_picture, desk_at, good_picture, install, unit_with_release

DARK = ImageDecision(verdict=Verdict.UNGRADABLE, reasons=("too_dark",))
HAZY = ImageDecision(verdict=Verdict.UNGRADABLE, reasons=("haze", "blur"))
FINE = ImageDecision(verdict=Verdict.NO_REFERRAL, score=0.1)


@pytest.fixture
def home(tmp_path: Path) -> UnitHome:
    return unit_with_release(tmp_path)


@pytest.fixture
def desk(home: UnitHome) -> VisitDesk:
    return desk_at(home, DeskRules(camera="Handheld A"))


@pytest.fixture
def number(desk: VisitDesk) -> int:
    number = desk.open(patient="P-17", technician="Technician 1")
    desk.answer_checklist(number, IN_SCOPE)
    return number


def test_two_good_eyes_are_a_negative_with_a_date(desk: VisitDesk, number: int) -> None:
    assert step_of(desk.visit(number)) is Step.RIGHT
    desk.add_picture(number, Eye.RIGHT, good_picture(0), name="a.png")
    assert step_of(desk.visit(number)) is Step.LEFT
    desk.add_picture(number, Eye.LEFT, good_picture(1), name="b.png")
    result = desk.result(number)
    assert (result.verdict, result.advice, result.due) == (Verdict.NO_REFERRAL, "advice.rescreen", date(2027, 11, 21))
    assert (result.patient, result.technician, result.checklist["age"]) == ("P-17", "Technician 1", "54")
    assert [eye.overlay for eye in result.eyes] == [True, True]
    assert (result.camera, result.camera_validated) == ("Handheld A", False)
    assert (result.threshold, result.threshold_purpose, result.release) == (0.5, "referable", "1")
    assert result.closed_at is not None


def test_a_finding_in_one_eye_refers_the_patient_with_a_date(tmp_path: Path) -> None:
    desk = desk_at(unit_with_release(tmp_path, bias=REFER_BIAS))
    number = desk.open(patient="P")
    desk.answer_checklist(number, IN_SCOPE)
    desk.add_picture(number, Eye.RIGHT, good_picture(0), name="a")
    desk.skip_eye(number, Eye.LEFT)
    result = desk.result(number)
    assert (result.verdict, result.advice, result.due) == (Verdict.REFER, "advice.refer", date(2026, 12, 19))
    assert [eye.verdict for eye in result.eyes] == [Verdict.REFER, Verdict.MISSING]


def test_a_bad_picture_is_taken_again_and_three_bad_ones_refer(desk: VisitDesk, number: int) -> None:
    for level in (0, 1):
        said = desk.add_picture(number, Eye.RIGHT, dark_picture(level), name="dark")
        assert said.verdict is Verdict.UNGRADABLE
        assert step_of(desk.visit(number)) is Step.RIGHT
    desk.add_picture(number, Eye.RIGHT, dark_picture(2), name="dark")
    assert step_of(desk.visit(number)) is Step.LEFT
    desk.add_picture(number, Eye.LEFT, good_picture(1), name="b")
    result = desk.result(number)
    assert (result.verdict, result.advice) == (Verdict.REFER, "advice.refer_ungradable")
    assert result.eyes[0].verdict is Verdict.UNGRADABLE


def test_a_clouded_eye_is_sent_on_after_two_tries(
    desk: VisitDesk, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A drawn haze that the quality gate rejects cannot be told from blur, so its word is put in its mouth.
    clouded = Quality(verdict="reject", score=0.1, reasons=("blur", "haze"))
    monkeypatch.setattr("eyebright_edge.screening.picture.assess_quality", lambda *_, **__: clouded)
    for seed in (0, 1):
        assert step_of(desk.visit(number)) is Step.RIGHT
        desk.add_picture(number, Eye.RIGHT, good_picture(seed), name="haze")
    assert step_of(desk.visit(number)) is Step.LEFT
    assert desk.result(number).verdict is Verdict.REFER


@pytest.mark.parametrize(
    ("pictures", "over"),
    [
        ([], False),
        ([DARK, DARK], False),
        ([DARK, DARK, DARK], True),
        ([HAZY], False),
        ([HAZY, DARK], False),
        ([HAZY, HAZY], True),
        ([HAZY, HAZY, FINE], False),
    ],
)
def test_when_trying_again_stops(pictures: list[ImageDecision], over: bool) -> None:
    assert "haze" in EYE_CAUSED
    assert tries_are_over(pictures) is over


def test_an_eye_that_cannot_be_photographed_is_never_a_negative(desk: VisitDesk, number: int) -> None:
    desk.add_picture(number, Eye.RIGHT, good_picture(0), name="a")
    desk.skip_eye(number, Eye.LEFT)
    result = desk.result(number)
    assert (result.verdict, result.advice, result.due) == (Verdict.UNGRADABLE, "advice.retake", None)


def test_an_answer_out_of_scope_closes_the_visit_without_a_verdict(desk: VisitDesk) -> None:
    number = desk.open(patient="P")
    visit = desk.answer_checklist(number, {**IN_SCOPE, "symptoms": "yes"})
    assert visit.answer is not None
    result = desk.result(number)
    assert (result.verdict, result.stopped, result.advice, result.eyes) == (
        None,
        "stop.symptoms",
        "advice.stop_symptoms",
        (),
    )
    with pytest.raises(InputError, match="another step"):
        desk.add_picture(number, Eye.RIGHT, good_picture(0), name="a")


def test_the_same_picture_counts_once_and_not_for_both_eyes(desk: VisitDesk, number: int) -> None:
    for _ in range(2):
        desk.add_picture(number, Eye.RIGHT, dark_picture(0), name="dark")
    assert len(desk.visit(number).pictures) == 1
    desk.add_picture(number, Eye.RIGHT, good_picture(0), name="a")
    with pytest.raises(InputError, match="other eye"):
        desk.add_picture(number, Eye.LEFT, good_picture(0), name="a")


def test_the_left_eye_is_not_taken_before_the_right_one(desk: VisitDesk, number: int) -> None:
    with pytest.raises(InputError, match="another step: right"):
        desk.add_picture(number, Eye.LEFT, good_picture(0), name="a")


@pytest.mark.parametrize("code", ["", "   ", "x" * 65, "a\x00b", "a\nb"])
def test_a_code_that_cannot_be_used_is_refused(desk: VisitDesk, code: str) -> None:
    with pytest.raises(InputError, match="patient code"):
        desk.open(patient=code)


def test_a_file_that_is_no_picture_is_a_try_with_its_reason(desk: VisitDesk, number: int) -> None:
    said = desk.add_picture(number, Eye.RIGHT, b"Dear colleague,", name="letter.jpg")
    assert (said.verdict, said.decision.reasons) == (Verdict.UNGRADABLE, ("not_an_image",))
    assert desk.result(number).eyes[0].quality == "unreadable"


def test_a_newer_release_does_not_enter_an_open_visit(tmp_path: Path) -> None:
    home = unit_with_release(tmp_path)
    desk = desk_at(home)
    number = desk.open(patient="P")
    desk.answer_checklist(number, IN_SCOPE)
    install(home, "2", bias=REFER_BIAS)
    for seed, eye in enumerate((Eye.RIGHT, Eye.LEFT)):
        desk_at(home).add_picture(number, eye, good_picture(seed), name="a")
    assert (desk.result(number).verdict, desk.result(number).release) == (Verdict.NO_REFERRAL, "1")
    following = desk.open(patient="Q")
    assert desk.visit(following).release == "2"


def test_a_visit_whose_release_is_lost_is_judged_anew_by_the_one_that_serves(tmp_path: Path) -> None:
    home = unit_with_release(tmp_path)
    desk = desk_at(home)
    number = desk.open(patient="P")
    desk.answer_checklist(number, IN_SCOPE)
    desk.add_picture(number, Eye.RIGHT, good_picture(0), name="a")
    install(home, "2", bias=REFER_BIAS)
    (home.release_folder("1") / "model.onnx").write_bytes(b"spoilt")
    again = desk_at(home)
    again.resume(number)
    again.add_picture(number, Eye.LEFT, good_picture(1), name="b")
    result = again.result(number)
    assert (result.release, result.verdict) == ("2", Verdict.REFER)
    assert [len(eye.pictures) for eye in result.eyes] == [1, 1]


def test_a_full_disk_does_not_stop_a_visit_and_is_said_aloud(
    desk: VisitDesk, number: int, home: UnitHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("eyebright_edge.records.journal._write_all", full)
        disk.setattr("eyebright_edge.records.vault.write_bytes", full)
        desk.add_picture(number, Eye.RIGHT, good_picture(0), name="a")
        desk.add_picture(number, Eye.LEFT, good_picture(1), name="b")
        result = desk.result(number)
        assert result.verdict is Verdict.NO_REFERRAL
        assert "No space left" in result.notices[0]
    desk.export(number, how="print", technician="Technician 1")
    assert desk.notices() == ()
    (kept,) = VisitJournal(home.visits_file).visits()
    assert (len(kept.pictures), kept.answer and kept.answer["verdict"]) == (2, "NO REFERRAL")
    assert len(kept.exported) == 1


def test_the_clinician_can_see_what_the_network_saw_and_where_it_looked(desk: VisitDesk, number: int) -> None:
    said = desk.add_picture(number, Eye.RIGHT, good_picture(0), name="a")
    assert said.sha256 is not None
    seen, attention = desk.looked_at(number, said.sha256)
    assert (seen.shape, attention.min() >= 0, attention.max() <= 1) == ((64, 64, 3), True, True)
    with pytest.raises(InputError, match="no such picture"):
        desk.picture(number, "0" * 64)


def test_releases_are_not_switched_while_a_visit_is_held(desk: VisitDesk, number: int, home: UnitHome) -> None:
    def free() -> bool:
        with home.undisturbed() as nobody:
            return nobody

    assert not free()
    desk.add_picture(number, Eye.RIGHT, good_picture(0), name="a")
    assert not free()
    desk.add_picture(number, Eye.LEFT, good_picture(1), name="b")
    assert free()


def test_an_entry_of_a_newer_version_does_not_disturb_a_visit(desk: VisitDesk, number: int, home: UnitHome) -> None:
    Journal(home.visits_file).append({"event": "hologram", "visit": number, "at": "2026-11-21T12:00:00+00:00"})
    assert step_of(desk.visit(number)) is Step.RIGHT


@pytest.mark.parametrize(
    ("key", "due"),
    [("advice.rescreen", date(2025, 2, 28)), ("advice.refer", date(2024, 3, 28)), ("advice.retake", None)],
)
def test_by_when(key: str, due: date | None) -> None:
    assert due_date(key, date(2024, 2, 29)) == due
