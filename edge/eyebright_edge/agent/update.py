"""Running the update machine: persist the state, do its work, look up where that leads.

* One update at a time (``UnitHome.locked``). What a dead process left behind is finished first.
* Screening goes on meanwhile: it reads ``active`` and never waits for any of this.
* Whatever a step raises is a failure of that step and no more: the table leads on from there, and the caller gets the
  error in the result when the machine is at rest again.
* A disk that does not take the record stops the machine where it is: no work begins that is not on disk first. What
  was fetched is dropped when the disk is full, because visits need the room more.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from eyebright_common.errors import EyebrightError, InputError
from eyebright_common.release import Precision, Release
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.news import read_news, trusted_time
from eyebright_edge.agent.progress import ProgressNote
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.rehearsal import OpenRuntime
from eyebright_edge.agent.settings import Budget, Trial
from eyebright_edge.agent.source import ReleaseSource
from eyebright_edge.agent.steps import Clock, Steps, is_refusal, may_pass
from eyebright_edge.agent.transitions import JUDGING, TRANSITIONS, Outcome, State, next_state
from eyebright_edge.agent.unit_report import error_word
from eyebright_edge.agent.update_record import Ending, UpdateRecord, read_record, recovered, write_record
from eyebright_edge.agent.workshop import ChildWorkshop, Workshop
from eyebright_edge.runtime.networks import NeededNetworks

_FIRST_PAUSE_S = 1.0


class Moment(StrEnum):
    """When an onlooker is told of a state: on disk and about to work, or worked and not yet left."""

    ENTERED = "entered"
    WORKED = "worked"


Onlooker = Callable[[State, Moment], None]


class Stopped(BaseException):
    """Raised in the middle of an update to end this process in good order: an interruption, and not an attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateResult:
    """What an update came to.

    Attributes:
        ending: In one word.
        version: The release it was about; None when none was offered.
        active: The release that serves now.
        reason: Why, when it did not end well, has to wait, or a release is withheld.
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
        open_runtime: Loads a release folder, e.g. ``runtime.open_runtime``; a function of a module.
        clock: The machine's clock, aware.
        onlooker: Told of every state as it is entered and worked; shows progress, or pulls the plug in a test.
        trial: How long a new release is tried; not at all when left out.
        budget: What it may cost here.
        workshop: Where releases are prepared and proven; a child process when left out.
        needs: Which networks of a release are fetched; those that this machine computes with when left out.
        pause: Waits between two tries of the same work, seconds.
        chance: Source of the pauses' jitter.
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
        trial: Trial | None = None,
        budget: Budget | None = None,
        workshop: Workshop | None = None,
        needs: Callable[[Release], frozenset[Precision]] | None = None,
        pause: Callable[[float], None] = time.sleep,
        chance: random.Random | None = None,
    ) -> None:
        self._home = home
        self._progress = ProgressNote(home)
        self._clock: Clock = lambda: trusted_time(read_news(home), clock())
        self._steps = Steps(
            home=home,
            task=task,
            source=source,
            workshop=workshop or ChildWorkshop(open_runtime),
            clock=self._clock,
            machine_clock=clock,
            trial=trial or Trial(visits=0),
            budget=budget or Budget(),
            on_progress=self._progress.tell,
            needs=needs or NeededNetworks(),
        )
        self._onlooker = onlooker
        self._pause = pause
        self._chance = chance or random.Random()

    def update(self, *, retry: bool = False) -> UpdateResult:
        """Finish what was interrupted or waits, then fetch, verify, prove and try the newest release.

        Args:
            retry: Also try a release that this unit refused or rolled back before.

        Raises:
            EyebrightError: another update of this unit is running.
        """
        with self._home.locked():
            steps = replace(self._steps, retry=retry)
            finished = self._finish_interrupted(steps)
            if finished is not None and read_record(self._home).state is not State.IDLE:
                return finished
            fresh = self._drive(UpdateRecord(state=next_state(State.IDLE, Outcome.SUCCESS)), steps)
        # A failure of the time before the interruption is over: what was looked up just now says how things are.
        told = finished is not None and finished.ending is not Ending.FAILED and fresh.ending is Ending.UP_TO_DATE
        return finished if finished and told else fresh

    def roll_back(self) -> UpdateResult:
        """Let the previous release serve again, or take a release on trial back; it is not tried again by itself.

        Raises:
            InputError: no earlier release is kept.
            EyebrightError: an update of this unit is running.
        """
        with self._home.locked():
            steps = replace(self._steps, source=None)
            record = read_record(self._home)
            if record.state is not State.TRY:
                self._finish_interrupted(steps)
                record = self._way_back()
            taken_back = {"state": State.ROLL_BACK, "attempt": 1, "waiting": "", "refuse": True}
            reason = {"reason": "rolled back by a person", "problem": None, "ending": None}
            return self._drive(record.model_copy(update=taken_back | reason), self._steps)

    def _way_back(self) -> UpdateRecord:
        receipt = read_receipt(self._home)
        if receipt.active is None or receipt.previous is None:
            raise InputError("no earlier release is kept on this unit", fix="Run `eyebright edge status`.")
        version, previous = receipt.active.version, receipt.previous.version
        return UpdateRecord(state=State.ROLL_BACK, version=version, previous=previous)

    def _finish_interrupted(self, steps: Steps) -> UpdateResult | None:
        record = read_record(self._home)
        if record.state is State.IDLE:
            return None
        # A record of another version was replaced by ROLL_BACK when it was read: its first try, not a repeated one.
        known = record.entered_at is not None
        return self._drive(recovered(record) if known else record, steps)

    def _drive(self, record: UpdateRecord, steps: Steps) -> UpdateResult:
        failure: EyebrightError | None = None
        for _ in range(2 * sum(row.tries for row in TRANSITIONS.values())):
            record = record.model_copy(update={"entered_at": self._clock()})
            if (stuck := self._write(record)) is not None:
                return self._result(_failed(record, stuck), stuck)
            self._onlooker(record.state, Moment.ENTERED)
            if record.state is State.IDLE:
                return self._result(record, failure)
            outcome, record, error = self._attempt(steps, record)
            if outcome is Outcome.NOT_YET:
                return self._rest(record)
            failure = failure or error
            self._onlooker(record.state, Moment.WORKED)
            record = record.model_copy(update={"state": next_state(record.state, outcome), "attempt": 1})
        raise AssertionError("the transition table has a loop")

    def _attempt(self, steps: Steps, record: UpdateRecord) -> tuple[Outcome, UpdateRecord, EyebrightError | None]:
        """Do the work of a state, as often as its row says while what fails may pass."""
        self._progress.begin(record.state)
        try:
            while True:
                outcome, learnt, error = _worked(steps, record)
                if error is None or not may_pass(error) or record.attempt >= TRANSITIONS[record.state].tries:
                    return (outcome, learnt, error) if error is None else (outcome, _failed(record, error), error)
                # Half of the pause is chance: units that lost the same server must not come back all at once.
                self._pause(_FIRST_PAUSE_S * 2 ** (record.attempt - 1) * (0.5 + self._chance.random()))
                record = record.model_copy(update={"attempt": record.attempt + 1})
                if (stuck := self._write(record)) is not None:
                    return Outcome.FAILURE, _failed(record, stuck), stuck
        except Stopped:
            self._write(record.model_copy(update={"waiting": "the agent was stopped"}))
            raise
        finally:
            self._progress.end()

    def _rest(self, record: UpdateRecord) -> UpdateResult:
        # A trial that goes on is looked at every minute: the disk is written when its beginning has to be kept.
        if (stuck := self._write(record)) is not None:
            return self._result(_failed(record, stuck), stuck)
        self._onlooker(record.state, Moment.WORKED)
        return UpdateResult(
            ending=Ending.WAITING, version=record.version, active=self._home.active_version(), reason=record.waiting
        )

    def _write(self, record: UpdateRecord) -> EyebrightError | None:
        for last in (False, True):
            try:
                write_record(self._home, record)
            except OSError as error:
                if error.errno == errno.ENOSPC and not last:
                    self._make_room()
                    continue
                why = f"{self._home.root} ({error.strerror})"
                return EyebrightError("the update cannot be recorded, so it does not go on", value=why, fix=_MEND)
            return None
        raise AssertionError("unreachable")

    def _make_room(self) -> None:
        try:
            self._home.drop_downloads()
        except OSError:
            return  # the next try of the record says what is wrong with the disk

    def _result(self, record: UpdateRecord, failure: EyebrightError | None) -> UpdateResult:
        ending = record.ending or Ending.FAILED
        return UpdateResult(
            ending=ending,
            version=record.version,
            active=self._home.active_version(),
            reason=record.reason,
            # A lost report does not spoil an update that went well.
            error=None if ending in _WELL else failure,
        )


_WELL = (Ending.INSTALLED, Ending.SHADOWED, Ending.UP_TO_DATE)
_MEND = "Free some space or mend the disk; screening goes on."


def _worked(steps: Steps, record: UpdateRecord) -> tuple[Outcome, UpdateRecord, EyebrightError | None]:
    try:
        outcome, learnt = steps.work(record.state)(record)
        return outcome, learnt, None
    except EyebrightError as error:
        return Outcome.FAILURE, record, error
    except Exception as error:  # a unit has to go on, whatever went wrong: a full disk, a broken library, our own bug
        found = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
        failure = EyebrightError(f"the update failed while it did {record.state}", value=found)
        failure.__cause__ = error
        return Outcome.FAILURE, record, failure


def _failed(record: UpdateRecord, failure: EyebrightError) -> UpdateRecord:
    if record.ending in _WELL:
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
