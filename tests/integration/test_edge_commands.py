"""`eyebright edge …` as a person types it: what is printed, and no traceback for any mistake."""

import json
import re
from pathlib import Path

import pytest

from command_line import exit_code
from edge_unit import EdgeUnit
from eyebright_common.release import MODEL_FILE
from eyebright_edge.records import VisitJournal
from retina_pictures import nothing_to_see, retina, save_picture
from tiny_release import REFER_BIAS, write_tiny_release


@pytest.fixture
def release(tmp_path: Path) -> Path:
    write_tiny_release(tmp_path / "release")
    return tmp_path / "release"


@pytest.fixture
def eyes(tmp_path: Path) -> tuple[Path, Path]:
    right, left = (save_picture(tmp_path / f"{name}.png", retina(seed=n)) for n, name in enumerate(("right", "left")))
    return right, left


def test_two_good_eyes_get_one_big_answer_and_its_limits(
    release: Path, eyes: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("edge", "screen", "--right", eyes[0], "--left", eyes[1], "--release", release) == 0
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    for part in ("NO REFERRAL", "Screen again in 12 months.", "0.50", "Research use. Not for diagnosis.", "right eye"):
        assert part in shown


def test_json_has_the_same_facts(release: Path, eyes: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("edge", "screen", *eyes, "--release", release, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["patient"]["verdict"] == "NO REFERRAL"
    assert [picture["eye"] for picture in facts["pictures"]] == ["R", "L"]
    assert facts["release"]["threshold"] == {"purpose": "referable", "value": 0.5}


def test_an_unreadable_picture_is_explained_and_the_others_are_screened(
    release: Path, eyes: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.txt").write_text("hello")
    code = exit_code(
        "edge", "screen", "--right", eyes[0], "--left", tmp_path / "note.txt", "--release", release, "--json"
    )
    facts = json.loads(capsys.readouterr().out)
    assert code == 2
    assert facts["patient"]["verdict"] == "UNGRADABLE"
    assert [picture["verdict"] for picture in facts["pictures"]] == ["NO REFERRAL", "UNGRADABLE"]
    assert facts["pictures"][1]["reasons"] == ["not_an_image"]


def test_a_visit_at_a_unit_is_on_record(
    tmp_path: Path, eyes: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    unit = EdgeUnit(tmp_path)
    unit.install("1", bias=REFER_BIAS)
    assert exit_code("edge", "screen", *eyes, "--home", unit.home.root) == 0
    (visit,) = VisitJournal(unit.home.visits_file).visits()
    assert visit.answer is not None
    assert visit.answer["verdict"] == "REFER"
    assert len(visit.pictures) == 2
    assert exit_code("edge", "status", "--home", unit.home.root, "--json") == 0
    facts = json.loads(capsys.readouterr().out.split("Research use. Not for diagnosis.\n", 1)[1])
    assert (facts["serving"], facts["visits"]["verdicts"]["REFER"]) == ("1", 1)


def test_a_journal_that_cannot_be_written_does_not_stop_the_visit(
    tmp_path: Path, eyes: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    unit = EdgeUnit(tmp_path)
    unit.install("1")
    unit.home.visits_file.mkdir()
    assert exit_code("edge", "screen", *eyes, "--home", unit.home.root) == 0
    shown = capsys.readouterr().out
    assert "NO REFERRAL" in shown
    assert "not fully on record" in shown


def test_status_says_what_runs_and_what_is_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = EdgeUnit(tmp_path)
    assert exit_code("edge", "status", "--home", unit.home.root) == 0
    assert "Fetch a release" in capsys.readouterr().out
    unit.install("1")
    assert exit_code("edge", "status", "--home", unit.home.root) == 0
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "release 1" in shown
    assert "3 golden cases in onnxruntime-cpu" in shown
    assert "Nothing." in shown


def test_overlays_are_written_on_request(release: Path, eyes: tuple[Path, Path], tmp_path: Path) -> None:
    assert exit_code("edge", "screen", *eyes, "--release", release, "--overlay", tmp_path / "seen") == 0
    assert sorted(file.name for file in (tmp_path / "seen").iterdir()) == ["01-right.png", "02-left.png"]


def test_quality_of_a_folder_is_one_line_a_picture_and_a_count(
    tmp_path: Path, eyes: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    save_picture(tmp_path / "dark.png", nothing_to_see())
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "notes.md").write_text("x")
    assert exit_code("edge", "quality", tmp_path) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "1 reject" in lines[-1]
    assert "1 unreadable:" in lines[-1]
    assert "1 files that are no pictures" in lines[-1]


MISTAKES = {
    "no release at all": (("screen", "{picture}"), 2, "--release"),
    "a folder without a release": (("screen", "{picture}", "--release", "{tmp}"), 5, "holds no release"),
    "a release that is not there": (("screen", "{picture}", "--release", "{tmp}/nowhere"), 5, "holds no release"),
    "half a release": (("screen", "{picture}", "--release", "{half}"), 4, "lacks a file"),
    "no picture": (("screen", "--release", "{release}"), 2, "no picture"),
    "the same picture twice": (("screen", "{picture}", "{picture}", "--release", "{release}"), 2, "twice"),
    "a home that is not there": (("screen", "{picture}", "--home", "{tmp}/nowhere"), 2, "no unit's home"),
    "a home without a release": (("screen", "{picture}", "--home", "{tmp}"), 2, "nothing to screen with"),
    "status of nothing": (("status", "--home", "{tmp}/nowhere"), 2, "no unit's home"),
    "status of a plain folder": (("status", "--home", "{tmp}"), 2, "not been enrolled"),
    "an update before enrolment": (("update", "--home", "{tmp}"), 2, "not been enrolled"),
    "a rollback before enrolment": (("rollback", "--home", "{tmp}"), 2, "not been enrolled"),
    "text that is no invitation": (("enrol", "hello", "--home", "{tmp}/unit"), 4, "not an invitation"),
    "a picture as an invitation": (("enrol", "{picture}", "--home", "{tmp}/unit"), 4, "not an invitation"),
    "quality of nothing": (("quality", "{tmp}/nowhere"), 2, "no such file"),
    "quality of an empty folder": (("quality", "{empty}"), 2, "no pictures"),
    "an unknown modality": (("quality", "{picture}", "--modality", "MRI"), 2, "unknown modality"),
    "an unknown command": (("shine",), 2, ""),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_clear_line(
    mistake: str, release: Path, eyes: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_release(tmp_path / "half")
    (tmp_path / "half" / MODEL_FILE).unlink()
    (tmp_path / "empty").mkdir()
    places = {"picture": eyes[0], "tmp": tmp_path, "half": tmp_path / "half", "release": release}
    arguments, code, word = MISTAKES[mistake]
    assert exit_code("edge", *(part.format(**places, empty=tmp_path / "empty") for part in arguments)) == code
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert word in said
    assert "Traceback" not in said
