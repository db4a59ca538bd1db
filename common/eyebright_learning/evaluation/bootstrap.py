"""How sure a number is: percentile intervals from resampling whole patients.

Two eyes of one patient are not two facts. Groups (patients or duplicate clusters) are drawn with replacement and all
pictures of a drawn group come along, once per draw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A bootstrap interval.

    Attributes:
        lower: Lower end.
        upper: Upper end.
        level: Its coverage.
        replicates: Resamples in which the statistic was defined.
    """

    lower: float
    upper: float
    level: float
    replicates: int


def bootstrap_interval(
    statistic: Callable[[Index], float | None],
    groups: npt.ArrayLike,
    *,
    replicates: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Return the percentile interval of a statistic.

    Args:
        statistic: Takes picture positions, returns the number or None where it is not defined.
        groups: Group of every picture, ``[N]``.
        replicates: Resamples to draw.
        level: Coverage, in (0, 1).
        seed: Of the draws.

    Returns:
        The interval; None when there are fewer than two groups or the statistic is hardly ever defined.
    """
    _, where = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(where == g) for g in range(int(where.max()) + 1 if len(where) else 0)]
    if len(members) < 2:
        return None
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = (
        statistic(np.concatenate([members[g] for g in generator.integers(len(members), size=len(members))]))
        for _ in range(replicates)
    )
    values = np.array([value for value in drawn if value is not None])
    if len(values) < max(2, replicates // 2):
        return None
    lower, upper = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(lower=float(lower), upper=float(upper), level=level, replicates=len(values))
