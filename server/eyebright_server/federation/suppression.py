"""Tables that may be shown: cells of a few patients are hidden, and cannot be worked out from what is shown.

* A cell between 1 and ``smallest`` - 1 is hidden (``None``). A zero is shown: it is nobody.
* One hidden cell alone in a table with a known total, or one hospital alone behind a known pooled cell, would be found
  by subtraction. Then the next smallest is hidden with it, in the table and across the hospitals, until none is alone.
* The pooled table is exact: it is the sum of what hospitals counted, not of what is shown. A pooled cell below
  ``smallest`` is hidden too, and named in ``hidden``.

Not here: the server itself has the hospitals' counts, because its metrics are made of them. What is hidden here is what
the server shows to others; a hospital that must not send small counts leaves ``counts`` out of its policy's ``fields``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Table = list[list[int | None]]
_Counts = npt.NDArray[np.int64]
_Hidden = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTables:
    """Confusion tables, rows truth, columns answer; hidden cells are None.

    Attributes:
        pooled: Of all hospitals together.
        sites: Of each hospital.
        hidden: How many cells are hidden, over all tables.
    """

    pooled: Table
    sites: dict[int, Table]
    hidden: int


def shown_tables(confusions: Mapping[int, npt.ArrayLike], *, smallest: int) -> ShownTables:
    """Return the tables as they may be shown.

    Args:
        confusions: ``[C, C]`` integers, by hospital.
        smallest: Smallest count above zero that is shown; 0 or 1 hides nothing.
    """
    sites = sorted(confusions)
    counts = np.stack([np.asarray(confusions[site], dtype=np.int64) for site in sites])
    pooled = counts.sum(axis=0)
    hidden = (counts > 0) & (counts < smallest)
    pooled_hidden = (pooled > 0) & (pooled < smallest)
    while _hide_the_lonely(counts, hidden, pooled_hidden):
        pass
    return ShownTables(
        pooled=_shown(pooled, pooled_hidden),
        sites={site: _shown(counts[i], hidden[i]) for i, site in enumerate(sites)},
        hidden=int(hidden.sum() + pooled_hidden.sum()),
    )


def _hide_the_lonely(counts: _Counts, hidden: _Hidden, pooled_hidden: _Hidden) -> bool:
    """Hide one more cell wherever one could be worked out; return whether any was hidden."""
    changed = False
    for i in range(len(counts)):
        if hidden[i].sum() == 1:
            changed |= _hide_next(counts[i].ravel(), hidden[i].reshape(-1))
    if pooled_hidden.sum() == 1:
        changed |= _hide_next(counts.sum(axis=0).ravel(), pooled_hidden.reshape(-1))
    for cell in np.argwhere((hidden.sum(axis=0) == 1) & ~pooled_hidden):
        where = (slice(None), *cell)
        column = hidden[where]
        if _hide_next(counts[where], column):
            hidden[where] = column
            changed = True
        elif not pooled_hidden[tuple(cell)]:
            pooled_hidden[tuple(cell)] = True
            changed = True
    return changed


def _hide_next(counts: _Counts, hidden: _Hidden) -> bool:
    """Hide the smallest count above zero that is shown; return whether there was one."""
    open_cells = np.flatnonzero(~hidden & (counts > 0))
    if not len(open_cells):
        return False
    hidden[open_cells[np.argmin(counts[open_cells])]] = True
    return True


def _shown(counts: _Counts, hidden: _Hidden) -> Table:
    return [
        [None if gone else int(n) for n, gone in zip(row, gone_row, strict=True)]
        for row, gone_row in zip(counts, hidden, strict=True)
    ]
