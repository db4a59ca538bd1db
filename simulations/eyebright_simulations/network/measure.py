"""Measuring one model on the hospitals' test patients.

* Thresholds come from validation counts; a test picture never chooses anything.
* Predictions are kept on disk, so that paired intervals can be computed between any two models later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyebright_common.durable import replacing
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation import EvaluationCounts, choose_threshold, metrics, predict, softmax
from eyebright_learning.models import Student, Teacher
from eyebright_simulations.network.dataset import TEST, VALIDATION, Dataset
from eyebright_simulations.network.workspace import Facts

Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A model on the test patients.

    Attributes:
        facts: ``test`` and ``validation`` metrics, ``site_validation`` by hospital, and the ``threshold`` with its
            provenance.
        probabilities: ``[N, C]``, in the order of ``Dataset.part(None, TEST)``.
    """

    facts: Facts
    probabilities: Probabilities


def measured(
    model: Student | Teacher,
    dataset: Dataset,
    task: ScreeningTask,
    counts: Mapping[str, EvaluationCounts],
    *,
    temperature: float = 1.0,
) -> Measured:
    """Measure a model on the test patients.

    Args:
        model: What to measure.
        dataset: Where the test patients are.
        task: What is screened for.
        counts: Its validation counts, by hospital; the threshold is chosen on their sum.
        temperature: Of calibration.
    """
    parts = list(counts.values())
    pooled = sum(parts[1:], start=parts[0])
    threshold = choose_threshold(pooled, source="pooled hospital validation")
    test = dataset.part(None, TEST)
    probabilities = softmax(predict(model, test.pixels), temperature=temperature)
    facts = {
        "test": metrics(probabilities, test.labels, task=task, threshold=threshold.value),
        "validation": pooled.metrics(task=task, threshold=threshold.value),
        "site_validation": {
            name: one.metrics(task=task, threshold=threshold.value) for name, one in sorted(counts.items())
        },
        "threshold": threshold.to_dict(),
    }
    return Measured(facts=facts, probabilities=probabilities)


def validation_counts(
    model: Student | Teacher, dataset: Dataset, task: ScreeningTask, holders: Sequence[int], *, temperature: float
) -> dict[str, EvaluationCounts]:
    """Count a model that no federation evaluated (the teacher) on hospitals' validation pictures."""
    counts = {}
    for holder in holders:
        part = dataset.part(holder, VALIDATION)
        probabilities = softmax(predict(model, part.pixels), temperature=temperature)
        counts[dataset.hospitals[holder]] = EvaluationCounts.of(probabilities, part.labels, task=task)
    return counts


def save_predictions(out: Path, name: str, probabilities: Probabilities) -> None:
    """Keep a model's probabilities on the test patients."""
    with replacing(out / "predictions" / f"{name}.npy") as file:
        np.save(file, probabilities, allow_pickle=False)


def load_predictions(out: Path, name: str) -> Probabilities:
    """Return what ``save_predictions`` kept."""
    result: Probabilities = np.load(out / "predictions" / f"{name}.npy", allow_pickle=False)
    return result
