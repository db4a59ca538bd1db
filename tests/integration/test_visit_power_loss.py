"""Power goes at every step of a visit; whatever the technician had been shown is still there, and the visit goes on."""

import hashlib
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
from eyebright_edge.records.vault import visit_item
from eyebright_edge.screening.desk import Step, VisitDesk, step_of
from eyebright_edge.screening.visit_result import VisitResult
from visit_desk import IN_SCOPE, NOON, dark_picture, desk_at, good_picture, planted, records_at, unit_with_release

# Durable writes of the visit below: the key of the visit and its item, opened, checklist, three pictures of four writes
# each (key, item, received, judged), closed.
WRITES = 17
# Long enough not to be found in noise by chance.
PATIENT = "P-0042-ZEBRA"

_CUT = """
import os, signal, sys
from pathlib import Path
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.records import journal, vault
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

desk = visit.desk_at(UnitHome(Path(sys.argv[1])))
journal._write_all = counted(journal._write_all)
vault.write_bytes = counted(vault.write_bytes)
visit.go_on(desk, shown=lambda word: print(word, flush=True))
"""


def go_on(desk: VisitDesk, shown: object = lambda word: None) -> VisitResult:
    """Hold a visit from wherever it stands to its end, as a technician would who looks at the screen."""
    assert callable(shown)
    visits = desk.visits()
    number = visits[-1].number if visits else desk.open(patient=PATIENT, technician="Technician 1")
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
    (visit,) = desk_at(home).visits()
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
    assert planted(home, PATIENT) == []


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


@pytest.mark.parametrize("damage", ["torn", "zeroed"])
@pytest.mark.parametrize("part", ["items", "keys"])
def test_the_key_of_a_visit_that_was_torn_or_zeroed_costs_that_visit_alone(
    home: UnitHome, whole: VisitResult, part: str, damage: str
) -> None:
    go_on(desk_at(home))
    file = home.root / "vault" / part / visit_item(1)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] if damage == "torn" else bytes(len(content)))
    desk = desk_at(home)
    (visit,) = desk.visits()
    # The item has no content: only its key matters. Without it, answer and counts are left.
    assert visit.forgotten is (part == "keys")
    assert visit.answer is not None
    assert desk.result(desk.open(patient="P-18")).patient == "P-18"
    if part == "items":
        assert desk.result(1) == whole


@pytest.mark.parametrize("cut", ["half", "zeroed"])
@pytest.mark.parametrize("copy", ["seals.json", "seals.copy.json"])
def test_seals_that_were_torn_or_zeroed_open_from_their_copy(
    home: UnitHome, whole: VisitResult, copy: str, cut: str
) -> None:
    go_on(desk_at(home))
    file = home.root / "vault" / copy
    file.write_bytes(file.read_bytes()[:100] if cut == "half" else bytes(400))
    assert go_on(desk_at(home)) == whole


_CUT_SEALING = """
import os, signal, sys
from pathlib import Path
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.records import destruction, journal, unit_records, vault
import test_visit_power_loss as visit

cut, done = int(sys.argv[2]), 0

def counted(write):
    def wrapped(*arguments, **named):
        global done
        done += 1
        if done == cut:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*arguments, **named)
    return wrapped

records = visit.records_at(UnitHome(Path(sys.argv[1])))
for module, name in ((vault, "write_bytes"), (journal, "write_bytes"), (unit_records, "destroy"), (journal, "destroy")):
    setattr(module, name, counted(getattr(module, name)))
records.seal_leftovers()
print(done)
"""


def open_records(home: UnitHome) -> None:
    """Write a visit as a unit without a vault did."""
    journal = VisitJournal(home.visits_file, lambda: NOON)
    number = journal.open(release="1", patient=PATIENT, technician="Technician 1")
    journal.answer_checklist(number, IN_SCOPE)
    for name, picture in (("right", good_picture(0)), ("left", good_picture(1))):
        digest = hashlib.sha256(picture).hexdigest()
        file = home.root / "pictures" / f"{number:06d}" / digest
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture)
        journal.receive(number, {"eye": name[0].upper(), "sha256": digest, "name": name})


@pytest.mark.kill
def test_killed_at_any_step_of_sealing_open_records_nothing_is_lost(home: UnitHome, tmp_path: Path) -> None:
    open_records(home)
    (before,) = VisitJournal(home.visits_file).visits()
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    for cut in range(1, 20):
        copied = UnitHome(tmp_path / f"cut-{cut}" / "unit")
        shutil.copytree(home.root, copied.root)
        command = [sys.executable, "-c", _CUT_SEALING, str(copied.root), str(cut)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths}
        )
        records = records_at(copied)
        assert desk_at(copied, records=records).visits() == (before,), cut
        assert all(desk_at(copied, records=records).picture(1, one["sha256"]) for one in before.received)
        records.seal_leftovers()
        assert (records.open_leftovers(), planted(copied, PATIENT, good_picture(0)[:64])) == (0, []), cut
        assert desk_at(copied, records=records).visits() == (before,), cut
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    # The key of the visit and its item, the journal, its old lines; then for each picture key, item, the open one.
    assert done.stdout.split() == ["10"]


def test_a_picture_whose_file_was_zeroed_is_asked_for_again(home: UnitHome) -> None:
    desk = desk_at(home)
    number = desk.open(patient="P")
    desk.answer_checklist(number, IN_SCOPE)
    desk.add_picture(number, Eye.RIGHT, good_picture(0), name="right")
    kept = home.visits_file.read_bytes().splitlines(keepends=True)
    home.visits_file.write_bytes(b"".join(kept[:-1]))
    (file,) = [f for f in (home.root / "vault" / "items").iterdir() if f.name != visit_item(number)]
    file.write_bytes(bytes(file.stat().st_size))
    visit = desk_at(home).resume(number)
    assert step_of(visit) is Step.RIGHT
    assert visit.pictures[-1]["reasons"] == ["missing_file"]
