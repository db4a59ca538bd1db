"""The metrics of a screening model, one dictionary with one shape everywhere.

* Recall, precision, F1: per class. Balanced accuracy and macro F1 are means over the classes that have pictures.
* AUROC: one class against the rest; macro over the classes for which it exists.
* The referable score of a picture is the sum of the probabilities of the referable classes; at a threshold t it is
  referred when ``score >= t``.
* What is not defined (no pictures, one class only, no threshold) is None: never 0, never a warning.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation.calibration import expected_calibration_error, reliability
from eyebright_learning.evaluation.curves import confusion_matrix

Metrics = dict[str, Any]


def metrics(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, task: ScreeningTask, threshold: float | None
) -> Metrics:
    """Return ``accuracy, balanced_accuracy, macro_f1, macro_auroc, recall, precision, ece, referable, n``.

    Args:
        probabilities: ``[N, C]`` in the task's class order, rows summing to 1.
        labels: Class indices ``[N]``.
        task: Names the classes and says which are referable.
        threshold: On the referable score; None leaves sensitivity and specificity open.
    """
    count = len(task.classes)
    p = np.asarray(probabilities, dtype=np.float64).reshape(-1, count)
    y = np.asarray(labels, dtype=np.int64)
    score, positive = referable_score(p, task), np.asarray(task.referable_mask)[y]
    return {
        **confusion_metrics(confusion_matrix(p.argmax(axis=1), y, count), task),
        "macro_auroc": mean_known([auroc(p[:, c], y == c) for c in range(count)]),
        "ece": expected_calibration_error(reliability(p, y)),
        "referable": {
            "auroc": auroc(score, positive),
            **rates_at(score, positive, threshold),
            "threshold": threshold,
        },
        "n": len(y),
    }


def referable_score(probabilities: npt.NDArray[np.floating], task: ScreeningTask) -> npt.NDArray[np.float64]:
    """Return the sum of the referable classes' probabilities, ``[N]`` in [0, 1]."""
    mask = np.asarray(task.referable_mask)
    total = np.asarray(probabilities, dtype=np.float64)[:, mask].sum(axis=1)
    return np.asarray(np.clip(total, 0.0, 1.0))


def confusion_metrics(confusion: npt.NDArray[np.int64], task: ScreeningTask) -> Metrics:
    """Return what follows from a confusion matrix ``[C, C]`` (rows: truth, columns: answer)."""
    right, truth, answer = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    recall = [ratio(r, t) for r, t in zip(right, truth, strict=True)]
    precision = [ratio(r, a) for r, a in zip(right, answer, strict=True)]
    f1 = [ratio(2 * r, t + a) if t else None for r, t, a in zip(right, truth, answer, strict=True)]
    return {
        "accuracy": ratio(right.sum(), confusion.sum()),
        "balanced_accuracy": mean_known(recall),
        "macro_f1": mean_known(f1),
        "recall": dict(zip(task.classes, recall, strict=True)),
        "precision": dict(zip(task.classes, precision, strict=True)),
    }


def auroc(score: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve; None unless both kinds are there."""
    if positive.all() or not positive.any():
        return None
    return float(roc_auc_score(positive, score))


def rates_at(
    score: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_], threshold: float | None
) -> dict[str, float | None]:
    """Return sensitivity and specificity of ``score >= threshold``."""
    if threshold is None:
        return {"sensitivity": None, "specificity": None}
    referred = score >= threshold
    return {
        "sensitivity": ratio(int((referred & positive).sum()), int(positive.sum())),
        "specificity": ratio(int((~referred & ~positive).sum()), int((~positive).sum())),
    }


def ratio(part: int | np.integer, whole: int | np.integer) -> float | None:
    """Return ``part / whole``; None when there is no whole."""
    return float(part / whole) if whole else None


def mean_known(values: list[float | None]) -> float | None:
    """Return the mean of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
