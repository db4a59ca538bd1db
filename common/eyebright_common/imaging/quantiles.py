"""Several quantiles of the same values at once; NumPy's own functions cost more than the sort behind them.

Bytes are counted instead of sorted. Of many other numbers, a sorted sample says between which two values a rank lies,
and only what lies between them is put in its place; where the sample was wrong, counting shows it, and all of them are.
A tenth of the work of a sort, and the same answer to the last bit.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_FEW, _SAMPLE, _MARGIN = 4096, 1024, 48


def quantiles(values: NDArray[Any], *shares: float) -> tuple[float, ...]:
    """Return the quantile of ``values`` (at least one) at each share, 0–1, interpolated linearly; 0.5 is the median."""
    positions = [share * (values.size - 1) for share in shares]
    # The values at the two ranks around each position, in pairs.
    ranks = [min(int(position) + step, values.size - 1) for position in positions for step in (0, 1)]
    around = (_counted if values.dtype == np.uint8 else _bracketed)(values.ravel(), ranks)
    pairs = zip(positions, around[0::2].tolist(), around[1::2].tolist(), strict=True)
    return tuple(low + (high - low) * (position - int(position)) for position, low, high in pairs)


def _bracketed(values: NDArray[Any], ranks: list[int]) -> NDArray[Any]:
    if values.size < _FEW:
        return _placed(values, ranks)
    sample = np.sort(values[:: values.size // _SAMPLE])
    pairs = zip(ranks[0::2], ranks[1::2], strict=True)
    return np.concatenate([_between(values, sample, pair) for pair in pairs])


def _between(values: NDArray[Any], sample: NDArray[Any], ranks: tuple[int, int]) -> NDArray[Any]:
    """Return the values at two neighbouring ranks, found among those that the sample says are near."""
    expected = ranks[0] * sample.size // values.size
    low = sample[expected - _MARGIN] if expected >= _MARGIN else -np.inf
    high = sample[expected + _MARGIN] if expected + _MARGIN < sample.size else np.inf
    under = values < low
    near = values[~(under | (values > high))]
    below = int(np.count_nonzero(under))
    found = [rank - below for rank in ranks]
    return _placed(near, found) if found[0] >= 0 and found[1] < near.size else _placed(values, list(ranks))


def _placed(values: NDArray[Any], ranks: list[int]) -> NDArray[Any]:
    return np.asarray(np.partition(values, sorted(set(ranks)))[ranks])


def _counted(values: NDArray[np.uint8], ranks: list[int]) -> NDArray[np.int64]:
    counts = cv2.calcHist([values.reshape(-1, 1)], [0], None, [256], [0, 256])
    return np.searchsorted(np.cumsum(counts, dtype=np.int64), ranks, side="right")
