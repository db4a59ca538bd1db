"""How well a score puts the ill above the healthy, for many resamples at once.

Legend: a resample gives each group g a count w_g; a case i carries the count of its group, w_i = w_g(i).

* AUROC = sum over positives i of w_i (B_i + T_i / 2) / (W+ W-): B_i is the weight of the negatives below i, T_i of
  those tied with it (Mann and Whitney 1947). The order of the scores never changes between resamples, so it is found
  once and a resample costs one cumulative sum.
* Sensitivity at specificity s: the best sensitivity of all thresholds whose specificity is at least s. The lowest such
  threshold lies just above the first negative, from below, at which the negatives so far weigh s W-; a positive tied
  with that negative is not found. It describes the curve of *these* cases: no threshold is chosen that could ship.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyebright_learning.evaluation.cases import Floats, Integers, Mask

# Sums of whole numbers are exact; a product with 0.9 is not, by less than this.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """Scores in order, ready to be weighed.

    Attributes:
        positive_groups: Group of each positive, by rising score, ``[P]``.
        negative_groups: Group of each negative, by rising score, ``[M]``.
        below: For each positive, how many negatives have a lower score, ``[P]``.
        up_to: For each positive, how many negatives have a lower or the same score, ``[P]``.
        found_from: For each negative, how many positives have a lower or the same score, ``[M]``.
    """

    positive_groups: Integers
    negative_groups: Integers
    below: Integers
    up_to: Integers
    found_from: Integers

    @classmethod
    def of(cls, score: Floats, positive: Mask, groups: Integers) -> Ranking:
        """Return the ranking of scores ``[N]`` with truths ``[N]`` and groups ``[N]``."""
        order = np.argsort(score, kind="stable")
        ill, well = order[positive[order]], order[~positive[order]]
        return cls(
            positive_groups=groups[ill],
            negative_groups=groups[well],
            below=np.searchsorted(score[well], score[ill], side="left"),
            up_to=np.searchsorted(score[well], score[ill], side="right"),
            found_from=np.searchsorted(score[ill], score[well], side="right"),
        )

    def auroc(self, counts: Floats) -> Floats:
        """Return the area under the ROC curve of each resample ``[R, G]``, ``[R]``; NaN without both kinds."""
        passed = _running(counts, self.negative_groups)
        weight = np.take(counts, self.positive_groups, axis=1)
        won = np.take(passed, self.below, axis=1)
        won += np.take(passed, self.up_to, axis=1)
        return shares(np.einsum("rp,rp->r", weight, won) / 2.0, weight.sum(axis=1) * passed[:, -1])

    def sensitivity_at(self, specificity: float, counts: Floats) -> Floats:
        """Return the best sensitivity at no less than ``specificity`` of each resample ``[R, G]``, ``[R]``."""
        passed = _running(counts, self.negative_groups)
        missed = _running(counts, self.positive_groups)
        if not len(self.negative_groups):
            return np.full(len(counts), np.nan)
        enough = passed[:, 1:] >= specificity * passed[:, -1:] - _ROUNDING
        first = self.found_from[np.argmax(enough, axis=1)]
        found = missed[:, -1] - np.take_along_axis(missed, first[:, None], axis=1)[:, 0]
        return np.asarray(np.where(passed[:, -1] > 0, shares(found, missed[:, -1]), np.nan))


def shares(part: Floats, whole: Floats) -> Floats:
    """Return ``part / whole``, NaN where there is no whole."""
    empty = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    return np.asarray(np.divide(part, whole, out=empty, where=whole > 0))


def _running(counts: Floats, groups: Integers) -> Floats:
    """Return the weight of the first 0, 1, … cases, ``[R, N + 1]``."""
    total = np.zeros((len(counts), len(groups) + 1))
    np.cumsum(np.take(counts, groups, axis=1), axis=1, out=total[:, 1:])
    return total
