"""Every metric on every resample of the patients, in one pass over the pictures.

* A resample draws G groups out of G with replacement; a picture then counts as often as its group was drawn. So a
  resample is a row of whole numbers ``[G]``, and a metric of a resample is the same metric with weights.
* The first row is all ones: the pictures as they are. Where it is defined its value is that of ``evaluation.metrics``.
* All models are measured on the same rows, so differences between models are paired by simply subtracting.
* What is not defined in a resample (a class that was not drawn) is NaN there and None in the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation import referable_score
from eyebright_learning.evaluation.calibration import BINS, confidence_bin

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_CHUNK = 64  # resamples at a time: memory stays at a few arrays of 64 x N


def cluster_draws(group_count: int, *, replicates: int, seed: int) -> Floats:
    """Return how often each group counts in each resample, ``[1 + replicates, G]``; the first row is all ones."""
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = generator.multinomial(group_count, np.full(group_count, 1.0 / group_count), size=replicates)
    return np.concatenate([np.ones((1, group_count)), drawn.astype(np.float64)])


def metric_names(task: ScreeningTask) -> tuple[str, ...]:
    """Return the names of what is measured, in the order of the tables."""
    recalls = tuple(f"recall.{name}" for name in task.classes)
    return ("balanced_accuracy", "macro_auroc", "referable_auroc", "ece", *recalls)


def resampled_metrics(
    probabilities: Floats, labels: Integers, groups: Integers, draws: Floats, task: ScreeningTask
) -> dict[str, Floats]:
    """Return each metric on each resample, ``[1 + replicates]`` by name.

    Args:
        probabilities: ``[N, C]``.
        labels: ``[N]``.
        groups: Group of each picture, 0 … G-1, ``[N]``.
        draws: From ``cluster_draws``, ``[R, G]``.
        task: Names the classes and says which are referable.
    """
    classes = len(task.classes)
    recall = _recalls(probabilities.argmax(axis=1) == labels, labels, groups, draws, classes)
    aurocs = [weighted_auroc(probabilities[:, c], labels == c, groups, draws) for c in range(classes)]
    positive = np.asarray(task.referable_mask)[labels]
    values = {
        "balanced_accuracy": mean_defined(recall),
        "macro_auroc": mean_defined(aurocs),
        "referable_auroc": weighted_auroc(referable_score(probabilities, task), positive, groups, draws),
        "ece": _calibration_error(probabilities, labels, groups, draws),
    }
    return values | {f"recall.{name}": recall[c] for c, name in enumerate(task.classes)}


def weighted_auroc(score: Floats, positive: NDArray[np.bool_], groups: Integers, draws: Floats) -> Floats:
    """Return the area under the ROC curve on each resample, ties counting half; NaN without both kinds.

    With weights u of positives and v of negatives, sorted by score and summed within ties,

        A = sum_i u_i (V_below(i) + v_i / 2) / (sum u · sum v)
    """
    order = np.argsort(score, kind="stable")
    ties = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0)
    area = np.empty(len(draws))
    for start in range(0, len(draws), _CHUNK):
        weight = draws[start : start + _CHUNK][:, groups[order]]
        u = np.add.reduceat(weight * positive[order], ties, axis=1)
        v = np.add.reduceat(weight * ~positive[order], ties, axis=1)
        won = (u * (np.cumsum(v, axis=1) - 0.5 * v)).sum(axis=1)
        area[start : start + _CHUNK] = _divided(won, u.sum(axis=1) * v.sum(axis=1))
    return area


def mean_defined(values: Sequence[Floats]) -> Floats:
    """Return the mean over those that are defined on a resample, NaN where none is."""
    stacked = np.asarray(values, dtype=np.float64)
    known = np.isfinite(stacked)
    return _divided(np.where(known, stacked, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def _recalls(right: NDArray[np.bool_], labels: Integers, groups: Integers, draws: Floats, classes: int) -> list[Floats]:
    count = draws.shape[1]
    found = [np.bincount(groups, weights=right & (labels == c), minlength=count) for c in range(classes)]
    there = [np.bincount(groups, weights=labels == c, minlength=count) for c in range(classes)]
    return [_divided(draws @ f, draws @ t) for f, t in zip(found, there, strict=True)]


def _calibration_error(probabilities: Floats, labels: Integers, groups: Integers, draws: Floats) -> Floats:
    confidence = probabilities.max(axis=1)
    surplus = confidence - (probabilities.argmax(axis=1) == labels)
    cell = groups * BINS + confidence_bin(confidence)
    table = np.bincount(cell, weights=surplus, minlength=draws.shape[1] * BINS).reshape(-1, BINS)
    sizes = np.bincount(groups, minlength=draws.shape[1]).astype(np.float64)
    # Within a bin the gap between mean confidence and accuracy, times its pictures, is the sum of the surpluses.
    return _divided(np.abs(draws @ table).sum(axis=1), draws @ sizes)


def _divided(part: Floats, whole: Floats) -> Floats:
    result: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return result
