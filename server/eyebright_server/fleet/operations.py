"""The steps of a rollout: each is written into the ledger, then signed.

* The ledger's word comes first and holds the whole document. A process killed between the two is made up for by the
  next command, which signs what the ledger says (``sync``).
* Opening a ring, and going back, need the offline keys: units take a release on nothing less. Where the keys are not
  here, the step is taken back in the ledger and refused.
* Pausing must not wait for keys. Without them it holds from then on here (nothing opens any further), and the next
  command that has the keys signs it.
* A ring opens when its time is over, its patients were seen and no rate is outside its limits; a person can insist,
  with a reason.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from eyebright_common.errors import InputError, ReleaseError, TrustError
from eyebright_common.release.rollout import Ring, Rollout
from eyebright_common.wire import UnitStatus
from eyebright_server.fleet.ledger_state import PREFIX, RolloutState, Step, current_rollout, rollout_history
from eyebright_server.fleet.watching import Observation, observe
from eyebright_server.records import Records
from eyebright_server.release.repository import ReleaseRepository


class Fleet:
    """The rollouts of one operator.

    Args:
        repository: Where rollouts are signed.
        records: Ledger and reports.
        clock: The present time, UTC.
    """

    def __init__(self, repository: ReleaseRepository, records: Records, *, clock: Callable[[], datetime]) -> None:
        self._repository = repository
        self._records = records
        self._clock = clock

    def current(self, task: str) -> RolloutState | None:
        """Return what is in force for a task."""
        return current_rollout(self._records.ledger(kind=PREFIX), task)

    def observe(self, task: str) -> Observation:
        """Return what units report of the rollout in force.

        Raises:
            InputError: there is none.
        """
        return observe(self.required(task).rollout, self._reports())

    def held(self, task: str) -> tuple[str, ...]:
        """Return why the next ring must not open yet, in words; empty when it may, and when there is none to open.

        Raises:
            InputError: there is no rollout.
        """
        state = self.required(task)
        return tuple(self._held(state)) if state.rollout.state == "open" else ()

    def history(self, task: str) -> list[RolloutState]:
        """Return what happened to the rollouts of a task, oldest first."""
        return rollout_history(self._records.ledger(kind=PREFIX), task)

    def is_signed(self, task: str) -> bool:
        """Whether units can read what is in force; not before a pause without keys was signed.

        Raises:
            InputError: there is no rollout.
        """
        return self.required(task).rollout.target in self._repository.targets()

    def start(self, task: str, *, version: str, before: str | None, rings: tuple[Ring, ...], by: str) -> RolloutState:
        """Begin a rollout of a release that is, or is about to be, published; its first ring is open.

        Raises:
            ReleaseError: another rollout has not ended, or the versions cannot follow each other.
            TrustError: the offline keys are not here.
        """
        known = self.current(task)
        if known is not None and known.rollout.version == version and known.rollout.state != "done":
            self.sync(task)
            return known
        if known is not None and known.rollout.state != "done":
            raise ReleaseError(
                "another rollout of this task has not ended",
                value=f"release {known.rollout.version}, ring {known.rollout.opened + 1}",
                fix="Promote it to its end, or roll it back.",
            )
        rollout = _document(
            task=task,
            number=known.rollout.number + 1 if known else 1,
            version=version,
            before=before,
            seed=secrets.token_hex(8),
            rings=rings,
            opened=0,
            state="open",
        )
        return self._take(rollout, "started", by=by, reason="a release was published")

    def promote(self, task: str, *, by: str, insist: str | None = None) -> RolloutState:
        """Open the next ring, or give the release to everybody after the last.

        Args:
            task: Of the rollout.
            by: Who says so.
            insist: Why the rules are not waited for.

        Raises:
            ReleaseError: the rollout is paused or over, or a rule holds it and nobody insists.
            TrustError: the offline keys are not here.
        """
        state = self.required(task)
        rollout = state.rollout
        if rollout.state != "open":
            fix = "Resume it first." if rollout.state == "paused" else "Publish the next release."
            raise ReleaseError(f"the rollout is {rollout.state}", value=f"release {rollout.version}", fix=fix)
        held = self._held(state)
        if held and insist is None:
            raise ReleaseError(
                "the next ring stays closed", value="; ".join(held), fix="Wait, or insist with a reason (--insist)."
            )
        last = rollout.opened == len(rollout.rings) - 1
        changes = {"state": "done"} if last else {"opened": rollout.opened + 1}
        reason = insist if held and insist else "its time is over and its rates are inside their limits"
        return self._take(_next(rollout, **changes), "finished" if last else "promoted", by=by, reason=reason)

    def pause(self, task: str, *, by: str, reason: str, step: Step = "paused") -> tuple[RolloutState, bool]:
        """Stop where it is; return the state and whether it is signed already.

        Raises:
            ReleaseError: it is not open.
        """
        rollout = self.required(task).rollout
        if rollout.state != "open":
            fix = "It stays so." if rollout.state == "paused" else "To go back: eyebright server release rollback"
            raise ReleaseError(f"the rollout is {rollout.state}", value=f"release {rollout.version}", fix=fix)
        state = self._written(_next(rollout, state="paused"), step, by=by, reason=reason)
        try:
            self._sign(state.rollout)
        except TrustError:
            return state, False
        return state, True

    def watch(self, task: str) -> tuple[Observation, RolloutState | None]:
        """Look at the rates; stop the rollout when one is outside its limits. Return both."""
        seen, state = self.observe(task), self.required(task)
        if not seen.outside or state.rollout.state != "open":
            return seen, None
        reason = "; ".join(f"{rate.name} {rate.value:.3f} of {rate.n}" for rate in seen.outside)
        return seen, self.pause(task, by="watch", reason=reason, step="stopped")[0]

    def resume(self, task: str, *, by: str, reason: str) -> RolloutState:
        """Go on after a pause.

        Raises:
            ReleaseError: it is not paused.
            TrustError: the offline keys are not here.
        """
        rollout = self.required(task).rollout
        if rollout.state != "paused":
            fix = "See: eyebright server release status"
            raise ReleaseError(
                f"the rollout is {rollout.state}, not paused", value=f"release {rollout.version}", fix=fix
            )
        return self._take(_next(rollout, state="open"), "resumed", by=by, reason=reason)

    def everybody(self, task: str, *, version: str, before: str | None, by: str) -> RolloutState:
        """Give every unit a release at once, where there were rollouts before it.

        Raises:
            TrustError: the offline keys are not here.
        """
        return self._take(self._for_everybody(task, version, before), "finished", by=by, reason="published at once")

    def roll_back(self, task: str, *, to: str, version: str, before: str, by: str, reason: str) -> RolloutState:
        """Give everybody a release at once: the old files of ``to`` under the new ``version``.

        Raises:
            TrustError: the offline keys are not here.
        """
        rollout = self._for_everybody(task, version, before)
        return self._take(rollout, "rolled-back", by=by, reason=f"back to release {to}: {reason}")

    def _for_everybody(self, task: str, version: str, before: str | None) -> Rollout:
        known = self.current(task)
        return _document(
            task=task,
            number=known.rollout.number + 1 if known else 1,
            version=version,
            before=before,
            seed="everybody",
            rings=(Ring(name="everybody", kind="serve", share=1.0, wait_hours=0.0),),
            opened=0,
            state="done",
        )

    def sync(self, task: str) -> bool:
        """Sign what the ledger says, if it is not signed yet; return whether that was to be done.

        For a process that was killed, or had no keys.

        Raises:
            TrustError: the offline keys are not here.
        """
        state = self.current(task)
        if state is None or self.is_signed(task):
            return False
        self._sign(state.rollout)
        return True

    def required(self, task: str) -> RolloutState:
        """Return what is in force for a task.

        Raises:
            InputError: there never was a rollout.
        """
        state = self.current(task)
        if state is None:
            raise InputError("there is no rollout of this task", value=task, fix="Publish a release with --staged.")
        return state

    def _held(self, state: RolloutState) -> list[str]:
        """Why the next ring must not open yet, in words."""
        rollout, seen = state.rollout, observe(state.rollout, self._reports())
        ring = rollout.rings[rollout.opened]
        held = [f"{rate.name} is outside its limits" for rate in seen.outside]
        left = state.since + timedelta(hours=ring.wait_hours) - self._clock()
        if left > timedelta(0):
            held.append(f"ring {ring.name} is watched for {left.total_seconds() / 3600:.1f} hours more")
        if seen.patients < ring.least_patients:
            held.append(f"ring {ring.name} has seen {seen.patients} of {ring.least_patients} patients")
        return held

    def _reports(self) -> dict[str, UnitStatus]:
        return self._records.last_reports()

    def _take(self, rollout: Rollout, step: Step, *, by: str, reason: str) -> RolloutState:
        """Write a step that widens, and sign it; without the keys it is taken back."""
        before = self.current(rollout.task)
        state = self._written(rollout, step, by=by, reason=reason)
        try:
            self._sign(rollout)
        except TrustError:
            undone = _next(before.rollout if before else rollout, number=rollout.number + 1)
            if before is None:
                undone = undone.model_copy(update={"state": "done"})
            self._written(undone, "not-signed", by=by, reason="the offline keys were not here")
            raise
        return state

    def _written(self, rollout: Rollout, step: Step, *, by: str, reason: str) -> RolloutState:
        facts = {"rollout": rollout.model_dump(mode="json"), "by": by, "reason": reason}
        entry = self._records.append(f"{PREFIX}{step}", facts, now=self._clock())
        return RolloutState(
            rollout=rollout, step=step, by=by, reason=reason, since=datetime.fromisoformat(entry.time), seq=entry.seq
        )

    def _sign(self, rollout: Rollout) -> None:
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "rollout.json"
            path.write_bytes(rollout.to_json())
            self._repository.add_target(path, rollout.target)


def _document(**fields: object) -> Rollout:
    try:
        return Rollout.model_validate(fields)
    except ValueError as error:
        raise ReleaseError("this cannot be a rollout", value=str(error).splitlines()[-2].strip()) from error


def _next(rollout: Rollout, **changes: object) -> Rollout:
    return _document(**{**dict(rollout), "number": rollout.number + 1, **changes})
