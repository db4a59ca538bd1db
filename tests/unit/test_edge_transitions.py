"""The update machine's table: where every state can lead."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.transitions import (
    MAX_ATTEMPTS,
    TRANSITIONS,
    Outcome,
    State,
    next_state,
    recovered_state,
)
from eyebright_edge.agent.update_record import UpdateRecord, read_record, recovered, write_record


def test_every_state_says_where_success_failure_and_power_loss_lead() -> None:
    assert set(TRANSITIONS) == set(State)


def test_waiting_is_no_attempt_and_leads_nowhere() -> None:
    for state in State:
        assert next_state(state, Outcome.NOT_YET) is state
    waiting = UpdateRecord(state=State.TRY, version="7", attempt=MAX_ATTEMPTS, waiting="a visit is open")
    after = recovered(waiting)
    assert (after.state, after.attempt, after.waiting, after.refuse) == (State.TRY, 1, "", False)


@given(st.sampled_from(State), st.lists(st.booleans(), min_size=len(State), max_size=len(State)))
def test_whatever_happens_the_machine_comes_to_rest(start: State, luck: list[bool]) -> None:
    state = start
    for lucky in luck:
        if state is State.IDLE:
            break
        state = next_state(state, Outcome.SUCCESS if lucky else Outcome.FAILURE)
    assert state is State.IDLE


def test_nothing_but_a_passed_proof_leads_to_activation() -> None:
    into = {
        target: [(s, how) for s, row in TRANSITIONS.items() for how in ("success", "failure", "interrupted")
                 if getattr(row, how) is target and s is not target]
        for target in (State.STAGE, State.TRY)
    }  # fmt: skip
    assert into == {State.STAGE: [(State.PROVE, "success")], State.TRY: [(State.STAGE, "success")]}


@pytest.mark.parametrize("state", State)
def test_work_that_kills_the_process_every_time_counts_as_failed(state: State) -> None:
    assert recovered_state(state, MAX_ATTEMPTS) is TRANSITIONS[state].failure


def test_a_release_whose_proof_kills_the_process_every_time_is_refused() -> None:
    record = UpdateRecord(state=State.PROVE, version="7", attempt=MAX_ATTEMPTS)
    after = recovered(record)
    assert (after.state, after.refuse, after.problem) == (State.DISCARD, True, "interrupted")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"schema": "eyebright.update/9", "state": "prove"}', b'{"state": "trial"}', b"\x00" * 50],
    ids=["empty", "torn", "newer-schema", "unknown-state", "zeros"],
)
def test_a_record_that_is_not_understood_means_rolling_back(tmp_path: Path, content: bytes) -> None:
    home = UnitHome(tmp_path)
    home.update_file.write_bytes(content)
    assert read_record(home).state is State.ROLL_BACK


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    record = UpdateRecord(state=State.STAGE, version="3", previous="2", entered_at=datetime(2026, 1, 2, tzinfo=UTC))
    write_record(UnitHome(tmp_path), record)
    assert read_record(UnitHome(tmp_path)) == record
