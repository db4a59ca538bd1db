"""Power goes at every step of a visit; whatever the technician had been shown is still there, and the visit goes on."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eyebright_common.release import Eye
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.records import VisitJournal
from eyebright_edge.screening.desk import Step, VisitDesk, step_of
from eyebright_edge.screening.visit_result import VisitResult
from visit_desk import IN_SCOPE, dark_picture, desk_at, good_picture, unit_with_release

# Durable writes of the visit below: opened, checklist, three pictures of three writes each, closed.
WRITES = 12

_CUT = """
import os, signal, sys
from pathlib import Path
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.records import journal, pictures
import test_visit_power_loss as visit

cut, moment, done = int(sys.argv[2]), sys.argv[3], 0

def counted(write):
    def wrapped(*arguments, **named):
        global done
        done += 1
        if done == cut and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = write(*arguments, **named)
        if done == cut:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapped

journal.Journal.append_after = counted(journal.Journal.append_after)
pictures.FolderPictures.put = counted(pictures.FolderPictures.put)
visit.go_on(visit.desk_at(UnitHome(Path(sys.argv[1]))), shown=lambda word: print(word, flush=True))
"""


def go_on(desk: VisitDesk, shown: object = lambda word: None) -> VisitResult:
    """Hold a visit from wherever it stands to its end, as a technician would who looks at the screen."""
    assert callable(shown)
    visits = desk.visits()
    number = visits[-1].number if visits else desk.open(patient="P-17", technician="ana")
    shown("opened")
    visit = desk.resume(number)
    if step_of(visit) is Step.CHECKLIST:
        desk.answer_checklist(number, IN_SCOPE)
        shown("checklist")
    if step_of(desk.visit(number)) is Step.RIGHT and not desk.visit(number).pictures:
        desk.add_picture(number, Eye.RIGHT, dark_picture(0), name="dark")
        shown("dark")
    if step_of(desk.visit(number)) is Step.RIGHT:
        desk.add_picture(number, Eye.RIGHT, good_picture(0), name="right")
        shown("right")
    if step_of(desk.visit(number)) is Step.LEFT:
        desk.add_picture(number, Eye.LEFT, good_picture(1), name="left")
        shown("left")
    return desk.result(number)


def what_was_shown(visit_words: list[str], home: UnitHome) -> None:
    """Check that everything the technician had seen is on record."""
    if not visit_words:
        return
    (visit,) = VisitJournal(home.visits_file).visits()
    names = [one["name"] for one in visit.pictures]
    for word in visit_words:
        assert {"opened": True, "checklist": visit.checklist is not None}.get(word, word in names), (word, visit)


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unit_with_release(tmp_path_factory.mktemp("unit")).root


@pytest.fixture
def home(unit: Path, tmp_path: Path) -> UnitHome:
    shutil.copytree(unit, tmp_path / "unit")
    return UnitHome(tmp_path / "unit")


@pytest.fixture(scope="module")
def whole(unit: Path, tmp_path_factory: pytest.TempPathFactory) -> VisitResult:
    copied = tmp_path_factory.mktemp("whole") / "unit"
    shutil.copytree(unit, copied)
    return go_on(desk_at(UnitHome(copied)))


@pytest.mark.kill
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("cut", range(1, WRITES + 1))
def test_killed_at_any_write_the_visit_goes_on_to_the_same_answer(
    home: UnitHome, whole: VisitResult, cut: int, moment: str
) -> None:
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", _CUT, str(home.root), str(cut), moment]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == -signal.SIGKILL, done.stderr
    what_was_shown(done.stdout.split(), home)
    assert go_on(desk_at(home)) == whole
    assert len(VisitJournal(home.visits_file).visits()) == 1


@pytest.mark.parametrize("damage", ["torn", "zeroed"])
@pytest.mark.parametrize("lines", range(1, 10))
def test_a_last_write_that_was_torn_or_zeroed_costs_that_step_alone(
    home: UnitHome, whole: VisitResult, lines: int, damage: str
) -> None:
    go_on(desk_at(home))
    kept = home.visits_file.read_bytes().splitlines(keepends=True)
    assert len(kept) == 9
    last = kept[lines - 1]
    broken = last[: len(last) // 2] if damage == "torn" else bytes(len(last))
    home.visits_file.write_bytes(b"".join(kept[: lines - 1]) + broken)
    assert go_on(desk_at(home)) == whole


def test_a_picture_whose_file_was_zeroed_is_asked_for_again(home: UnitHome) -> None:
    desk = desk_at(home)
    number = desk.open(patient="P")
    desk.answer_checklist(number, IN_SCOPE)
    desk.add_picture(number, Eye.RIGHT, good_picture(0), name="right")
    kept = home.visits_file.read_bytes().splitlines(keepends=True)
    home.visits_file.write_bytes(b"".join(kept[:-1]))
    (file,) = (home.root / "pictures" / f"{number:06d}").iterdir()
    file.write_bytes(bytes(file.stat().st_size))
    visit = desk_at(home).resume(number)
    assert step_of(visit) is Step.RIGHT
    assert visit.pictures[-1]["reasons"] == ["missing_file"]
