"""One arm from its first round to its result on the test patients; nothing measured there chooses anything."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from safetensors.numpy import save_file

from eyebright_common.tasks import get_task
from eyebright_learning.evaluation import EvaluationCounts
from eyebright_learning.models import count_parameters
from eyebright_server.federation import FederationEvent, FederationResult
from eyebright_simulations.network.arms import Arm
from eyebright_simulations.network.context import Context, Update
from eyebright_simulations.network.dataset import Dataset
from eyebright_simulations.network.measure import measured, save_predictions
from eyebright_simulations.network.training import run_arm, student_with
from eyebright_simulations.network.workspace import Facts


def train_and_measure(context: Context, *, arm: Arm, backend: str) -> Facts:
    """Run an arm, or finish one that was cut short, and measure its best student."""
    plan, result = run_arm(context, arm, backend=backend, on_event=partial(_show, context.update, arm))
    dataset = Dataset.load(context.out / "work")
    student = student_with(context, result.weights)
    save_file(dict(sorted(result.weights.items())), context.out / "arms" / arm.name / "student.safetensors")
    task = get_task(plan.task)
    counts = {
        "+".join(dataset.hospitals[holder] for holder in arm.holders[site]): EvaluationCounts.from_dict(one, task=task)
        for site, one in result.counts.items()
    }
    measure = measured(student, dataset, task, counts)
    save_predictions(context.out, arm.name, measure.probabilities)
    return {
        "plan": plan.model_dump(mode="json"),
        "plan_digest": plan.digest(),
        "parameters": count_parameters(student),
        "best_round": result.best_round,
        "temperature": result.temperature,
        "rounds": _rounds(result),
        **measure.facts,
    }


def _rounds(result: FederationResult) -> list[dict[str, Any]]:
    # JSON keys are strings; hospital numbers become them here, once.
    return [
        {
            name: {str(key): inner for key, inner in value.items()} if isinstance(value, dict) else value
            for name, value in asdict(record).items()
        }
        for record in result.rounds
    ]


def _show(update: Update, arm: Arm, event: FederationEvent) -> None:
    if event.kind in {"tempered", "calibrated"}:
        update(1.0, f"{arm.name.replace('_', ' ')}: calibration, {event.detail}")
        return
    within = (event.site or 0) / (len(arm.holders) + 1) if event.kind == "trained" else 0.0
    finished = event.round if event.kind == "round_finished" else event.round - 1 + within
    note = f"{arm.name.replace('_', ' ')}: round {event.round} of {event.rounds}"
    if event.record is not None and event.record.metrics.get("balanced_accuracy") is not None:
        note += f", validation {100 * event.record.metrics['balanced_accuracy']:.1f} %"
    update(finished / event.rounds, note)
