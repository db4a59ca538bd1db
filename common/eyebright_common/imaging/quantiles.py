"""Several quantiles of the same values at once; NumPy's own functions cost more than the sort behind them.

Bytes are counted instead of sorted, of other numbers only the ranks that are asked for are put in their places: a tenth
of the work of a sort, and the same answer to the last bit.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def quantiles(values: NDArray[Any], *shares: float) -> tuple[float, ...]:
    """Return the quantile of ``values`` (at least one) at each share, 0–1, interpolated linearly; 0.5 is the median."""
    positions = [share * (values.size - 1) for share in shares]
    # The values at the two ranks around each position, in pairs.
    ranks = [min(int(position) + step, values.size - 1) for position in positions for step in (0, 1)]
    around = _counted(values, ranks) if values.dtype == np.uint8 else _placed(values, ranks)
    pairs = zip(positions, around[0::2].tolist(), around[1::2].tolist(), strict=True)
    return tuple(low + (high - low) * (position - int(position)) for position, low, high in pairs)


def _placed(values: NDArray[Any], ranks: list[int]) -> NDArray[Any]:
    return np.asarray(np.partition(values, sorted(set(ranks)), axis=None)[ranks])


def _counted(values: NDArray[np.uint8], ranks: list[int]) -> NDArray[np.int64]:
    counts = cv2.calcHist([np.ascontiguousarray(values).reshape(-1, 1)], [0], None, [256], [0, 256])
    return np.searchsorted(np.cumsum(counts, dtype=np.int64), ranks, side="right")
