"""The journal and the visits in it: what has been written stays written."""

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright_common.errors import InputError
from eyebright_common.release import Verdict
from eyebright_edge.records import Journal, VisitJournal

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
ENTRIES = st.lists(st.dictionaries(st.text(max_size=8), st.text(max_size=20) | st.integers(), max_size=3), max_size=5)


def test_a_journal_that_was_never_written_is_empty(tmp_path: Path) -> None:
    assert Journal(tmp_path / "j").read() == ([], 0)


@settings(max_examples=30, deadline=None)
@given(ENTRIES, st.data())
def test_a_cut_at_any_byte_loses_nothing_but_the_line_being_written(
    tmp_path_factory: pytest.TempPathFactory, entries: list[dict[str, object]], data: st.DataObject
) -> None:
    journal = Journal(tmp_path_factory.mktemp("cut") / "j")
    ends = [0]
    for entry in entries:
        journal.append(entry)
        ends.append(journal.path.stat().st_size)
    cut = data.draw(st.integers(0, ends[-1]))
    if entries:
        os.truncate(journal.path, cut)
    whole = sum(end <= cut for end in ends) - 1
    assert journal.read() == (entries[:whole], 0)
    journal.append({"after": "power came back"})
    assert journal.read() == ([*entries[:whole], {"after": "power came back"}], 0)


def test_a_line_spoilt_by_the_disk_is_counted_and_the_others_are_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    for number in range(3):
        journal.append({"n": number})
    content = journal.path.read_bytes()
    journal.path.write_bytes(content.replace(b'"n":1', b'"n":7'))
    assert journal.read() == ([{"n": 0}, {"n": 2}], 1)


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append({})
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_a_visit_is_read_back_with_its_pictures_and_its_answer(tmp_path: Path) -> None:
    visits = VisitJournal(tmp_path / "v", lambda: NOON)
    number = visits.open(release="4")
    visits.add_picture(number, {"name": "right.jpg", "verdict": "REFER"})
    visits.close(number, {"verdict": "REFER"})
    visit = visits.visit(number)
    assert (visit.release, len(visit.pictures)) == ("4", 1)
    assert visit.answer is not None
    assert visit.answer["verdict"] == "REFER"


def test_visits_are_numbered_one_by_one_and_counted_by_release(tmp_path: Path) -> None:
    visits = VisitJournal(tmp_path / "v", lambda: NOON)
    for release, word in (("1", "REFER"), ("2", "NO REFERRAL"), ("2", "UNGRADABLE")):
        visits.close(visits.open(release=release), {"verdict": word})
    visits.open(release="2")
    assert [visit.number for visit in visits.visits()] == [1, 2, 3, 4]
    counts = visits.counts(release="2")
    assert counts.verdicts == {Verdict.REFER: 0, Verdict.NO_REFERRAL: 1, Verdict.UNGRADABLE: 1}
    assert counts.unfinished == 1


def test_an_unknown_visit_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such visit"):
        VisitJournal(tmp_path / "v").visit(3)


_VISIT_CUT_SHORT = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from eyebright_edge.records import VisitJournal
visits = VisitJournal(Path(sys.argv[1]), lambda: datetime(2026, 1, 2, tzinfo=UTC))
steps = [lambda: visits.open(release="1"), lambda: visits.add_picture(1, {"name": "a"}),
         lambda: visits.add_picture(1, {"name": "b"}), lambda: visits.close(1, {"verdict": "REFER"})]
for step in steps[: int(sys.argv[2])]:
    step()
os._exit(9)
"""


@pytest.mark.kill
@pytest.mark.parametrize(("steps", "pictures", "finished"), [(1, 0, False), (2, 1, False), (3, 2, False), (4, 2, True)])
def test_power_loss_after_any_step_of_a_visit_loses_none_of_it(
    tmp_path: Path, steps: int, pictures: int, finished: bool
) -> None:
    file = tmp_path / "visits.jsonl"
    command = [sys.executable, "-c", _VISIT_CUT_SHORT, str(file), str(steps)]
    assert subprocess.run(command, check=False).returncode == 9
    (visit,) = VisitJournal(file).visits()
    assert (len(visit.pictures), visit.answer is not None) == (pictures, finished)


def test_one_visit_is_found_among_others_whose_numbers_begin_alike(tmp_path: Path) -> None:
    visits = VisitJournal(tmp_path / "visits.jsonl", lambda: NOON)
    for number in range(1, 13):
        assert visits.open(release=f"r{number}", camera='says "visit":1') == number
    assert [visits.visit(number).release for number in (1, 2, 12)] == ["r1", "r2", "r12"]
    assert visits.visit(1) == visits.visits()[0]


def test_the_number_of_a_visit_whose_lines_were_spoilt_is_not_given_again(tmp_path: Path) -> None:
    file = tmp_path / "visits.jsonl"
    visits = VisitJournal(file, lambda: NOON)
    for _ in range(3):
        visits.open(release="1")
    *before, last = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(before) + last.replace(b'"crc32":"', b'"crc32":"x'))
    assert visits.open(release="1") == 4
