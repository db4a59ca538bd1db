"""The power-cut table: the process is killed at every state of an update, before and after its work, and whatever was
written last is whole, cut off or zeros. A proven release serves at once, and the next starts put things right."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import unit_with_fault
from edge_unit import EdgeUnit
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.update import Moment
from eyebright_edge.agent.update_record import read_record

ON_THE_WAY_IN = (
    State.CHECK,
    State.FETCH,
    State.VERIFY,
    State.PREPARE,
    State.PROVE,
    State.STAGE,
    State.TRY,
    State.COMMIT,
    State.REPORT,
)
ON_THE_WAY_OUT = (State.DISCARD, State.REPORT)
ROLLING_BACK = (State.ROLL_BACK, State.DISCARD, State.REPORT)
LAST_WRITE = {
    "whole": lambda data: data,
    "cut off": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
}


def _until_power_goes(unit: EdgeUnit, state: State, moment: Moment, *how: str) -> None:
    command = [sys.executable, unit_with_fault.__file__, unit.home.root, unit.releases.folder, state, moment, *how]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == unit_with_fault.POWER_CUT, done.stderr


def _left_behind(unit: EdgeUnit, folder: Path, damage: str) -> EdgeUnit:
    """Return the unit as the cut left it, in a copy of its own, the file that was written last damaged."""
    copy = folder / damage.replace(" ", "-")
    shutil.copytree(unit.home.root, copy)
    files = [file for file in copy.rglob("*") if file.is_file() and file.name not in ("lock", "visiting", "key.pem")]
    last = max(files, key=lambda file: file.stat().st_mtime_ns)
    last.write_bytes(LAST_WRITE[damage](last.read_bytes()))
    unit.home = UnitHome(copy)
    return unit


def _settled(unit: EdgeUnit) -> None:
    # What was spoilt on the way in is thrown away by one update and fetched again by the next.
    for _ in range(3):
        unit.agent().update()
    assert read_record(unit.home).state is State.IDLE
    assert not unit.home.downloads.exists()
    assert unit.home.serving().notice == ""


@pytest.mark.kill
@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("state", ON_THE_WAY_IN)
def test_after_power_loss_on_the_way_in_a_proven_release_serves_and_the_update_completes(
    tmp_path: Path, state: State, moment: Moment
) -> None:
    unit = EdgeUnit(tmp_path)
    unit.install("1")
    unit.releases.publish("2")
    _until_power_goes(unit, state, moment)
    cut = unit.home
    for damage in LAST_WRITE:
        unit.home = cut
        unit = _left_behind(unit, tmp_path / "cut", damage)
        assert unit.home.serving().release.version in ("1", "2"), damage
        _settled(unit)
        receipt = read_receipt(unit.home)
        assert receipt.active is not None
        assert receipt.previous is not None
        assert (receipt.active.version, receipt.previous.version, receipt.trial) == ("2", "1", None), damage
        assert receipt.active.proof is not None
        assert unit.home.kept() == ("2", "1"), damage


@pytest.mark.kill
@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("state", ON_THE_WAY_OUT)
def test_after_power_loss_on_the_way_out_the_bad_release_is_gone_and_never_served(
    tmp_path: Path, state: State, moment: Moment
) -> None:
    unit = EdgeUnit(tmp_path)
    unit.install("1")
    unit.releases.publish("2", wrong_by=0.5)
    _until_power_goes(unit, state, moment)
    cut = unit.home
    for damage in LAST_WRITE:
        unit.home = cut
        unit = _left_behind(unit, tmp_path / "cut", damage)
        assert unit.home.serving().release.version == "1", damage
        _settled(unit)
        assert read_receipt(unit.home).withholds("2") is not None, damage
        assert unit.home.kept() == ("1",), damage


@pytest.mark.kill
@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("state", ROLLING_BACK)
def test_a_rollback_that_power_loss_cut_short_leaves_a_proven_release(
    tmp_path: Path, state: State, moment: Moment
) -> None:
    unit = EdgeUnit(tmp_path)
    unit.install("1")
    unit.install("2")
    _until_power_goes(unit, state, moment, "rollback")
    cut = unit.home
    for damage in LAST_WRITE:
        unit.home = cut
        unit = _left_behind(unit, tmp_path / "cut", damage)
        assert unit.home.serving().release.version in ("1", "2"), damage
        _settled(unit)
        if damage == "whole":
            assert unit.home.serving().release.version == "1"
            assert read_receipt(unit.home).withholds("2") is not None


class PowerCut(BaseException):
    """Stands for the end of the process inside the test's own."""


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("state", ROLLING_BACK)
def test_a_rollback_that_was_cut_short_is_finished_by_the_next_update(
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
