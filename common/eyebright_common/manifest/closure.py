"""Union-find: which items belong together when some pairs do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def closure(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the connected component of each of ``count`` items, int64 ``[count]``, numbered by first appearance.

    Args:
        count: How many items there are.
        pairs: Items that belong together, ``[P, 2]``.
    """
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for a, b in pairs.tolist():
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    # The root is a component's smallest item, so sorting the roots numbers components by first appearance.
    roots = np.asarray([root(item) for item in range(count)], dtype=np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)
