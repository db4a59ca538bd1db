"""Updating a unit: what it takes, what it refuses, what it keeps."""

from datetime import timedelta
from pathlib import Path

import pytest

from edge_unit import MORNING, EdgeUnit
from eyebright_common.errors import EyebrightError, GoldenMismatch, InputError, WireError
from eyebright_common.release import MODEL_FILE, Verdict
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.source import Offer
from eyebright_edge.agent.transitions import TRANSITIONS, State
from eyebright_edge.agent.update import Moment
from eyebright_edge.agent.update_record import Ending
from eyebright_edge.records import VisitJournal


@pytest.fixture
def unit(tmp_path: Path) -> EdgeUnit:
    return EdgeUnit(tmp_path)


def test_the_first_release_is_proven_and_serves(unit: EdgeUnit) -> None:
    unit.install("1")
    receipt = read_receipt(unit.home)
    assert unit.home.serving().release.version == "1"
    assert receipt.active is not None
    assert receipt.active.proof is not None
    assert (receipt.active.proof.passed, receipt.active.proof.decision_flips) == (True, 0)


def test_a_poll_that_finds_nothing_new_fetches_nothing(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.releases.fetched.clear()
    assert unit.agent().update().ending is Ending.UP_TO_DATE
    assert unit.releases.fetched == []


def test_a_server_without_a_release_is_no_error(unit: EdgeUnit) -> None:
    result = unit.agent().update()
    assert (result.ending, result.active, result.error) == (Ending.UP_TO_DATE, None, None)


def test_two_releases_are_kept_the_older_ones_are_deleted(unit: EdgeUnit) -> None:
    for version in ("1", "2", "10"):
        unit.install(version)
    assert unit.home.kept() == ("10", "2")
    assert not unit.home.downloads.exists()


def test_a_release_that_computes_something_else_here_never_serves(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.releases.publish("2", wrong_by=0.5)
    seen: list[State] = []
    result = unit.agent(lambda state, moment: seen.append(state)).update()
    assert (result.ending, result.active) == (Ending.REFUSED, "1")
    assert isinstance(result.error, GoldenMismatch)
    assert State.TRY not in seen
    assert unit.home.kept() == ("1",)


def test_a_refused_release_is_not_fetched_again_until_a_person_asks(unit: EdgeUnit) -> None:
    unit.releases.publish("1", wrong_by=0.5)
    unit.agent().update()
    unit.releases.fetched.clear()
    again = unit.agent().update()
    assert (again.ending, unit.releases.fetched) == (Ending.UP_TO_DATE, [])
    assert "withheld" in again.reason
    unit.releases.publish("1")
    assert unit.agent().update(retry=True).ending is Ending.INSTALLED
    assert read_receipt(unit.home).withheld == ()


def test_a_newer_release_is_taken_after_a_refused_one(unit: EdgeUnit) -> None:
    unit.releases.publish("1", wrong_by=0.5)
    unit.agent().update()
    unit.install("2")


def test_a_cut_download_goes_on_where_it_stopped_after_a_pause(unit: EdgeUnit) -> None:
    unit.releases.publish("1")
    unit.releases.files_before_cut = 2
    assert unit.agent().update().ending is Ending.INSTALLED
    assert sorted(unit.releases.fetched) == sorted(f.name for f in (unit.releases.folder / "1").iterdir())
    assert [0.5 <= seconds <= 1.5 for seconds in unit.pauses] == [True]


def test_tries_are_bounded_and_the_next_update_goes_on(unit: EdgeUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    unit.releases.publish("1")
    tries = []

    def broken(offer: Offer, folder: Path, **how: object) -> None:
        tries.append(offer.version)
        raise WireError("the connection broke", fix="Try again.")

    with monkeypatch.context() as patch:
        patch.setattr(unit.releases, "fetch", broken)
        result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.FAILED, None)
    assert isinstance(result.error, WireError)
    assert len(tries) == TRANSITIONS[State.FETCH].tries == len(unit.pauses) + 1
    assert unit.agent().update().ending is Ending.INSTALLED


def test_without_a_network_the_old_release_goes_on_serving(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.releases.reachable = False
    result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.FAILED, "1")
    assert unit.home.serving().notice == ""


def test_a_file_that_is_not_the_listed_one_is_thrown_away_and_may_be_tried_again(unit: EdgeUnit) -> None:
    unit.releases.publish("1")
    model = unit.releases.folder / "1" / MODEL_FILE
    sound = model.read_bytes()
    model.write_bytes(sound[:-1] + b"?")
    assert unit.agent().update().active is None
    model.write_bytes(sound)
    assert unit.agent().update().ending is Ending.INSTALLED


def test_a_release_for_another_task_is_refused(unit: EdgeUnit) -> None:
    unit.releases.publish("1", task="oct")
    assert unit.agent().update().ending is Ending.REFUSED


def test_a_release_with_other_preprocessing_is_refused_with_the_way_out(unit: EdgeUnit) -> None:
    unit.releases.publish("1", preprocessing="something-newer")
    result = unit.agent().update()
    assert result.ending is Ending.REFUSED
    assert "--retry" in result.reason


def test_a_full_disk_is_no_fault_of_the_release(unit: EdgeUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    unit.releases.publish("1")

    def full(offer: Offer, folder: Path, **how: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(unit.releases, "fetch", full)
        assert unit.agent().update().ending is Ending.FAILED
    assert unit.agent().update().ending is Ending.INSTALLED


def test_a_lost_report_does_not_spoil_an_installed_release(unit: EdgeUnit) -> None:
    unit.releases.publish("1")

    def lose_the_network(state: State, moment: Moment) -> None:
        unit.releases.reachable = state is not State.REPORT

    result = unit.agent(lose_the_network).update()
    assert (result.ending, result.error) == (Ending.INSTALLED, None)


def test_the_operator_learns_counts_and_states_only(unit: EdgeUnit) -> None:
    unit.install("1")
    journal = VisitJournal(unit.home.visits_file, lambda: MORNING)
    for word in ("REFER",) * 60 + ("UNGRADABLE",) * 10:
        number = journal.open(release="1")
        journal.add_picture(number, {"name": "family-name.jpg", "score": 0.7})
        journal.close(number, {"verdict": word})
    unit.now += timedelta(days=1)
    unit.agent().update()
    facts = unit.releases.reports[-1]
    assert (facts.active_version, facts.golden_passed, facts.screened) == ("1", True, 70)
    # Multiples of the step are told as they are, whatever the unit's chance.
    assert facts.verdicts == {Verdict.REFER: 60, Verdict.NO_REFERRAL: 0, Verdict.UNGRADABLE: 10}
    assert "family" not in repr(facts)


def test_the_operator_learns_of_a_refused_release(unit: EdgeUnit) -> None:
    unit.releases.publish("1", wrong_by=0.5)
    unit.agent().update()
    facts = unit.releases.reports[-1]
    assert (facts.ending, facts.problem, facts.golden_passed) == (Ending.REFUSED, "golden-mismatch", False)


def test_rolling_back_needs_no_network_and_holds_against_the_next_poll(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.install("2")
    result = unit.agent(offline=True).roll_back()
    assert (result.ending, result.active) == (Ending.ROLLED_BACK, "1")
    assert unit.agent().update().active == "1"
    receipt = read_receipt(unit.home)
    assert receipt.active is not None
    assert receipt.active.version == "1"
    assert receipt.active.proof is not None


def test_after_a_rollback_the_next_release_is_taken(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.install("2")
    unit.agent(offline=True).roll_back()
    unit.install("3")


def test_there_must_be_something_to_roll_back_to(unit: EdgeUnit) -> None:
    unit.install("1")
    with pytest.raises(InputError, match="no earlier release"):
        unit.agent(offline=True).roll_back()


def test_a_damaged_active_release_is_replaced_by_the_kept_one_with_a_notice(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.install("2")
    (unit.home.release_folder("2") / MODEL_FILE).write_bytes(b"")
    serving = unit.home.serving()
    assert serving.release.version == "1"
    assert "2 is damaged" in serving.notice


@pytest.mark.parametrize("note", [b"", b"\x00\x00", b"../../elsewhere\n", b"7\n"])
def test_a_damaged_note_of_which_release_serves_does_not_stop_screening(unit: EdgeUnit, note: bytes) -> None:
    unit.install("1")
    unit.home.active_file.write_bytes(note)
    serving = unit.home.serving()
    assert serving.release.version == "1"
    assert "damaged" in serving.notice


def test_a_damaged_note_is_put_right_by_the_next_update(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.home.active_file.write_bytes(b"\x00")
    assert unit.agent().update().active == "1"
    assert unit.home.serving().notice == ""


def test_a_damaged_release_is_fetched_again(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.install("2")
    (unit.home.release_folder("2") / MODEL_FILE).write_bytes(b"")
    assert unit.agent().update().ending is Ending.INSTALLED
    serving = unit.home.serving()
    assert (serving.release.version, serving.notice) == ("2", "")
    assert unit.home.kept() == ("2", "1")


def test_a_lost_receipt_does_not_stop_screening(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.home.receipt_file.write_bytes(b"\x00" * 10)
    unit.home.update_file.write_bytes(b"\x00" * 10)
    assert unit.agent().update().active == "1"
    assert unit.home.serving().release.version == "1"


def test_two_updates_do_not_run_at_once(unit: EdgeUnit) -> None:
    with unit.home.locked(), pytest.raises(EyebrightError, match="another update"):
        unit.agent().update()


def test_a_release_that_cannot_be_loaded_from_its_final_place_is_taken_back(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.releases.publish("2")

    def spoil(state: State, moment: Moment) -> None:
        if (state, moment) == (State.TRY, Moment.WORKED):
            (unit.home.release_folder("2") / MODEL_FILE).write_bytes(b"")

    result = unit.agent(spoil).update()
    assert (result.ending, result.active) == (Ending.ROLLED_BACK, "1")
    assert unit.home.serving().notice == ""
