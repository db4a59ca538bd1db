"""What a study measures, on every resample of the patients.

* A resample draws G groups out of G with replacement; a picture counts as often as its group was drawn. The statistics
  are those of ``eyebright_learning.evaluation``, so a study and an evaluation cannot mean different things by a name.
* The first row is all ones: the pictures as they are. All models are measured on the same rows, so models are compared
  within each resample by simply subtracting, also after averaging over seeds.
* What is not defined in a resample (a class that was not drawn) is NaN there.
"""

from __future__ import annotations

import numpy as np

from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation import Cases, Criteria
from eyebright_learning.evaluation.cases import Floats
from eyebright_learning.evaluation.estimates import group_draws
from eyebright_learning.evaluation.statistics import measure_of

_CHUNK = 64  # resamples at a time: memory stays at a few arrays of 64 x N


def cluster_draws(group_count: int, *, replicates: int, seed: int) -> Floats:
    """Return how often each group counts in each resample, ``[1 + replicates, G]``; the first row is all ones."""
    drawn = group_draws(group_count, replicates=replicates, seed=seed, at_once=replicates)
    return np.concatenate([np.ones((1, group_count)), *drawn])


def metric_names(task: ScreeningTask) -> tuple[str, ...]:
    """Return the names of what is measured, in the order of the tables."""
    recalls = tuple(f"recall.{name}" for name in task.classes)
    return ("balanced_accuracy", "macro_auroc", "referable.auroc", "ece", *recalls)


def resampled_metrics(cases: Cases, draws: Floats) -> dict[str, Floats]:
    """Return each metric on each resample ``[R, G]``, ``[R]`` by name."""
    measure = measure_of(cases, Criteria())
    parts = [measure(draws[start : start + _CHUNK]) for start in range(0, len(draws), _CHUNK)]
    return {name: np.concatenate([part[name] for part in parts]) for name in metric_names(cases.task)}
