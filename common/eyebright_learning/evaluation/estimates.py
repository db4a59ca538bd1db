"""Figures with their intervals: all statistics of all sets from the same resamples of whole patients.

* Groups (a patient with every near-duplicate) are drawn with replacement, as many as there are; each draw serves
  every statistic of every set of cases given. Strata and eyes are sets over the same groups, so one pass is enough.
* Intervals are percentile intervals (Efron 1979). None where fewer than two groups, or where the statistic is not
  defined in at least half of the resamples.
* Two models on the same cases are compared within each resample: what makes a patient hard for both cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from eyebright_common.errors import InputError
from eyebright_learning.evaluation.bootstrap import Interval
from eyebright_learning.evaluation.cases import Cases, Criteria, Floats
from eyebright_learning.evaluation.statistics import Statistics, measure_of

REPLICATES = 1000
LEVEL = 0.95
# Weights of at most this many cases are in memory at the same time (16 MB).
_CHUNK = 2_000_000

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and how sure it is.

    Attributes:
        value: The figure on the cases themselves; None where it is not defined.
        interval: Its bootstrap interval; None where there are too few groups.
    """

    value: float | None
    interval: Interval | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero: for differences."""
        return self.interval is not None and (self.interval.lower > 0.0 or self.interval.upper < 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return ``value, lower, upper`` as plain JSON values."""
        ends = (None, None) if self.interval is None else (self.interval.lower, self.interval.upper)
        return {"value": self.value, "lower": ends[0], "upper": ends[1]}


def estimates(
    sets: Mapping[Key, Cases],
    criteria: Criteria,
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[Key, dict[str, Estimate]]:
    """Return every statistic of every set, with intervals from the same resamples.

    Args:
        sets: Cases by any name; the same group number must mean the same group in all of them.
        criteria: What is asked of the model.
        replicates: Resamples; 0 leaves the intervals out.
        level: Coverage, in (0, 1).
        seed: Of the draws.
    """
    figures, resampled = _measured(sets, criteria, replicates, seed)
    return {
        key: {
            name: _estimate(float(value[0]), resampled[key].get(name), _groups(cases), level)
            for name, value in figures[key].items()
        }
        for key, cases in sets.items()
    }


def paired_difference(
    statistic: str,
    first: Cases,
    second: Cases,
    criteria: Criteria,
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """Return ``first - second`` of a statistic of two models on the same cases, compared within each resample.

    Args:
        statistic: Its flat name, e.g. ``balanced_accuracy``.
        first: Answers of one model.
        second: Answers of the other on the same cases in the same order.
        criteria: What is asked of both.
        replicates: Resamples.
        level: Coverage.
        seed: Of the draws.

    Raises:
        InputError: the cases are not the same, or there is no such statistic.
    """
    return _paired(statistic, first, second, criteria, np.subtract, (replicates, level, seed))


def paired_ratio(
    statistic: str,
    first: Cases,
    second: Cases,
    criteria: Criteria,
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """Return ``first / second`` of a statistic, as ``paired_difference`` does: what share a student keeps.

    Raises:
        InputError: the cases are not the same, or there is no such statistic.
    """
    return _paired(statistic, first, second, criteria, _quotient, (replicates, level, seed))


def _paired(
    statistic: str,
    first: Cases,
    second: Cases,
    criteria: Criteria,
    compare: Callable[[Floats, Floats], Floats],
    how: tuple[int, float, int],
) -> Estimate:
    require_same_cases(first, second)
    replicates, level, seed = how
    figures, resampled = _measured({"first": first, "second": second}, criteria, replicates, seed)
    if statistic not in figures["first"]:
        known = ", ".join(figures["first"])
        raise InputError("there is no such statistic", value=statistic, fix=f"Choose one of: {known}.")
    value = compare(figures["first"][statistic], figures["second"][statistic])
    draws = compare(resampled["first"][statistic], resampled["second"][statistic]) if replicates else None
    return _estimate(float(value[0]), draws, _groups(first), level)


def require_same_cases(first: Cases, second: Cases) -> None:
    """Check that two models answered about the same cases in the same order.

    Raises:
        InputError: they did not.
    """
    if not (np.array_equal(first.labels, second.labels) and np.array_equal(first.groups, second.groups)):
        raise InputError("two models can only be compared on the same cases", fix="Keep the order of the pictures.")


def _quotient(first: Floats, second: Floats) -> Floats:
    return np.asarray(np.divide(first, second, out=np.full(first.shape, np.nan), where=second != 0.0))


def _measured(
    sets: Mapping[Key, Cases], criteria: Criteria, replicates: int, seed: int
) -> tuple[dict[Key, Statistics], dict[Key, Statistics]]:
    measures = {key: measure_of(cases, criteria) for key, cases in sets.items()}
    groups = max((int(cases.groups.max(initial=-1)) + 1 for cases in sets.values()), default=0)
    figures = {key: measure(np.ones((1, groups))) for key, measure in measures.items()}
    most = max((len(cases) for cases in sets.values()), default=0)
    drawn: dict[Key, dict[str, list[Floats]]] = {key: {name: [] for name in figures[key]} for key in sets}
    for counts in group_draws(groups, replicates=replicates, seed=seed, at_once=max(1, _CHUNK // max(1, most))):
        for key, measure in measures.items():
            for name, values in measure(counts).items():
                drawn[key][name].append(values)
    return figures, {
        key: {name: np.concatenate(parts) for name, parts in found.items() if parts} for key, found in drawn.items()
    }


def group_draws(groups: int, *, replicates: int, seed: int, at_once: int) -> Iterator[Floats]:
    """Yield how often each group was drawn, ``[R, G]``, ``replicates`` rows in all; every row adds up to ``groups``."""
    generator = np.random.Generator(np.random.PCG64(seed))
    for start in range(0, replicates if groups else 0, at_once):
        rows = min(at_once, replicates - start)
        drawn = generator.integers(groups, size=(rows, groups)) + groups * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * groups).reshape(rows, groups).astype(np.float64)


def _groups(cases: Cases) -> int:
    return len(np.unique(cases.groups))


def _estimate(value: float, draws: Floats | None, groups: int, level: float) -> Estimate:
    if np.isnan(value):
        return Estimate(value=None)
    known = np.empty(0) if draws is None else draws[~np.isnan(draws)]
    if draws is None or groups < 2 or len(known) < max(2, len(draws) // 2):
        return Estimate(value=value)
    lower, upper = np.quantile(known, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    interval = Interval(lower=float(lower), upper=float(upper), level=level, replicates=len(known))
    return Estimate(value=value, interval=interval)
