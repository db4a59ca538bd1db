"""When a run is over, why, and what it gives back."""

from __future__ import annotations

from eyebright_common.plan import Plan
from eyebright_common.privacy_cost import epsilon_of
from eyebright_server.federation.checkpoint import Checkpoint, RunState
from eyebright_server.federation.records import FederationResult
from eyebright_server.federation.rules import RoundRules


def finished_run(checkpoint: Checkpoint, plan: Plan, rules: RoundRules) -> FederationResult | None:
    """Return the run in ``checkpoint`` when no further round follows, or None."""
    state = checkpoint.load()
    if state is None or (rules.calibrate and state.calibration is None):
        return None
    why = over(state, plan, rules)
    return result_of(state, state.records[-1].round, why) if why is not None else None


def result_of(state: RunState, resumed_after: int, ended: str) -> FederationResult:
    """Return what a run gives back."""
    return FederationResult(
        rounds=state.records,
        best_round=state.best_round,
        weights=state.student,
        counts=state.counts,
        final_weights=state.weights,
        resumed_after=resumed_after,
        ended=ended,
        temperature=state.calibration.temperature if state.calibration else 1.0,
    )


def over(state: RunState | None, plan: Plan, rules: RoundRules) -> str | None:
    """Return why no further round follows ``state``, or None when one does."""
    done = state.records[-1].round if state else 0
    if done >= plan.rounds:
        return "all_rounds"
    if rules.round_budget is not None and done >= rules.round_budget:
        return "round_budget"
    if state is not None and rules.patience and done - state.best_round >= rules.patience:
        return "no_improvement"
    if plan.privacy is not None and epsilon_of(done + 1, plan.privacy) > plan.privacy.max_epsilon:
        return "privacy_budget"
    return None
