"""Every statistic of a set of cases, for many resamples at once.

* A resample is a row of counts, one per group. All statistics are functions of weighted tables (answers, confidence
  bins, rates at the threshold) or of weighted rankings, so no picture is ever copied: tables of all resamples are one
  matrix product.
* The figure itself is the same function at the counts 1, 1, …; an interval can never belong to another definition.
* What is not defined in a resample (a class was not drawn) is NaN there, and None where a person reads it.

Names are flat: ``balanced_accuracy``, ``recall.glaucoma``, ``referable.sensitivity``, ``referable.ppv@0.05``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from eyebright_learning.evaluation.calibration import BINS, confidence_bin
from eyebright_learning.evaluation.cases import Cases, Criteria, Floats, Integers
from eyebright_learning.evaluation.predictive_values import negative_predictive_value, positive_predictive_value
from eyebright_learning.evaluation.ranking import Ranking, shares

Statistics = dict[str, Floats]
Measure = Callable[[Floats], Statistics]


def measure_of(cases: Cases, criteria: Criteria) -> Measure:
    """Return the function from counts ``[R, G]`` to every statistic, each ``[R]``."""
    parts = (_answers(cases, criteria), _calibration(cases), _rankings(cases, criteria), _rates(cases, criteria))

    def measure(counts: Floats) -> Statistics:
        return {name: values for part in parts for name, values in part(counts).items()}

    return measure


def quadratic_kappa(confusion: Floats) -> Floats:
    """Return Cohen's kappa with quadratic weights (Cohen 1968) of tables ``[R, C, C]``, ``[R]``.

    kappa = 1 - sum_ij d_ij O_ij / sum_ij d_ij E_ij, with d_ij = (i - j)^2, O the table and E the product of its
    margins over its total. NaN where truth or answers hold one grade only and agree.
    """
    grade = np.arange(confusion.shape[-1], dtype=np.float64)
    distance = (grade[:, None] - grade[None, :]) ** 2
    total = confusion.sum(axis=(1, 2))
    observed = (confusion * distance).sum(axis=(1, 2)) * total
    expected = np.einsum("ri,rj,ij->r", confusion.sum(axis=2), confusion.sum(axis=1), distance)
    return np.asarray(1.0 - shares(observed, expected))


def _answers(cases: Cases, criteria: Criteria) -> Measure:
    classes, C = cases.task.classes, len(cases.task.classes)
    table = _by_group(cases.groups, cases.labels * C + cases.probabilities.argmax(axis=1), C * C)

    def measure(counts: Floats) -> Statistics:
        confusion = _summed(counts, table).reshape(-1, C, C)
        right = np.einsum("rcc->rc", confusion)
        truth, answered = confusion.sum(axis=2), confusion.sum(axis=1)
        recall, precision = shares(right, truth), shares(right, answered)
        # A class without pictures has no F1; one that was never answered has F1 0.
        f1 = np.where(truth > 0, shares(2 * right, truth + answered), np.nan)
        return {
            "accuracy": shares(right.sum(axis=1), truth.sum(axis=1)),
            "balanced_accuracy": _mean_known(recall),
            "macro_f1": _mean_known(f1),
            **{f"recall.{name}": recall[:, c] for c, name in enumerate(classes)},
            **{f"precision.{name}": precision[:, c] for c, name in enumerate(classes)},
            **({"quadratic_kappa": quadratic_kappa(confusion)} if criteria.graded else {}),
        }

    return measure


def _calibration(cases: Cases) -> Measure:
    confidence = cases.probabilities.max(axis=1, initial=0.0)
    right = cases.probabilities.argmax(axis=1) == cases.labels
    gap = _by_group(cases.groups, confidence_bin(confidence), BINS, weights=confidence - right)
    number = _by_group(cases.groups, np.zeros(len(cases), dtype=np.int64), 1)

    def measure(counts: Floats) -> Statistics:
        # n_b |confidence_b - accuracy_b| is the absolute sum of (confidence - right) over the bin.
        return {"ece": shares(np.abs(_summed(counts, gap)).sum(axis=1), _summed(counts, number)[:, 0])}

    return measure


def _rankings(cases: Cases, criteria: Criteria) -> Measure:
    classes, p = cases.task.classes, cases.probabilities
    each = [Ranking.of(p[:, c], cases.labels == c, cases.groups) for c in range(len(classes))]
    referral = Ranking.of(cases.score, cases.positive, cases.groups)

    def measure(counts: Floats) -> Statistics:
        areas = np.stack([ranking.auroc(counts) for ranking in each], axis=1)
        return {
            "macro_auroc": _mean_known(areas),
            **{f"auroc.{name}": areas[:, c] for c, name in enumerate(classes)},
            "referable.auroc": referral.auroc(counts),
            "referable.sensitivity_at_specificity": referral.sensitivity_at(criteria.min_specificity, counts),
        }

    return measure


def _rates(cases: Cases, criteria: Criteria) -> Measure:
    if criteria.threshold is None:
        return lambda counts: {}
    referred = cases.score >= criteria.threshold
    table = _by_group(cases.groups, 2 * cases.positive.astype(np.int64) + referred, 4)

    def measure(counts: Floats) -> Statistics:
        let_go, in_vain, missed, found = _summed(counts, table).T
        sensitivity, specificity = shares(found, found + missed), shares(let_go, let_go + in_vain)
        values = {"referable.sensitivity": sensitivity, "referable.specificity": specificity}
        for share in criteria.prevalences:
            values[f"referable.ppv@{share:g}"] = positive_predictive_value(sensitivity, specificity, share)
            values[f"referable.npv@{share:g}"] = negative_predictive_value(sensitivity, specificity, share)
        return values

    return measure


def _by_group(groups: Integers, cell: Integers, cells: int, weights: Floats | None = None) -> Floats:
    """Return sums per group and cell, ``[G, cells]``."""
    count = int(groups.max(initial=-1)) + 1
    flat = np.bincount(groups * cells + cell, weights=weights, minlength=count * cells)
    return np.asarray(flat.reshape(count, cells), dtype=np.float64)


def _summed(counts: Floats, table: Floats) -> Floats:
    # A part of the cases may lack the last groups of the whole.
    return np.asarray(counts[:, : len(table)] @ table)


def _mean_known(values: Floats) -> Floats:
    """Return the mean over the last axis of what is known; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=1))
