"""The update machine, as one table.

Every state has work; the work ends well or badly; power may go during it. The table says where each of these leads.

* The state is on disk before its work begins (``update_record``), so a start after power loss knows what was going on.
* Every work may be done twice: most states are simply entered again after power loss. FETCH goes back to CHECK, because
  what was offered is only trusted while the trusted metadata is in memory; the bytes already fetched are kept.
* A state that power loss (or a crash in the work itself) interrupts ``MAX_ATTEMPTS`` times has failed. What a lost
  connection or a short memory spoilt is tried again at once, ``tries`` times at most, with a jittered pause between.
* Work that has to wait (an open visit, a trial that is not over) says NOT_YET: the machine rests in that state, and a
  rest is not an attempt.
* A state that this version does not know means that something is not as it was left: ROLL_BACK.
* The release that serves changes in TRY and ROLL_BACK only. Everything before TRY may fail at no cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

MAX_ATTEMPTS = 3


class State(StrEnum):
    """What the update machine is doing."""

    IDLE = "idle"
    CHECK = "check"
    FETCH = "fetch"
    VERIFY = "verify"
    PREPARE = "prepare"
    PROVE = "prove"
    STAGE = "stage"
    TRY = "try"
    COMMIT = "commit"
    ROLL_BACK = "roll_back"
    DISCARD = "discard"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Row:
    """Where a state leads.

    Attributes:
        success: When its work ends well.
        failure: When its work ends badly, or was interrupted too often.
        interrupted: When the process died during its work.
        nothing_new: When its work finds that there is nothing to do; None where that cannot be.
        tries: How often its work is tried in one run when what failed may pass (``steps.may_pass``).
    """

    success: State
    failure: State
    interrupted: State
    nothing_new: State | None = None
    tries: int = 1


_S = State

TRANSITIONS: Mapping[State, Row] = MappingProxyType(
    {
        #  state         success     failure       interrupted   nothing new
        _S.IDLE: Row(_S.CHECK, _S.IDLE, _S.IDLE),
        _S.CHECK: Row(_S.FETCH, _S.REPORT, _S.CHECK, _S.REPORT, tries=2),
        _S.FETCH: Row(_S.VERIFY, _S.REPORT, _S.CHECK, tries=3),
        _S.VERIFY: Row(_S.PREPARE, _S.DISCARD, _S.VERIFY),
        _S.PREPARE: Row(_S.PROVE, _S.DISCARD, _S.PREPARE, tries=2),
        _S.PROVE: Row(_S.STAGE, _S.DISCARD, _S.PROVE, tries=2),
        _S.STAGE: Row(_S.TRY, _S.DISCARD, _S.STAGE),
        _S.TRY: Row(_S.COMMIT, _S.ROLL_BACK, _S.TRY),
        _S.COMMIT: Row(_S.REPORT, _S.ROLL_BACK, _S.COMMIT),
        _S.ROLL_BACK: Row(_S.DISCARD, _S.DISCARD, _S.ROLL_BACK),
        _S.DISCARD: Row(_S.REPORT, _S.REPORT, _S.DISCARD),
        _S.REPORT: Row(_S.IDLE, _S.IDLE, _S.REPORT),
    }
)


# The states in which a failure can be the release's own fault.
JUDGING = frozenset({State.VERIFY, State.PREPARE, State.PROVE, State.TRY, State.COMMIT})


class Outcome(StrEnum):
    """How a state's work ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    NOTHING_NEW = "nothing_new"
    NOT_YET = "not_yet"


def next_state(state: State, outcome: Outcome) -> State:
    """Return where ``state`` leads when its work ended with ``outcome``."""
    row = TRANSITIONS[state]
    if outcome is Outcome.NOT_YET:
        return state
    if outcome is Outcome.NOTHING_NEW:
        assert row.nothing_new is not None, f"{state} cannot find nothing"
        return row.nothing_new
    return row.success if outcome is Outcome.SUCCESS else row.failure


def recovered_state(state: State, attempt: int) -> State:
    """Return where to go on after the process died during the ``attempt``-th try of ``state``'s work."""
    row = TRANSITIONS[state]
    return row.failure if attempt >= MAX_ATTEMPTS else row.interrupted
