"""Telemetry: what is told of a unit's days, what is not, and until when."""

import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_line import exit_code
from edge_unit import EdgeUnit
from eyebright_common.errors import InputError
from eyebright_common.imaging import INSTRUCTIONS
from eyebright_common.imaging.refusals import FIXES
from eyebright_common.release import Verdict
from eyebright_common.wire import UnitStatus, read_report
from eyebright_common.wire.report import LONGEST_REPORT_BYTES, ShadowAgreement
from eyebright_common.wire.telemetry import MOST_DAYS, suppressed
from eyebright_edge.agent.unit_report import next_report, unit_facts, unit_status
from eyebright_edge.agent.update_record import read_record
from eyebright_edge.records import VisitJournal
from eyebright_edge.records.telemetry import (
    LEAST_PATIENTS,
    REASONS,
    acknowledge,
    acknowledged_through,
    machine_temperature_c,
    pending_telemetry,
    report_lines,
    told_totals,
)

DAY = date(2026, 1, 2)
PLANTED = ("Family", "Given", "P-0042-A", "19610203", "Technician 1", "0.7315", "11:22:33")


class Journalled:
    """A journal with visits of a given day."""

    def __init__(self, path: Path) -> None:
        self.path, self.now = path, datetime(2026, 1, 2, 11, 22, 33, tzinfo=UTC)
        self.journal = VisitJournal(path, lambda: self.now)

    def add(self, verdict: Verdict, *, times: int = 1, day: date = DAY, **picture: object) -> None:
        self.now = datetime(day.year, day.month, day.day, 11, 22, 33, tzinfo=UTC)
        for _ in range(times):
            number = self.journal.open(
                release="7",
                patient="P-0042-A",
                technician="Technician 1",
                camera="Given Family",
                measured_cameras=["Handheld 3"],
            )
            facts = {"eye": "R", "name": "Given_Family_19610203.jpg", "verdict": "REFER", "score": 0.7315, **picture}
            self.journal.add_picture(number, facts)
            self.journal.close(number, {"verdict": verdict.value, "score": 0.7315})


@pytest.fixture
def visits(tmp_path: Path) -> Journalled:
    return Journalled(tmp_path / "visits.jsonl")


def _told(visits: Journalled, **asked: object):
    return pending_telemetry(visits.journal.visits(), **{"today": DAY + timedelta(days=1), **asked})  # type: ignore[arg-type]


def test_a_day_is_counted_by_answer_reason_camera_and_time(visits: Journalled) -> None:
    visits.add(Verdict.NO_REFERRAL, times=20, camera="Handheld 3", milliseconds={"decode": 30.0, "network": 100.0})
    visits.add(Verdict.REFER, times=6, camera="Handheld 3", reasons=["haze"], milliseconds={"network": 9000.0})
    (day,) = _told(visits).days
    assert day.day == DAY
    assert day.results == {"refer": 6, "no-referral": 20, "ungradable": 0, "stopped": 0}
    assert day.reasons == {"haze": 6}
    assert day.cameras == {"handheld-3": 26}
    assert day.milliseconds == {"250": 20, "more": 6}


def test_every_reason_of_the_imaging_room_has_its_word() -> None:
    assert frozenset(INSTRUCTIONS) | frozenset(FIXES) == REASONS


def test_small_counts_are_not_told_nor_given_away_by_another_table(visits: Journalled) -> None:
    visits.add(Verdict.NO_REFERRAL, times=20)
    visits.add(Verdict.UNGRADABLE, times=6)
    visits.add(Verdict.REFER, times=2)
    (day,) = _told(visits).days
    # 28 visits by one camera, minus 20: without the second gap it would say 2.
    assert day.results == {"refer": None, "no-referral": 20, "ungradable": None, "stopped": 0}
    assert day.cameras == {"other": 28}


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 40)), st.integers(2, 10))
def test_a_cell_is_zero_enough_or_left_out_and_never_alone(counts: dict[str, int], below: int) -> None:
    cells = suppressed(counts, below=below)
    assert set(cells) == set(counts)
    assert all(cell is None or cell == counts[word] for word, cell in cells.items())
    assert all(cell is None or cell == 0 or cell >= below for cell in cells.values())
    hidden = [word for word, cell in cells.items() if cell is None]
    assert len(hidden) != 1 or not any(n for word, n in counts.items() if word not in hidden)


