"""The round driver: train everywhere, gate, average, evaluate everywhere, write down.

* It knows hospitals only through ``Hospitals`` and averaging only through ``Averaging``; both are Flower's in
  production and values in tests.
* Replies are sorted by hospital number before anything is computed from them, so the order of arrival changes nothing.
* A hospital that refuses, fails, answers late or answers badly is written down with its reason, and the round goes on.
  Below the quorum (half of the hospitals, at least one) the run stops with every hospital's reason, the model
  unchanged; a later run resumes there.
* BatchNorm running means and variances are averaged as weights. Pooled moments (the variance *between* hospitals) are
  the better rule and belong in ``Averaging`` when camera differences call for them.
* The state of round *r* depends on nothing but the state of round *r-1*, the plan and the hospitals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from eyebright_common import exchange
from eyebright_common.errors import FederationError
from eyebright_common.exchange import Refusal
from eyebright_common.plan import Plan
from eyebright_common.tasks import get_task
from eyebright_server.federation.checkpoint import Checkpoint, RunState, weights_digest
from eyebright_server.federation.gate import set_aside_counts, set_aside_update
from eyebright_server.federation.records import (
    UNIDENTIFIED,
    Arrays,
    FederationEvent,
    FederationResult,
    Reply,
    RoundRecord,
    Setback,
)
from eyebright_server.federation.tally import Tally
from eyebright_server.federation.validation import Validation, best_round, pool


class Hospitals(Protocol):
    """All hospitals of a run, reached over some transport."""

    def __len__(self) -> int:
        """Number of hospitals."""

    def ask(self, kind: str, *, plan: Plan, round_number: int, arrays: Arrays | None) -> Iterator[Reply]:
        """Ask every hospital and yield one reply each, as they arrive; the last ones may say that none came."""


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
        on_event: Told of every step, from the thread that runs the rounds.
        clock: Seconds, monotonic.
    """

    plan: Plan
    hospitals: Hospitals
    averaging: Averaging
    checkpoint: Checkpoint
    on_event: Callable[[FederationEvent], None] = lambda event: None
    clock: Callable[[], float] = time.monotonic
    _rows: dict[int, tuple[int, int]] = field(default_factory=dict)

    def run(self, initial: Arrays) -> FederationResult:
        """Run the rounds that are still to do and return the whole run.

        Raises:
            FederationError: a round had no quorum, or the checkpoint cannot be used.
        """
        state = self.checkpoint.load()
        resumed_after = state.records[-1].round if state else 0
        if state:
            self.averaging.restore(state.strategy)
            self._tell("resumed", resumed_after)
        for number in range(resumed_after + 1, self.plan.rounds + 1):
            state = self._round(number, state, state.weights if state else initial)
            self.checkpoint.save(state)
            self._tell("round_finished", number, record=state.records[-1])
        assert state is not None, "a plan has at least one round"
        return FederationResult(
            rounds=state.records,
            best_round=state.best_round,
            weights=state.best_weights,
            counts=state.best_counts,
            final_weights=state.weights,
            resumed_after=resumed_after,
        )

    def _round(self, number: int, before: RunState | None, weights: Arrays) -> RunState:
        started = self.clock()
        self._tell("round_started", number)
        tally = Tally()
        self._meet(number, tally)
        updates = self._train(number, weights, tally)
        weights = self.averaging.combine(number, weights, updates)
        self._tell("aggregated", number)
        validation, evaluated = self._evaluate(number, weights, tally)
        record = tally.record(number, updates, validation, evaluated, weights_digest(weights), self.clock() - started)
        records = (*(before.records if before else ()), record)
        best = best_round(records)
        return RunState(
            records=records,
            weights=weights,
            best_round=best,
            best_weights=weights if before is None or best == number else before.best_weights,
            best_counts=validation.site_counts if before is None or best == number else before.best_counts,
            strategy=self.averaging.state(),
        )

    def _meet(self, number: int, tally: Tally) -> None:
        """Ask hospitals for their numbers of rows until every one of them has answered once."""
        if len(self._rows) == len(self.hospitals):
            return
        for reply in tally.weighed(self.hospitals.ask("query", plan=self.plan, round_number=number, arrays=None)):
            rows = [reply.numbers.get(key) for key in (exchange.TRAIN_ROWS, exchange.VALIDATION_ROWS)]
            if reply.site != UNIDENTIFIED and isinstance(rows[0], int) and isinstance(rows[1], int):
                self._rows[reply.site] = (rows[0], rows[1])

    def _train(self, number: int, weights: Arrays, tally: Tally) -> list[Reply]:
        accepted: list[Reply] = []
        asked = self.hospitals.ask("train", plan=self.plan, round_number=number, arrays=weights)
        for reply in tally.weighed(asked):
            tally.participants.append(reply.site)
            setback = _no_answer(reply) or set_aside_update(
                reply,
                sent=weights,
                plan_digest=self.plan.digest(),
                round_number=number,
                declared_rows=self._rows.get(reply.site, (0, 0))[0],
            )
            if setback is None:
                accepted.append(reply)
                self._tell("trained", number, site=reply.site)
            else:
                self._set_aside(number, setback, tally)
        accepted.sort(key=lambda reply: reply.site)
        quorum = max(1, (len(self.hospitals) + 1) // 2)
        if len(accepted) < quorum:
            raise FederationError(
                f"round {number} has no quorum: {len(accepted)} of {len(self.hospitals)} hospitals, {quorum} needed",
                value=tally.reasons(),
                fix="Mend those hospitals and run again; the rounds before this one are kept.",
            )
        return accepted

    def _evaluate(self, number: int, weights: Arrays, tally: Tally) -> tuple[Validation, tuple[int, ...]]:
        usable: list[Reply] = []
        for reply in tally.weighed(self.hospitals.ask("evaluate", plan=self.plan, round_number=number, arrays=weights)):
            setback = _no_answer(reply) or set_aside_counts(
                reply,
                plan_digest=self.plan.digest(),
                round_number=number,
                declared_rows=self._rows.get(reply.site, (0, 0))[1],
            )
            if setback is None:
                usable.append(reply)
                self._tell("evaluated", number, site=reply.site)
            elif reply.site not in tally.set_aside_sites():
                self._set_aside(number, setback, tally)
        usable.sort(key=lambda reply: reply.site)
        validation = pool(usable, task=get_task(self.plan.task))
        for setback in validation.set_aside:
            self._set_aside(number, setback, tally)
        return validation, tuple(validation.site_metrics)

    def _set_aside(self, number: int, setback: Setback, tally: Tally) -> None:
        refused = setback.reason == "plan_refused"
        (tally.refused if refused else tally.quarantined).append(setback)
        detail = f"{setback.reason} {setback.detail}".strip()
        self._tell("refused" if refused else "set_aside", number, site=setback.site, detail=detail)

    def _tell(
        self, kind: str, number: int, *, site: int | None = None, record: RoundRecord | None = None, detail: str = ""
    ) -> None:
        self.on_event(
            FederationEvent(kind=kind, round=number, rounds=self.plan.rounds, site=site, record=record, detail=detail)
        )


def _no_answer(reply: Reply) -> Setback | None:
    if reply.error_code is None:
        return None
    known = {int(code): code.name.lower() for code in Refusal}
    return Setback(site=reply.site, reason=known.get(reply.error_code, "no_answer"), detail=reply.error[:200])
