"""The round driver: train everywhere, gate, average, evaluate everywhere, write down.

* It knows hospitals only through ``Hospitals`` and averaging only through ``Averaging``; both are Flower's in
  production and values in tests.
* Replies are sorted by hospital number before anything is computed from them, so the order of arrival changes nothing.
* A hospital that refuses, fails, answers late or answers badly is written down with its reason, and the round goes on.
  Below the quorum nothing is averaged: who has no accepted reply is asked again, and after ``rules.attempts`` the run
  stops with every hospital's reason, the model unchanged. A later run goes on there.
* What counts is in the ledger before it counts (``journal``), so that a kill at any instruction loses no accepted reply
  and applies none twice. The ledger lies beside the checkpoint unless the server's records are given.
* BatchNorm running means and variances are averaged as weights, unless the plan has them re-estimated: then they are
  asked for under the averaged student, and pooled as moments.
* Whose update points against the others' is noted beside the average, and averaged all the same (``direction``).
* After the last round, if the rules say so, the hospitals evaluate the best student at a few temperatures
  (``calibrating``).
* The state of round *r* depends on nothing but the state of round *r-1*, the plan, the hospitals and, with privacy, the
  run's secret.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

from eyebright_common import exchange
from eyebright_common.errors import FederationError
from eyebright_common.exchange import BeatsOwn, is_running_statistic
from eyebright_common.plan import Plan
from eyebright_common.privacy_cost import epsilon_of
from eyebright_common.tasks import ScreeningTask, get_task
from eyebright_learning.evaluation import EvaluationCounts
from eyebright_server.federation.averaging import pooled_moments
from eyebright_server.federation.calibrating import calibrated, tempered
from eyebright_server.federation.checkpoint import Checkpoint, RunState, weights_digest
from eyebright_server.federation.cohort import outliers
from eyebright_server.federation.collecting import Collecting, Hospitals, no_answer
from eyebright_server.federation.direction import opposed
from eyebright_server.federation.ending import finished_run, over, result_of
from eyebright_server.federation.gate import set_aside_counts
from eyebright_server.federation.journal import RoundSoFar, RunJournal
from eyebright_server.federation.records import Arrays, FederationEvent, FederationResult, Reply, RoundRecord, Setback
from eyebright_server.federation.reply_store import ReplyStore
from eyebright_server.federation.rules import RoundRules
from eyebright_server.federation.tally import Tally
from eyebright_server.federation.validation import Validation, best_round, pool
from eyebright_server.records import Records

LEDGER = "ledger.sqlite"


class Averaging(Protocol):
    """How students become one."""

    def combine(self, round_number: int, current: Arrays, replies: Sequence[Reply]) -> Arrays:
        """Return the next global arrays, with the names, shapes and dtypes of ``current``."""

    def state(self) -> Arrays:
        """Return what must survive between rounds."""

    def restore(self, state: Arrays) -> None:
        """Take back what ``state`` returned."""


@dataclass(slots=True, kw_only=True)
class RoundDriver:
    """Runs the rounds of one plan.

    Attributes:
        plan: What is asked of every hospital.
        hospitals: Whom to ask.
        averaging: How to combine.
        checkpoint: Where to write.
        rules: Quorum, attempts, early end and the gate's bars.
        records: The server's records; None keeps a ledger beside the checkpoint.
        on_event: Told of every step, from the thread that runs the rounds.
        clock: Seconds, monotonic.
    """

    plan: Plan
    hospitals: Hospitals
    averaging: Averaging
    checkpoint: Checkpoint
    rules: RoundRules = field(default_factory=RoundRules)
    records: Records | None = None
    on_event: Callable[[FederationEvent], None] = lambda event: None
    clock: Callable[[], float] = time.monotonic

    def run(self, initial: Arrays) -> FederationResult:
        """Run the rounds that are still to do and return the whole run.

        Raises:
            FederationError: a round had no quorum, or the checkpoint cannot be used.
        """
        if (finished := finished_run(self.checkpoint, self.plan, self.rules)) is not None:
            return finished
        state = self.checkpoint.load()
        if self.records is not None:
            return self._run(state, initial, self.records)
        self.checkpoint.folder.mkdir(parents=True, exist_ok=True)
        with Records.open(self.checkpoint.folder / LEDGER) as records:
            return self._run(state, initial, records)

    def _run(self, state: RunState | None, initial: Arrays, records: Records) -> FederationResult:
        rounds = _Rounds(driver=self, journal=self._journal(records), store=ReplyStore(self.checkpoint.folder))
        resumed_after = state.records[-1].round if state else 0
        rounds.begin(state)
        while True:
            why = over(state, self.plan, self.rules)
            if why is not None:
                break
            state = rounds.next(state, initial)
        if state is not None and self.rules.calibrate and state.calibration is None:
            state = rounds.calibrate(state)
        if state is None:
            raise FederationError(
                "the privacy budget does not allow a single round",
                value=f"epsilon {epsilon_of(1, self.plan.privacy):.3g}" if self.plan.privacy else None,
                fix="Plan more noise, or a larger budget.",
            )
        rounds.journal.note("run-ended", rounds=state.records[-1].round, why=why)
        return result_of(state, resumed_after, why)

    def _journal(self, records: Records) -> RunJournal:
        place = self.checkpoint
        facts = f"{place.plan_digest}\n{place.initial_sha256}\n{place.hospitals}\n{place.folder.resolve()}"
        run = hashlib.sha256(facts.encode()).hexdigest()[:16]
        return RunJournal(records=records, run=run, offences=self.rules.offences)

    def tell(
        self, kind: str, number: int, *, site: int | None = None, record: RoundRecord | None = None, detail: str = ""
    ) -> None:
        """Tell of one step."""
        self.on_event(
            FederationEvent(kind=kind, round=number, rounds=self.plan.rounds, site=site, record=record, detail=detail)
        )


class _Rounds:
    """The rounds of one process, over one ledger."""

    def __init__(self, *, driver: RoundDriver, journal: RunJournal, store: ReplyStore) -> None:
        self._driver, self.journal, self._store = driver, journal, store
        self._plan, self._rules = driver.plan, driver.rules
        self._collecting = Collecting(
            plan=driver.plan, hospitals=driver.hospitals, journal=journal, store=store, tell=self._tell_of
        )

    def begin(self, state: RunState | None) -> None:
        """Write that the run begins or goes on; a round whose checkpoint is on disk is closed."""
        place = self._driver.checkpoint
        self.journal.opened(plan=place.plan_digest, initial=place.initial_sha256, hospitals=place.hospitals)
        if state is None:
            return
        closed = self.journal.closed_rounds()
        for record in state.records:
            if record.round not in closed:
                self._close(record)
        self._store.forget(up_to_round=state.records[-1].round)
        self._driver.averaging.restore(state.strategy)
        self._driver.tell("resumed", state.records[-1].round)

    def next(self, before: RunState | None, initial: Arrays) -> RunState:
        """Run one round and make its state what a resumed run begins with."""
        number = before.records[-1].round + 1 if before else 1
        state = self._round(number, before, before.weights if before else initial)
        self._driver.checkpoint.save(state)
        self._close(state.records[-1])
        self._store.forget(up_to_round=number)
        self._driver.tell("round_finished", number, record=state.records[-1])
        return state

    def _close(self, record: RoundRecord) -> None:
        self.journal.note("round-closed", round=record.round, weights_sha256=record.weights_sha256)

    def _round(self, number: int, before: RunState | None, weights: Arrays) -> RunState:
        started = self._driver.clock()
        self._driver.tell("round_started", number)
        tally, so_far = Tally(), self.journal.round_so_far(number)
        tally.suspended = tuple(sorted(self.journal.records.suspended()))
        tally.attempts = so_far.attempt
        self._collecting.meet(number, tally)
        updates = self._updates(number, weights, tally, so_far)
        weights = self._combined(number, weights, updates, tally, so_far)
        self._driver.tell("aggregated", number)
        if self._plan.privacy is not None:
            tally.epsilon = epsilon_of(number, self._plan.privacy)
        validation, evaluated = self._evaluate(number, weights, tally, so_far)
        self._note_late(number, tally)
        seconds = self._driver.clock() - started
        record = tally.record(number, updates, validation, evaluated, weights_digest(weights), seconds)
        records = (*(before.records if before else ()), record)
        best, strategy = best_round(records), self._driver.averaging.state()
        if before is not None and best != number:
            return replace(before, records=records, weights=weights, strategy=strategy)
        return RunState(
            records=records,
            weights=weights,
            best_round=best,
            best_weights=weights,
            best_counts=validation.site_counts,
            strategy=strategy,
        )

    def calibrate(self, state: RunState) -> RunState:
        """Ask the hospitals for the best student's temperature, and keep the answer.

        Killed before it is kept, they are asked again and the ledger says so: an evaluation changes nothing there.
        """
        number, task = state.best_round, get_task(self._plan.task)
        so_far = RoundSoFar()

        def ask(temperature: float) -> dict[int, EvaluationCounts]:
            self._driver.tell("tempered", number, detail=f"temperature {temperature:.2f}")
            tally = Tally(suspended=tuple(sorted(self.journal.records.suspended())))
            self._collecting.meet(number, tally)
            validation, _ = self._evaluate(number, tempered(state.best_weights, temperature), tally, so_far)
            return _read_counts(validation.site_counts, task)

        found = calibrated(_read_counts(state.best_counts, task), ask)
        after = replace(state, calibration=found)
        self.journal.note(
            "run-calibrated",
            round=number,
            temperature=found.temperature,
            questions=found.questions,
            hospitals=sorted(found.counts),
            weights_sha256=weights_digest(after.student),
        )
        self._driver.checkpoint.save(after)
        self._driver.tell("calibrated", number, detail=f"temperature {found.temperature:.2f}")
        return after

    def _updates(self, number: int, weights: Arrays, tally: Tally, so_far: RoundSoFar) -> list[Reply]:
        """Return the replies of the average, in the order of the hospitals."""
        if so_far.aggregated is not None:
            return self._decided("train", number, so_far.aggregated[0], tally, so_far)
        quorum, last = self._rules.quorum_of(len(self._driver.hospitals)), so_far.attempt + self._rules.attempts - 1
        while True:
            self.journal.note(
                "round-opened", round=number, attempt=so_far.attempt, weights_sha256=weights_digest(weights)
            )
            accepted = self._collecting.gather("train", number, weights, weights, tally, so_far)
            self._note_late(number, tally)
            self._put_outliers_aside(number, weights, accepted, tally, so_far)
            if len(accepted) >= quorum:
                return [accepted[site] for site in sorted(accepted)]
            reasons = tally.reasons()
            self.journal.note(
                "round-below-quorum", round=number, attempt=so_far.attempt, accepted=len(accepted), needed=quorum
            )
            if so_far.attempt >= last:
                raise FederationError(
                    f"round {number} has no quorum: {len(accepted)} of {len(self._driver.hospitals)} hospitals, "
                    f"{quorum} needed",
                    value=reasons,
                    fix="Mend those hospitals and run again; the rounds before this one are kept.",
                )
            so_far.attempt += 1
            so_far.set_aside.clear()
            tally.try_again()
            self._driver.tell("repeated", number, detail=f"attempt {so_far.attempt}")

    def _decided(
        self, kind: str, number: int, hospitals: Sequence[int], tally: Tally, so_far: RoundSoFar
    ) -> list[Reply]:
        """Return exactly the replies that the ledger says are in the average."""
        found = self._collecting.restored(kind, number, so_far)
        lost = sorted(set(hospitals) - set(found))
        if lost:
            raise FederationError(
                "accepted replies are not on disk as they were written",
                value=f"round {number}, hospitals {lost}",
                fix="Restore the run's folder from a copy.",
            )
        replies = [found[site] for site in sorted(hospitals)]
        list(tally.weighed(iter(replies)))
        tally.met(hospitals)
        for setback in so_far.set_aside.get(kind, []):
            tally.met([setback.site])
            tally.note(setback)
        return replies

    def _put_outliers_aside(
        self, number: int, weights: Arrays, accepted: dict[int, Reply], tally: Tally, so_far: RoundSoFar
    ) -> None:
        known = {setback.site for setback in so_far.set_aside.get("train", [])}
        for setback in outliers(self._collecting.lengths(number, accepted, weights), self._rules):
            del accepted[setback.site]
            if setback.site not in known:
                self._collecting.put_aside("train", number, setback, tally, so_far)

    def _combined(self, number: int, weights: Arrays, updates: list[Reply], tally: Tally, so_far: RoundSoFar) -> Arrays:
        if self._plan.privacy is None:
            tally.opposed = opposed(updates, weights, least_cohort=self._rules.least_cohort)
        combined = self._driver.averaging.combine(number, weights, updates)
        if self._plan.batch_norm == "frozen":  # exactly as they were, whatever was sent and however it was rounded
            combined |= {name: array for name, array in weights.items() if is_running_statistic(name)}
        digest = weights_digest(combined)
        if so_far.aggregated is None:
            self.journal.note(
                "round-aggregated",
                round=number,
                hospitals=[reply.site for reply in updates],
                weights_sha256=digest,
                opposed=[asdict(each) for each in tally.opposed],
            )
            for each in tally.opposed:
                self._driver.tell("opposed", number, site=each.site, detail=each.sentence)
        elif so_far.aggregated[1] != digest:
            raise FederationError(
                "the average is not the one in the ledger",
                value=f"round {number}: {digest[:16]}, not {so_far.aggregated[1][:16]}",
                fix="Resume with the version of Eyebright that wrote it.",
            )
        if self._plan.batch_norm != "re-estimate":
            return combined
        return combined | self._measured(number, combined, tally, so_far)

    def _measured(self, number: int, weights: Arrays, tally: Tally, so_far: RoundSoFar) -> Arrays:
        """Return batch statistics measured under the averaged student, pooled; none where nobody measured."""
        expected = {name: array for name, array in weights.items() if is_running_statistic(name)}
        if not expected:
            return {}
        if so_far.measured is None:
            accepted = self._collecting.gather("statistics", number, weights, expected, tally, so_far)
            replies = [accepted[site] for site in sorted(accepted)]
            self.journal.note("round-measured", round=number, hospitals=sorted(accepted))
        else:
            replies = self._decided("statistics", number, so_far.measured, tally, so_far)
        pooled = pooled_moments(replies) if replies else {}
        return {name: array.astype(weights[name].dtype) for name, array in pooled.items()}

    def _evaluate(
        self, number: int, weights: Arrays, tally: Tally, so_far: RoundSoFar
    ) -> tuple[Validation, tuple[int, ...]]:
        usable: list[Reply] = []
        asked = self._driver.hospitals.ask(
            "evaluate", plan=self._plan, round_number=number, arrays=weights, skip=tally.suspended
        )
        for reply in tally.weighed(asked):
            setback = no_answer(reply) or set_aside_counts(
                reply,
                plan_digest=self._plan.digest(),
                round_number=number,
                declared_rows=self._collecting.rows.get(reply.site, (0, 0))[1],
            )
            if setback is None:
                usable.append(reply)
                self._driver.tell("evaluated", number, site=reply.site)
            elif reply.site not in tally.set_aside_sites():
                self._collecting.put_aside("evaluate", number, setback, tally, so_far)
        usable.sort(key=lambda reply: reply.site)
        validation = pool(usable, task=get_task(self._plan.task))
        for setback in validation.set_aside:
            self._collecting.put_aside("evaluate", number, setback, tally, so_far)
        tally.beats_own = {reply.site: word for reply in usable if (word := _beats_own(reply))}
        return validation, tuple(validation.site_metrics)

    def _note_late(self, number: int, tally: Tally) -> None:
        for setback in self._driver.hospitals.late():
            tally.late.append(setback.site)
            self.journal.note("reply-late", round=number, hospital=setback.site, detail=setback.detail)
            self._driver.tell("late", number, site=setback.site, detail=setback.detail)

    def _tell_of(self, kind: str, number: int, about: Setback | int) -> None:
        if isinstance(about, int):
            self._driver.tell(kind, number, site=about)
            return
        kind = "refused" if about.reason == "plan_refused" else "set_aside"
        self._driver.tell(kind, number, site=about.site, detail=f"{about.reason} {about.detail}".strip())


def _read_counts(counts: Mapping[int, Mapping[str, list[int]]], task: ScreeningTask) -> dict[int, EvaluationCounts]:
    return {site: EvaluationCounts.from_dict(one, task=task) for site, one in counts.items()}


def _beats_own(reply: Reply) -> str | None:
    said = reply.numbers.get(exchange.BEATS_OWN)
    known = {int(word): word.name.lower() for word in BeatsOwn}
    return known.get(said) if isinstance(said, int) else None
