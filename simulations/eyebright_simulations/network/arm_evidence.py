"""Every compared model on the same test patients: matrix, curves, and how sure the differences are.

Differences are paired: in each resample of patients both models are measured on the same pictures, so what is hard in a
resample is hard for both.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from eyebright_common.tasks import ScreeningTask
from eyebright_learning.data import PreparedImages
from eyebright_learning.evaluation import (
    Interval,
    bootstrap_interval,
    confusion_matrix,
    referable_score,
    reliability,
    roc_points,
)
from eyebright_learning.evaluation.metrics import confusion_metrics
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.dataset import TEST, Dataset
from eyebright_simulations.network.measure import Probabilities, load_predictions
from eyebright_simulations.network.result import best_local
from eyebright_simulations.report import ArmEvidence, ArmName

_REPLICATES = 1000

Rows = NDArray[np.int64]


def arm_evidence(context: Context, dataset: Dataset, task: ScreeningTask) -> dict[ArmName, ArmEvidence]:
    """Return the evidence of the student and of everything it is compared with."""
    test = dataset.part(None, TEST)
    best = best_local(context.facts["comparison"])[0]
    files = {
        ArmName.STUDENT: "federated",
        ArmName.TEACHER: "teacher",
        ArmName.BEST_LOCAL: f"local-{best + 1}",
        ArmName.POOLED: "pooled",
        ArmName.NO_DISTILLATION: "no_distillation",
    }
    notes = {
        ArmName.BEST_LOCAL: f"{dataset.hospitals[best]}, best of all on the test patients",
        ArmName.TEACHER: "trained on the operator's share",
    }
    student = load_predictions(context.out, files[ArmName.STUDENT])
    evidence = {}
    for arm, name in files.items():
        own = load_predictions(context.out, name)
        evidence[arm] = ArmEvidence(
            confusion=confusion_matrix(own.argmax(axis=1), test.labels, len(task.classes)).tolist(),
            roc=roc_points(referable_score(own, task), np.asarray(task.referable_mask)[test.labels]),
            reliability=reliability(own, test.labels),
            intervals=_intervals(task, test, own, None),
            student_minus={} if arm is ArmName.STUDENT else _intervals(task, test, student, own),
            note=notes.get(arm, ""),
        )
    return evidence


def _intervals(
    task: ScreeningTask, test: PreparedImages, one: Probabilities, other: Probabilities | None
) -> dict[str, Interval]:
    answers = [model.argmax(axis=1) for model in ((one,) if other is None else (one, other))]
    statistic = partial(_balanced_accuracy, task, test.labels, answers)
    interval = bootstrap_interval(statistic, test.groups, replicates=_REPLICATES)
    return {} if interval is None else {"balanced_accuracy": interval}


def _balanced_accuracy(task: ScreeningTask, labels: Rows, answers: list[Rows], rows: Rows) -> float | None:
    """Return the balanced accuracy of one model on some pictures, or by how much it is above another's there."""
    classes = len(task.classes)
    values = [
        confusion_metrics(confusion_matrix(answer[rows], labels[rows], classes), task)["balanced_accuracy"]
        for answer in answers
    ]
    if any(value is None for value in values):
        return None
    return float(values[0] if len(values) == 1 else values[0] - values[1])
