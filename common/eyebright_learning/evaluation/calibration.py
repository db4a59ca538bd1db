"""Do probabilities mean what they say?

* ``fit_temperature`` finds the one number that makes validation logits least surprising (Guo et al. 2017,
  arXiv 1706.04599). It never changes a decision by argmax.
* ``reliability`` sorts pictures into 15 equal bins of top-class confidence; the expected calibration error is the
  mean gap between confidence and accuracy, weighted by the pictures in each bin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

BINS = 15
_LOG_RANGE = (np.log(0.05), np.log(20.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """One bin of the reliability diagram.

    Attributes:
        lower: Lower edge of confidence.
        upper: Upper edge.
        count: Pictures in the bin.
        confidence: Their mean confidence; None when there are none.
        accuracy: Share of them that is right; None when there are none.
    """

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


def softmax(logits: npt.ArrayLike, *, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Return probabilities ``[N, C]`` of logits ``[N, C]`` divided by ``temperature``."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True)) if scaled.size else scaled
    return np.asarray(powers / powers.sum(axis=1, keepdims=True) if scaled.size else scaled)


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the temperature in [0.05, 20] with the least mean negative log-likelihood; 1 when there is nothing to fit.

    Args:
        logits: Raw logits ``[N, C]``.
        labels: Class indices ``[N]``.
    """
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if len(y) == 0:
        return 1.0

    def surprise(log_temperature: float) -> float:
        scaled = z * np.exp(-log_temperature)
        top = scaled.max(axis=1)
        log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((log_sum - scaled[np.arange(len(y)), y]).mean())

    found = minimize_scalar(surprise, bounds=_LOG_RANGE, method="bounded", options={"xatol": 1e-5})
    return float(np.exp(found.x))


def reliability(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> list[ReliabilityBin]:
    """Return the 15 bins of the reliability diagram of probabilities ``[N, C]`` against labels ``[N]``."""
    confidence = probabilities.max(axis=1) if len(labels) else np.zeros(0)
    right = probabilities.argmax(axis=1) == labels if len(labels) else np.zeros(0, dtype=bool)
    where = confidence_bin(confidence)
    count = np.bincount(where, minlength=BINS)
    return reliability_bins(
        count,
        np.bincount(where, weights=right, minlength=BINS).astype(np.float64),
        np.bincount(where, weights=confidence, minlength=BINS).astype(np.float64),
    )


def reliability_bins(
    count: npt.NDArray[np.int64], right: npt.NDArray[np.floating], confidence_sum: npt.NDArray[np.floating]
) -> list[ReliabilityBin]:
    """Return the bins from per-bin counts, numbers of right answers and sums of confidence, each ``[15]``."""
    return [
        ReliabilityBin(
            lower=i / BINS,
            upper=(i + 1) / BINS,
            count=int(count[i]),
            confidence=float(confidence_sum[i] / count[i]) if count[i] else None,
            accuracy=float(right[i] / count[i]) if count[i] else None,
        )
        for i in range(BINS)
    ]


def expected_calibration_error(bins: list[ReliabilityBin]) -> float | None:
    """Return the count-weighted mean gap between confidence and accuracy; None without pictures."""
    total = sum(b.count for b in bins)
    if total == 0:
        return None
    filled = [b for b in bins if b.confidence is not None and b.accuracy is not None]
    return sum(b.count * abs((b.confidence or 0.0) - (b.accuracy or 0.0)) for b in filled) / total


def confidence_bin(confidence: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Return the bin of each confidence in [0, 1]; 1 belongs to the last."""
    return np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
