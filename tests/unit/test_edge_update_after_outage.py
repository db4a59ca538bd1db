"""What an update says after one that a lost network and then a power cut broke off."""

from pathlib import Path

import pytest

from edge_unit import EdgeUnit
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.update import Moment, Stopped
from eyebright_edge.agent.update_record import Ending, read_record


@pytest.fixture
def unit(tmp_path: Path) -> EdgeUnit:
    made = EdgeUnit(tmp_path)
    made.install("1")
    return made


def stopped_in_report(state: State, moment: Moment) -> None:
    if (state, moment) == (State.REPORT, Moment.ENTERED):
        raise Stopped


def test_a_failure_before_the_interruption_is_not_told_as_todays(unit: EdgeUnit) -> None:
    unit.releases.reachable = False
    with pytest.raises(Stopped):
        unit.agent(stopped_in_report).update()
    left = read_record(unit.home)
    assert (left.state, left.ending) == (State.REPORT, Ending.FAILED)
    unit.releases.reachable = True
    result = unit.agent().update()
    assert (result.ending, result.reason, result.error) == (Ending.UP_TO_DATE, "", None)


def test_a_release_that_was_installed_before_the_interruption_is_told(unit: EdgeUnit) -> None:
    unit.releases.publish("2")
    with pytest.raises(Stopped):
        unit.agent(stopped_in_report).update()
    result = unit.agent().update()
    assert (result.ending, result.version) == (Ending.INSTALLED, "2")