def test_today_is_not_told_yet_and_an_unfinished_visit_never(visits: Journalled) -> None:
    visits.add(Verdict.REFER, times=9)
    visits.journal.open(release="7")
    assert _told(visits, today=DAY).days == ()
    assert _told(visits).days[0].results["refer"] == 9


def test_nothing_planted_is_told(visits: Journalled) -> None:
    visits.add(Verdict.REFER, times=9, reasons=["Given Family said so", "blur"], quality={"reasons": ["P-0042-A"]})
    told = _told(visits)
    status = UnitStatus(state="idle", software="0.1.0", telemetry=told)
    shown = "\n".join((status.model_dump_json(), *report_lines(status, through=None)))
    assert [word for word in PLANTED if word in shown] == []
    assert told.days[0].reasons == {"blur": 9, "other": 9}
    assert told.days[0].cameras == {"other": 9}


def test_a_release_that_ran_unseen_is_shown_in_words(visits: Journalled) -> None:
    shadow = ShadowAgreement(version="8", compared=40, agreed=37)
    status = UnitStatus(state="idle", software="0.1.0", telemetry=_told(visits), shadow=shadow)
    assert "unseen       release 8: 37 of 40 answers alike" in report_lines(status, through=None)


def test_it_is_kept_until_it_is_acknowledged(visits: Journalled, tmp_path: Path) -> None:
    visits.add(Verdict.REFER, times=9)
    first = _told(visits, through=acknowledged_through(tmp_path))
    assert _told(visits, through=acknowledged_through(tmp_path)) == first
    acknowledge(tmp_path, first)
    assert acknowledged_through(tmp_path) == DAY
    assert _told(visits, through=acknowledged_through(tmp_path)).days == ()
    visits.add(Verdict.REFER, times=8, day=DAY + timedelta(days=2))
    later = _told(visits, through=acknowledged_through(tmp_path), today=DAY + timedelta(days=3))
    assert [day.day for day in later.days] == [DAY + timedelta(days=2)]
    acknowledge(tmp_path, first)  # an answer that comes late takes nothing back
    acknowledge(tmp_path, later)
    acknowledge(tmp_path, first)
    assert acknowledged_through(tmp_path) == DAY + timedelta(days=2)


def test_two_months_offline_are_told_in_pieces_that_fit(visits: Journalled, tmp_path: Path) -> None:
    for number in range(60):
        visits.add(
            Verdict.REFER, times=1, day=DAY + timedelta(days=number), reasons=["blur", "haze", "field", "eyelid"]
        )
    told_days = []
    for _ in range(10):
        told = _told(visits, through=acknowledged_through(tmp_path), today=DAY + timedelta(days=90))
        if not told.days:
            break
        text = UnitStatus(state="idle", software="0.1.0", telemetry=told).model_dump_json()
        assert len(text) <= LONGEST_REPORT_BYTES
        assert read_report(text).telemetry == told
        assert len(told.days) <= MOST_DAYS
        told_days += [day.day for day in told.days]
        acknowledge(tmp_path, told)
    assert told_days == [DAY + timedelta(days=number) for number in range(60)]


def test_a_damaged_note_tells_the_days_again(visits: Journalled, tmp_path: Path) -> None:
    visits.add(Verdict.REFER, times=9)
    (tmp_path / "telemetry.json").write_bytes(b"\0" * 40)
    assert acknowledged_through(tmp_path) is None
    assert len(_told(visits, through=acknowledged_through(tmp_path)).days) == 1


@pytest.mark.parametrize(
    "planted",
    [
        {
            "days": [
                {"day": "2026-01-02", "results": {"Given Family": 9}, "reasons": {}, "cameras": {}, "milliseconds": {}}
            ]
        },
        {"days": [], "patient": "P-1"},
        {"days": [], "temperature_c": 5000},
    ],
    ids=["a name as a word", "a further field", "nonsense"],
)
def test_the_message_is_closed(planted: dict[str, object]) -> None:
    whole = {"state": "idle", "software": "0.1.0", "telemetry": {"suppressed_below": 5, **planted}}
    with pytest.raises(InputError, match="1 wrong field") as refused:
        read_report(json.dumps(whole))
    assert "Family" not in str(refused.value)


def test_the_temperature_is_the_warmest_sensible_zone(tmp_path: Path) -> None:
    for number, text in enumerate(("41500", "62100", "-274000", "broken")):
        (tmp_path / f"thermal_zone{number}").mkdir()
        (tmp_path / f"thermal_zone{number}" / "temp").write_text(text)
    assert machine_temperature_c(tmp_path) == 62
    assert machine_temperature_c(tmp_path / "nowhere") is None


