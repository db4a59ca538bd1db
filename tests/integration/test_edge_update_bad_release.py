"""A release that is no good on this machine is refused in a child process; screening goes on, the notice says why."""

from pathlib import Path

import pytest

import bad_engines
from edge_unit import EdgeUnit
from eyebright_edge.agent.notices import unit_notices
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.rehearsal import Job, OpenRuntime
from eyebright_edge.agent.settings import Budget
from eyebright_edge.agent.transitions import TRANSITIONS, State
from eyebright_edge.agent.update_record import Ending
from eyebright_edge.agent.workshop import ChildKilled, ChildWorkshop, EngineCrashed, Limits, OverBudget

SMALL = Budget(memory_mb=400, prepare_memory_mb=400, latency_p95_ms=1e6)
BAD = {
    "crash": (bad_engines.crashing, SMALL, EngineCrashed, "crashed on this unit: SIGSEGV"),
    "abort": (bad_engines.talkative_crash, SMALL, EngineCrashed, "myelin: assertion failed"),
    "memory hog": (bad_engines.hungry, SMALL, OverBudget, "memory"),
    "never ready": (bad_engines.never_ready, Budget(prepare_minutes=0.02), OverBudget, "takes too long"),
    "slow": (bad_engines.slow, Budget(latency_p95_ms=20), OverBudget, "is too slow on this unit"),
}


@pytest.fixture(autouse=True)
def _the_child_imports_the_engine_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(bad_engines.__file__).parent))


@pytest.fixture
def unit(tmp_path: Path) -> EdgeUnit:
    made = EdgeUnit(tmp_path)
    made.install("1")
    made.releases.publish("2")
    return made


@pytest.mark.parametrize("case", BAD)
def test_a_bad_release_is_refused_and_the_notice_says_why(unit: EdgeUnit, case: str) -> None:
    engine, unit.budget, error, words = BAD[case]
    unit.workshop = ChildWorkshop(engine)
    result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.REFUSED, "1")
    assert isinstance(result.error, error)
    assert words in result.reason
    serving = unit.home.serving()
    assert (serving.release.version, serving.notice) == ("1", "")
    (notice,) = unit_notices(unit.home, now=unit.now)
    assert "Release 2 was refused" in notice
    assert words in notice
    assert read_receipt(unit.home).withholds("2") is not None
    assert unit.agent().update().ending is Ending.UP_TO_DATE


def test_a_wrong_golden_case_is_refused_in_the_child_in_its_own_words(unit: EdgeUnit) -> None:
    unit.releases.publish("3", wrong_by=0.5)
    unit.workshop = ChildWorkshop(bad_engines.sound)
    result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.REFUSED, "1")
    assert "fails its golden cases" in result.reason


def test_a_good_release_is_proven_in_the_child_with_what_it_costs(unit: EdgeUnit) -> None:
    unit.workshop = ChildWorkshop(bad_engines.sound)
    assert unit.agent().update().ending is Ending.INSTALLED
    active = read_receipt(unit.home).active
    assert active is not None
    assert active.proof is not None
    assert (active.proof.cases, active.proof.decision_flips, active.proof.passed) == (3, 0, True)
    assert active.proof.latency_p95_ms > 0
    assert active.proof.peak_memory_mb > 10


def test_a_child_that_somebody_killed_condemns_nothing(unit: EdgeUnit) -> None:
    unit.workshop = ChildWorkshop(bad_engines.killed)
    result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.FAILED, "1")
    assert isinstance(result.error, ChildKilled)
    assert len(unit.pauses) == TRANSITIONS[State.PREPARE].tries - 1
    assert read_receipt(unit.home).withheld == ()
    unit.workshop = ChildWorkshop(bad_engines.sound)
    assert unit.agent().update().ending is Ending.INSTALLED


def test_a_silent_child_is_reported_as_alive(tmp_path: Path) -> None:
    told: list[str] = []
    opener: OpenRuntime = bad_engines.never_ready
    with pytest.raises(OverBudget):
        limits = Limits(memory_mb=2000, time_s=1.5)
        ChildWorkshop(opener).work(Job.PREPARE, tmp_path, limits, lambda share, doing: told.append(doing))
    assert len(told) > 1
