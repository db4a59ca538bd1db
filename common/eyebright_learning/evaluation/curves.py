"""Confusion matrix and ROC points, for the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_curve


@dataclass(frozen=True, slots=True, kw_only=True)
class RocPoints:
    """A ROC curve.

    Attributes:
        false_positive_rate: ``[P]``, rising.
        sensitivity: ``[P]``, rising.
    """

    false_positive_rate: tuple[float, ...]
    sensitivity: tuple[float, ...]


def confusion_matrix(
    answers: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.int64]:
    """Return counts ``[C, C]``; rows are the truth, columns the answer."""
    return np.bincount(labels * classes + answers, minlength=classes * classes).reshape(classes, classes)


def roc_points(score: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]) -> RocPoints | None:
    """Return the corners of the ROC curve; None unless both kinds are there."""
    if positive.all() or not positive.any():
        return None
    false_positive_rate, sensitivity, _ = roc_curve(positive, score)
    return RocPoints(
        false_positive_rate=tuple(map(float, false_positive_rate)), sensitivity=tuple(map(float, sensitivity))
    )
