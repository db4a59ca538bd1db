"""Trying a release: in service for some visits or minutes, unseen if the rollout says so, never amid a visit."""

from datetime import timedelta
from pathlib import Path

import pytest

from edge_unit import MORNING, EdgeUnit
from eyebright_common.errors import InputError
from eyebright_common.release.rollout import Use
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.settings import Trial
from eyebright_edge.agent.shadow import release_in_shadow
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.trial import ABANDONED_AFTER
from eyebright_edge.agent.update import Moment, Stopped
from eyebright_edge.agent.update_record import Ending, read_record
from eyebright_edge.records import Journal, VisitJournal


@pytest.fixture
def unit(tmp_path: Path) -> EdgeUnit:
    made = EdgeUnit(tmp_path)
    made.install("1")
    made.releases.publish("2")
    made.trial = Trial(visits=3, minutes=60)
    return made


def visits(unit: EdgeUnit) -> VisitJournal:
    return VisitJournal(unit.home.visits_file, lambda: unit.now)


def hold_visits(unit: EdgeUnit, count: int, *, finished: bool = True) -> None:
    journal = visits(unit)
    for _ in range(count):
        number = journal.open(release=unit.home.serving().release.version)
        if finished:
            journal.close(number, {"verdict": "NO REFERRAL"})


def test_a_release_on_trial_serves_and_is_committed_after_enough_visits(unit: EdgeUnit) -> None:
    result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.WAITING, "2")
    assert "0 of 3 visits" in result.reason
    receipt = read_receipt(unit.home)
    assert receipt.active is not None
    assert receipt.trial is not None
    assert (receipt.active.version, receipt.trial.version) == ("1", "2")
    hold_visits(unit, 2)
    assert unit.agent().update().ending is Ending.WAITING
    hold_visits(unit, 1)
    assert unit.agent().update().ending is Ending.INSTALLED
    assert unit.home.kept() == ("2", "1")


def test_a_quiet_unit_commits_after_some_minutes(unit: EdgeUnit) -> None:
    unit.agent().update()
    unit.now += timedelta(minutes=59)
    assert unit.agent().update().ending is Ending.WAITING
    unit.now += timedelta(minutes=2)
    assert unit.agent().update().ending is Ending.INSTALLED


def test_the_first_release_and_a_repaired_one_need_no_trial(unit: EdgeUnit, tmp_path: Path) -> None:
    first = EdgeUnit(tmp_path / "another")
    first.trial = unit.trial
    first.releases.publish("1")
    assert first.agent().update().ending is Ending.INSTALLED
    (first.home.release_folder("1") / "model.onnx").write_bytes(b"")
    assert first.agent().update().ending is Ending.INSTALLED


def test_a_clock_that_was_set_back_begins_the_minutes_anew(unit: EdgeUnit) -> None:
    unit.agent().update()
    unit.now = MORNING - timedelta(days=365 * 50)
    assert unit.agent().update().ending is Ending.WAITING
    unit.now += timedelta(minutes=61)
    assert unit.agent().update().ending is Ending.INSTALLED


def test_a_release_whose_visits_are_never_finished_is_taken_back(unit: EdgeUnit) -> None:
    unit.agent().update()
    hold_visits(unit, 3, finished=False)
    result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.ROLLED_BACK, "1")
    assert "could not be finished" in result.reason
    assert read_receipt(unit.home).withholds("2") is not None
    assert unit.home.kept() == ("1",)


def test_an_open_visit_holds_the_switch_back_until_it_is_closed(unit: EdgeUnit) -> None:
    journal = visits(unit)
    number = journal.open(release="1")
    result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.WAITING, "1")
    assert result.reason == "a visit is open; release 2 serves after it"
    journal.close(number, {"verdict": "REFER"})
    assert unit.agent().update().active == "2"


def test_a_visit_in_progress_holds_the_switch_back_even_without_a_record(unit: EdgeUnit) -> None:
    with unit.home.visiting():
        assert unit.agent().update().active == "1"
    assert unit.agent().update().active == "2"


def test_a_visit_that_nobody_came_back_to_does_not_hold_it_for_ever(unit: EdgeUnit) -> None:
    visits(unit).open(release="1")
    unit.now += ABANDONED_AFTER
    assert unit.agent().update().active == "2"


def test_a_person_takes_a_release_on_trial_back_without_a_network(unit: EdgeUnit) -> None:
    unit.agent().update()
    result = unit.agent(offline=True).roll_back()
    assert (result.ending, result.active) == (Ending.ROLLED_BACK, "1")
    assert unit.agent().update().active == "1"
    with pytest.raises(InputError, match="no earlier release"):
        unit.agent(offline=True).roll_back()


def test_a_trial_ends_without_a_network(unit: EdgeUnit) -> None:
    unit.agent().update()
    hold_visits(unit, 3)
    unit.releases.reachable = False
    unit.agent().update()
    active = read_receipt(unit.home).active
    assert active is not None
    assert active.version == "2"


def test_being_stopped_in_good_order_is_no_attempt(unit: EdgeUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*given: object, **how: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(unit.releases, "fetch", stop)
        for _ in range(5):
            with pytest.raises(Stopped):
                unit.agent().update()
    assert read_record(unit.home).waiting == "the agent was stopped"
    unit.agent().update()
    assert unit.home.active_version() == "2"


def test_in_a_shadow_ring_the_old_release_goes_on_answering(unit: EdgeUnit) -> None:
    unit.releases.use = Use.SHADOW
    result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.WAITING, "1")
    assert release_in_shadow(unit.home) == "2"
    for _ in range(3):
        Journal(unit.home.shadow_file).append({"release": "2", "shown": "REFER", "unseen": "REFER"})
    result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.SHADOWED, "1")
    assert release_in_shadow(unit.home) is None
    assert unit.home.kept() == ("2", "1")
    assert unit.agent().update().ending is Ending.UP_TO_DATE


def test_when_its_ring_opens_a_shadowed_release_is_not_fetched_again(unit: EdgeUnit) -> None:
    unit.releases.use = Use.SHADOW
    unit.trial = Trial(visits=0)
    unit.agent().update()
    unit.releases.use = Use.SERVE
    unit.releases.fetched.clear()
    assert unit.agent().update().ending is Ending.INSTALLED
    assert unit.releases.fetched == []
    receipt = read_receipt(unit.home)
    assert (receipt.shadow, unit.home.serving().release.version) == (None, "2")


def test_a_release_that_crashes_unseen_is_refused_and_was_never_shown(unit: EdgeUnit) -> None:
    unit.releases.use = Use.SHADOW
    served: set[str | None] = set()
    unit.agent(lambda state, moment: served.add(unit.home.active_version())).update()
    Journal(unit.home.shadow_file).append({"release": "2", "shown": "REFER", "crashed": True})
    result = unit.agent(lambda state, moment: served.add(unit.home.active_version())).update()
    assert (result.ending, result.active) == (Ending.REFUSED, "1")
    assert "crashed on 1 of 1 visits" in result.reason
    assert served == {"1"}
    assert unit.home.kept() == ("1",)


@pytest.mark.parametrize("moment", Moment)
def test_while_a_release_is_tried_only_proven_ones_are_named_by_the_receipt(unit: EdgeUnit, moment: Moment) -> None:
    vouched = []

    def look(state: State, when: Moment) -> None:
        if when is moment and (version := unit.home.active_version()) is not None:
            installed = read_receipt(unit.home).installed(version)
            vouched.append(installed is not None and installed.proof is not None)

    unit.agent(look).update()
    assert vouched
    assert all(vouched)
