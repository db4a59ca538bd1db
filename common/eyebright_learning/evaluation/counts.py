"""Evaluation as integers: what may leave a hospital, and what can be added up across hospitals.

* Confusion matrix, score histograms per class and for referral, and the confidence bins of calibration. No score of
  a picture or a patient is in it; a bin of a very small set still narrows one down, which is the policy room's matter.
* The histogram's edges are even on the logit scale, because scores crowd at 0 and 1. ``score >= edge`` and
  ``bin >= edge's bin`` are the same statement, so rates at an edge are exact; AUROC is exact up to ties within a bin.
* Sums of confidence are kept in millionths, so that they too are integers and addition does not depend on the order.
* ``metrics`` gives the same dictionary as the room's ``metrics``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from eyebright_common.errors import InputError
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation.calibration import (
    BINS,
    ReliabilityBin,
    confidence_bin,
    expected_calibration_error,
    reliability_bins,
)
from eyebright_learning.evaluation.curves import RocPoints, confusion_matrix
from eyebright_learning.evaluation.metrics import Metrics, confusion_metrics, mean_known, ratio, referable_score

SCORE_BINS = 512
MILLION = 1_000_000
# Lower edge of every bin: 0, then even steps of the logit from -7 to 7.
_LOGITS = np.linspace(-7.0, 7.0, SCORE_BINS - 1)
SCORE_EDGES = np.concatenate([[0.0], 1.0 / (1.0 + np.exp(-_LOGITS))])
_HALF_BIN = (_LOGITS[1] - _LOGITS[0]) / 2
# -log of the score in the middle of each bin.
_SURPRISE = np.log1p(np.exp(-np.concatenate([[_LOGITS[0] - _HALF_BIN], _LOGITS + _HALF_BIN])))

Counts = npt.NDArray[np.int64]


def score_bin(score: npt.NDArray[np.floating]) -> Counts:
    """Return the histogram bin of each score in [0, 1]."""
    return np.searchsorted(SCORE_EDGES, score, side="right").astype(np.int64) - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluationCounts:
    """Integer counts of one evaluation; see the module docstring. Each array is int64.

    Attributes:
        confusion: ``[C, C]``, rows truth, columns answer.
        class_positive: ``[C, 512]``, scores of class c for pictures of class c.
        class_negative: ``[C, 512]``, scores of class c for all others.
        referable_positive: ``[512]``, referable scores of pictures to be referred.
        referable_negative: ``[512]``, of all others.
        confidence_count: ``[15]``, pictures per confidence bin.
        confidence_right: ``[15]``, right answers per confidence bin.
        confidence_millionths: ``[15]``, sum of confidence per bin, in millionths.
    """

    confusion: Counts
    class_positive: Counts
    class_negative: Counts
    referable_positive: Counts
    referable_negative: Counts
    confidence_count: Counts
    confidence_right: Counts
    confidence_millionths: Counts

    @classmethod
    def of(cls, probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, task: ScreeningTask) -> EvaluationCounts:
        """Count probabilities ``[N, C]`` against labels ``[N]``."""
        classes = len(task.classes)
        p = np.asarray(probabilities, dtype=np.float64).reshape(-1, classes)
        y = np.asarray(labels, dtype=np.int64)
        score, positive = referable_score(p, task), np.asarray(task.referable_mask)[y]
        answer, confidence = p.argmax(axis=1), p.max(axis=1)
        bins, millionths = confidence_bin(confidence), np.rint(confidence * MILLION).astype(np.int64)
        tallied = np.zeros(BINS, dtype=np.int64)
        np.add.at(tallied, bins, millionths)
        return cls(
            confusion=confusion_matrix(answer, y, classes),
            class_positive=np.stack([_histogram(p[y == c, c]) for c in range(classes)]),
            class_negative=np.stack([_histogram(p[y != c, c]) for c in range(classes)]),
            referable_positive=_histogram(score[positive]),
            referable_negative=_histogram(score[~positive]),
            confidence_count=np.bincount(bins, minlength=BINS),
            confidence_right=np.bincount(bins[answer == y], minlength=BINS),
            confidence_millionths=tallied,
        )

    @classmethod
    def zero(cls, classes: int) -> EvaluationCounts:
        """Return the counts of nothing, the neutral element of addition."""
        return cls(**{name: np.zeros(shape, dtype=np.int64) for name, shape in _shapes(classes).items()})

    def __add__(self, other: EvaluationCounts) -> EvaluationCounts:
        """Return the counts of both together."""
        return EvaluationCounts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EvaluationCounts):
            return NotImplemented
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]  # arrays inside: equal by value, not hashable

    @property
    def n(self) -> int:
        """Number of pictures."""
        return int(self.confusion.sum())

    def to_dict(self) -> dict[str, list[int]]:
        """Return each array flattened to a list, for a message."""
        return {f.name: getattr(self, f.name).ravel().tolist() for f in fields(self)}

    @classmethod
    def from_dict(cls, lists: Mapping[str, Sequence[int]], *, task: ScreeningTask) -> EvaluationCounts:
        """Return the counts a message carries.

        Raises:
            InputError: an array is missing, has another length, holds what cannot be a count, or the arrays are not
                of the same pictures.
        """
        arrays: dict[str, Any] = {}
        for name, shape in _shapes(len(task.classes)).items():
            values = np.asarray(lists.get(name, ()))
            if values.size != int(np.prod(shape)) or values.dtype.kind not in "iu" or values.min() < 0:
                raise InputError("evaluation counts are damaged", value=name, fix="Send the counts again.")
            arrays[name] = values.astype(np.int64).reshape(shape)
        counts = cls(**arrays)
        if not counts._agree():
            raise InputError("evaluation counts contradict each other", value=f"n={counts.n}", fix="Send them again.")
        return counts

    def _agree(self) -> bool:
        """Whether all arrays can be of the same pictures."""
        truth = self.confusion.sum(axis=1)
        return (
            int(self.referable_positive.sum() + self.referable_negative.sum()) == self.n
            and int(self.confidence_count.sum()) == self.n
            and bool((self.confidence_right <= self.confidence_count).all())
            and int(self.confidence_right.sum()) == int(np.trace(self.confusion))
            and bool((self.confidence_millionths <= self.confidence_count * MILLION).all())
            and np.array_equal(self.class_positive.sum(axis=1), truth)
            and np.array_equal(self.class_negative.sum(axis=1), self.n - truth)
        )

    def metrics(self, *, task: ScreeningTask, threshold: float | None) -> Metrics:
        """Return the same dictionary as the room's ``metrics``; a threshold between two edges counts as the lower."""
        return {
            **confusion_metrics(self.confusion, task),
            "macro_auroc": mean_known(
                [binned_auroc(p, n) for p, n in zip(self.class_positive, self.class_negative, strict=True)]
            ),
            "ece": expected_calibration_error(self.reliability()),
            "referable": {
                "auroc": binned_auroc(self.referable_positive, self.referable_negative),
                **self._rates_at(threshold),
                "threshold": threshold,
            },
            "n": self.n,
        }

    def surprise(self) -> float | None:
        """Return the mean negative log-likelihood of the true classes, nats; None without a picture.

        A score counts as the middle of its bin, on the logit scale; one beyond its ends counts as just beyond them.
        """
        return float((self.class_positive.sum(axis=0) * _SURPRISE).sum() / self.n) if self.n else None

    def reliability(self) -> list[ReliabilityBin]:
        """Return the reliability diagram."""
        return reliability_bins(
            self.confidence_count, self.confidence_right.astype(float), self.confidence_millionths / MILLION
        )

    def roc_points(self) -> RocPoints | None:
        """Return the referral ROC curve at the histogram's edges; None unless both kinds are there."""
        positives, negatives = int(self.referable_positive.sum()), int(self.referable_negative.sum())
        if not positives or not negatives:
            return None
        above = [np.concatenate([[0], np.cumsum(h[::-1])]) for h in (self.referable_positive, self.referable_negative)]
        return RocPoints(
            sensitivity=tuple((above[0] / positives).tolist()),
            false_positive_rate=tuple((above[1] / negatives).tolist()),
        )

    def _rates_at(self, threshold: float | None) -> dict[str, float | None]:
        if threshold is None:
            return {"sensitivity": None, "specificity": None}
        first = int(score_bin(np.array([threshold]))[0])
        positives, negatives = int(self.referable_positive.sum()), int(self.referable_negative.sum())
        return {
            "sensitivity": ratio(int(self.referable_positive[first:].sum()), positives),
            "specificity": ratio(int(self.referable_negative[:first].sum()), negatives),
        }


def binned_auroc(positive: Counts, negative: Counts) -> float | None:
    """Return the area under the ROC curve of two histograms, pairs within one bin counting half."""
    pairs = int(positive.sum()) * int(negative.sum())
    if not pairs:
        return None
    below = np.cumsum(negative) - negative
    won = int((positive * below).sum()) + 0.5 * int((positive * negative).sum())
    return won / pairs


def _histogram(score: npt.NDArray[np.float64]) -> Counts:
    return np.bincount(score_bin(score), minlength=SCORE_BINS)


def _shapes(classes: int) -> dict[str, tuple[int, ...]]:
    return {
        "confusion": (classes, classes),
        "class_positive": (classes, SCORE_BINS),
        "class_negative": (classes, SCORE_BINS),
        "referable_positive": (SCORE_BINS,),
        "referable_negative": (SCORE_BINS,),
        "confidence_count": (BINS,),
        "confidence_right": (BINS,),
        "confidence_millionths": (BINS,),
    }
