"""Power goes at every state of an update, before and after its work; the next start puts things right."""

import subprocess
import sys
from pathlib import Path

import pytest

import unit_with_fault
from edge_unit import EdgeUnit
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.update import Moment
from eyebright_edge.agent.update_record import read_record

ON_THE_WAY_IN = (
    State.CHECK,
    State.FETCH,
    State.VERIFY,
    State.PROVE,
    State.STAGE,
    State.ACTIVATE,
    State.COMMIT,
    State.REPORT,
)
ON_THE_WAY_OUT = (State.DISCARD, State.REPORT)


def _update_until_power_goes(unit: EdgeUnit, state: State, moment: Moment) -> None:
    command = [sys.executable, unit_with_fault.__file__, str(unit.home.root), str(unit.releases.folder), state, moment]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == unit_with_fault.POWER_CUT, done.stderr


@pytest.mark.kill
@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("state", ON_THE_WAY_IN)
def test_after_power_loss_on_the_way_in_a_release_serves_and_the_update_completes(
    tmp_path: Path, state: State, moment: Moment
) -> None:
    unit = EdgeUnit(tmp_path)
    unit.install("1")
    unit.releases.publish("2")
    _update_until_power_goes(unit, state, moment)
    before_recovery = unit.home.serving()
    assert (before_recovery.release.version, before_recovery.notice) in (("1", ""), ("2", ""))
    assert unit.agent().update().active == "2"
    receipt = read_receipt(unit.home)
    assert receipt.active is not None
    assert receipt.previous is not None
    assert (receipt.active.version, receipt.previous.version) == ("2", "1")
    assert unit.home.kept() == ("2", "1")
    assert read_record(unit.home).state is State.IDLE
    assert not unit.home.downloads.exists()


@pytest.mark.kill
@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("state", ON_THE_WAY_OUT)
def test_after_power_loss_on_the_way_out_the_bad_release_is_gone_and_withheld(
    tmp_path: Path, state: State, moment: Moment
) -> None:
    unit = EdgeUnit(tmp_path)
    unit.install("1")
    unit.releases.publish("2", wrong_by=0.5)
    _update_until_power_goes(unit, state, moment)
    assert unit.home.serving().release.version == "1"
    unit.agent().update()
    assert read_receipt(unit.home).withholds("2") is not None
    assert unit.home.kept() == ("1",)


class PowerCut(BaseException):
    """Stands for the end of the process inside the test's own."""


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("state", [State.ROLL_BACK, State.DISCARD, State.REPORT])
def test_a_rollback_that_power_loss_cut_short_is_finished_by_the_next_update(
    tmp_path: Path, state: State, moment: Moment
) -> None:
    unit = EdgeUnit(tmp_path)
    unit.install("1")
    unit.install("2")

    def pull_the_plug(now_in: State, when: Moment) -> None:
        if (now_in, when) == (state, moment):
            raise PowerCut

    with pytest.raises(PowerCut):
        unit.agent(pull_the_plug, offline=True).roll_back()
    assert unit.home.serving().release.version in ("1", "2")
    assert unit.agent().update().active == "1"
    assert read_receipt(unit.home).withholds("2") is not None


def test_a_proof_that_takes_the_process_down_three_times_is_given_up(tmp_path: Path) -> None:
    unit = EdgeUnit(tmp_path)
    unit.install("1")
    unit.releases.publish("2")

    def crash_in_the_proof(state: State, moment: Moment) -> None:
        if (state, moment) == (State.PROVE, Moment.ENTERED):
            raise PowerCut

    for _ in range(3):
        with pytest.raises(PowerCut):
            unit.agent(crash_in_the_proof).update()
    assert unit.agent(crash_in_the_proof).update().active == "1"
    withheld = read_receipt(unit.home).withholds("2")
    assert withheld is not None
    assert "interrupted 3 times" in withheld.reason
