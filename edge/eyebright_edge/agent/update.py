"""Running the update machine: persist the state, do its work, look up where that leads.

* One update at a time (``UnitHome.locked``). What a dead process left behind is finished first.
* Screening goes on meanwhile: it reads ``active`` and never waits for any of this.
* Whatever a step raises is a failure of that step and no more: the table leads on from there, and the caller gets the
  error in the result when the machine is at rest again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from eyebright_common.errors import EyebrightError, InputError
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.source import ReleaseSource
from eyebright_edge.agent.steps import Clock, OpenRuntime, Steps, is_refusal
from eyebright_edge.agent.transitions import JUDGING, Outcome, State, next_state
from eyebright_edge.agent.unit_report import error_word
from eyebright_edge.agent.update_record import Ending, UpdateRecord, read_record, recovered, write_record


class Moment(StrEnum):
    """When an onlooker is told of a state: on disk and about to work, or worked and not yet left."""

    ENTERED = "entered"
    WORKED = "worked"


Onlooker = Callable[[State, Moment], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateResult:
    """What an update came to.

    Attributes:
        ending: In one word.
        version: The release it was about; None when none was offered.
        active: The release that serves now.
        reason: Why, when it did not end well or a release is withheld.
        error: The failure itself, for an exit code and a message.
    """

    ending: Ending
    version: str | None
    active: str | None
    reason: str = ""
    error: EyebrightError | None = None


class UpdateAgent:
    """Keeps a unit's releases up to date.

    Args:
        home: The unit's home.
        task: What the unit screens for.
        source: Where releases come from; None allows ``roll_back`` only.
        open_runtime: Loads a release folder, e.g. ``runtime.open_runtime``.
        clock: The present time, aware.
        onlooker: Told of every state as it is entered and worked; shows progress, or pulls the plug in a test.
    """

    def __init__(
        self,
        home: UnitHome,
        *,
        task: str,
        source: ReleaseSource | None,
        open_runtime: OpenRuntime,
        clock: Clock,
        onlooker: Onlooker = lambda state, moment: None,
    ) -> None:
        self._home = home
        self._steps = Steps(home=home, task=task, source=source, open_runtime=open_runtime, clock=clock)
        self._clock = clock
        self._onlooker = onlooker

    def update(self, *, retry: bool = False) -> UpdateResult:
        """Finish what was interrupted, then fetch, verify, prove and activate the newest release.

        Args:
            retry: Also try a release that this unit refused or rolled back before.

        Raises:
            EyebrightError: another update of this unit is running.
        """
        with self._home.locked():
            steps = replace(self._steps, retry=retry)
            finished = self._finish_interrupted(steps)
            fresh = self._drive(UpdateRecord(state=next_state(State.IDLE, Outcome.SUCCESS)), steps)
        return finished if finished and fresh.ending is Ending.UP_TO_DATE else fresh

    def roll_back(self) -> UpdateResult:
        """Let the previous release serve again; the present one is not tried again by itself.

        Raises:
            InputError: no earlier release is kept.
            EyebrightError: an update of this unit is running.
        """
        with self._home.locked():
            self._finish_interrupted(replace(self._steps, source=None))
            receipt = read_receipt(self._home)
            if receipt.active is None or receipt.previous is None:
                raise InputError("no earlier release is kept on this unit", fix="Run `eyebright edge status`.")
            record = UpdateRecord(
                state=State.ROLL_BACK,
                version=receipt.active.version,
                previous=receipt.previous.version,
                reason="rolled back by a person",
                refuse=True,
            )
            return self._drive(record, self._steps)

    def _finish_interrupted(self, steps: Steps) -> UpdateResult | None:
        record = read_record(self._home)
        if record.state is State.IDLE:
            return None
        # A record of another version was replaced by ROLL_BACK when it was read: its first try, not a repeated one.
        known = record.entered_at is not None
        return self._drive(recovered(record) if known else record, steps)

    def _drive(self, record: UpdateRecord, steps: Steps) -> UpdateResult:
        failure: EyebrightError | None = None
        for _ in range(2 * len(State)):
            record = record.model_copy(update={"entered_at": self._clock()})
            write_record(self._home, record)
            self._onlooker(record.state, Moment.ENTERED)
            if record.state is State.IDLE:
                return self._result(record, failure)
            outcome, record, error = _attempt(steps, record)
            failure = failure or error
            self._onlooker(record.state, Moment.WORKED)
            record = record.model_copy(update={"state": next_state(record.state, outcome), "attempt": 1})
        raise AssertionError("the transition table has a loop")

    def _result(self, record: UpdateRecord, failure: EyebrightError | None) -> UpdateResult:
        ending = record.ending or Ending.FAILED
        return UpdateResult(
            ending=ending,
            version=record.version,
            active=self._home.active_version(),
            reason=record.reason,
            # A lost report does not spoil an update that went well.
            error=None if ending in (Ending.INSTALLED, Ending.UP_TO_DATE) else failure,
        )


def _attempt(steps: Steps, record: UpdateRecord) -> tuple[Outcome, UpdateRecord, EyebrightError | None]:
    try:
        outcome, learnt = steps.work(record.state)(record)
        return outcome, learnt, None
    except EyebrightError as error:
        failure = error
    except Exception as error:  # a unit has to go on, whatever went wrong: a full disk, a broken library, our own bug
        failure = EyebrightError(f"the update failed while it did {record.state}", value=repr(error))
        failure.__cause__ = error
    return Outcome.FAILURE, _failed(record, failure), failure


def _failed(record: UpdateRecord, failure: EyebrightError) -> UpdateRecord:
    if record.ending in (Ending.INSTALLED, Ending.UP_TO_DATE):
        return record
    about_release = record.state in JUDGING and is_refusal(failure)
    return record.model_copy(
        update={
            "ending": Ending.REFUSED if about_release else record.ending or Ending.FAILED,
            "reason": record.reason or str(failure),
            "problem": record.problem or error_word(failure),
            "refuse": record.refuse or about_release,
        }
    )