SECRET = b"of this unit"


def _totals(visits: Journalled, **asked: object) -> dict[str, int]:
    how = {"release": "7", "today": DAY + timedelta(days=1), "secret": SECRET, **asked}
    return told_totals(visits.journal.visits(), **how)  # type: ignore[arg-type]


def test_totals_are_told_in_steps_and_never_exactly(visits: Journalled) -> None:
    visits.add(Verdict.NO_REFERRAL, times=63)
    visits.add(Verdict.REFER, times=12)
    told = _totals(visits)
    assert told["NO REFERRAL"] in (60, 65)
    assert told["REFER"] in (10, 15)
    assert told["UNGRADABLE"] == 0
    assert told["pictures"] == 75
    assert _totals(visits) == told  # the same unit and count give the same total: asking again tells nothing more


def test_one_more_visit_is_not_seen_in_the_totals(visits: Journalled) -> None:
    visits.add(Verdict.NO_REFERRAL, times=60)
    seen = []
    for _ in range(15):
        visits.add(Verdict.REFER)
        seen.append(_totals(visits)["REFER"])
    assert set(seen) <= {0, 5, 10, 15}
    assert sum(before != after for before, after in pairwise(seen)) <= 3


def test_totals_are_right_on_average_so_that_a_rollout_is_not_misled(visits: Journalled) -> None:
    visits.add(Verdict.NO_REFERRAL, times=90)
    visits.add(Verdict.REFER, times=12)
    units = [_totals(visits, secret=number.to_bytes(4, "big"))["REFER"] for number in range(4000)]
    # 12 is told as 15 with chance 2/5, else as 10: the mean is 12, its standard error sqrt(6 / 4000) = 0.04.
    assert sum(units) / len(units) == pytest.approx(12, abs=0.2)


def test_totals_of_few_patients_of_today_and_of_another_release_are_not_told(visits: Journalled) -> None:
    visits.add(Verdict.REFER, times=LEAST_PATIENTS - 1)
    visits.add(Verdict.REFER, times=300, day=DAY + timedelta(days=1))
    assert set(_totals(visits).values()) == {0}
    assert _totals(visits, today=DAY + timedelta(days=2))["REFER"] > 300
    assert set(_totals(visits, today=DAY + timedelta(days=2), release="8").values()) == {0}


def test_no_total_travels_beside_the_small_counts_that_it_would_give_away(tmp_path: Path) -> None:
    unit = EdgeUnit(tmp_path)
    unit.install("7")
    visits = Journalled(unit.home.visits_file)
    visits.add(Verdict.NO_REFERRAL, times=61)
    visits.add(Verdict.UNGRADABLE, times=7)
    before = next_report(unit.home, today=DAY + timedelta(days=1))
    visits.add(Verdict.REFER, times=2, day=DAY + timedelta(days=1))
    after = next_report(unit.home, today=DAY + timedelta(days=2))
    assert after.telemetry is not None
    assert after.telemetry.days[-1].results["refer"] is None
    differences = [
        getattr(after.verdicts, word) - getattr(before.verdicts, word)
        for word in ("refer", "no_referral", "ungradable")
    ]
    assert all(difference % 5 == 0 for difference in (*differences, after.screened - before.screened))
    assert before.verdicts.no_referral >= 60


def test_the_technician_sees_exactly_what_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = EdgeUnit(tmp_path)
    unit.install("1")
    visits = Journalled(unit.home.visits_file)
    visits.add(Verdict.REFER, times=9)
    today = datetime.now(UTC).date()
    assert exit_code("edge", "telemetry", "show", "--home", unit.home.root, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    sent = unit_status(unit_facts(unit.home, read_record(unit.home), task="fundus", today=today)).model_dump(
        mode="json"
    )
    for report in (shown, sent):
        report["telemetry"]["temperature_c"] = None
    assert shown == sent
    assert shown["telemetry"]["golden_cases"] == 3
    assert exit_code("edge", "telemetry", "show", "--home", unit.home.root) == 0
    text = capsys.readouterr().out
    for words in (
        "refer 9",
        "unseen       none",
        "Counts of 1 to 4 are not told",
        "totals       0 REFER",
        "release 1 in onnxruntime-cpu",
    ):
        assert words in text
    assert [word for word in PLANTED if word in text] == []
