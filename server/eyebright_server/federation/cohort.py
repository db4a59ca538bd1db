"""One update against the others: what is far too long to be training.

* The length of an update is compared with the median of all; the scale is the median absolute deviation, times 1.4826
  to be a standard deviation where lengths are normal (Leys et al. 2013). One hospital in two would have to agree on a
  lie to move either.
* Running statistics are measured apart from weights: they are on another scale, and differ with the camera.
* Below ``least_cohort`` replies there is no cohort, and only the absolute bound holds: no update is ``_ABSOLUTE`` times
  longer than the student itself.
* A hospital that declares a thousand times the median number of images is not believed, whatever else it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from eyebright_common.exchange import is_running_statistic
from eyebright_server.federation.records import Arrays, Setback
from eyebright_server.federation.rules import RoundRules

_ABSOLUTE = 100.0
_NORMAL = 1.4826
_STATISTICS_ALLOWANCE = 20.0
_MOST_TIMES_THE_MEDIAN = 1000
Lengths = tuple[float, float]


def lengths_of(update: Mapping[str, np.ndarray], sent: Arrays) -> Lengths:
    """Return the L2 length of an update's weights and of its running statistics."""
    squares = {False: 0.0, True: 0.0}
    for name, array in update.items():
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):  # an infinite length is a length
                delta = np.subtract(array, sent[name], dtype=np.float64)
                squares[is_running_statistic(name)] += float(np.square(delta, out=delta).sum())
    return float(np.sqrt(squares[False])), float(np.sqrt(squares[True]))


def own_lengths(student: Arrays) -> Lengths:
    """Return the L2 length of a student's own weights and running statistics."""
    return lengths_of(student, {name: np.zeros_like(array) for name, array in student.items()})


def far_too_long(site: int, lengths: Lengths, student: Lengths) -> Setback | None:
    """Return why an update is beyond any training of the student it began with, or None."""
    for what, length, whole in zip(("weights", "statistics"), lengths, student, strict=True):
        if not length <= _ABSOLUTE * (whole + 1.0):
            return Setback(site=site, reason="outlying_norm", detail=f"{what}: {length:.3g}, the student {whole:.3g}")
    return None


def outliers(lengths: Mapping[int, Lengths], rules: RoundRules) -> list[Setback]:
    """Return the hospitals whose update is far longer than the cohort's.

    Args:
        lengths: By hospital, of updates that passed everything else.
        rules: ``outlier_mads``, ``outlier_floor`` and ``least_cohort`` count here.
    """
    if len(lengths) < rules.least_cohort:
        return []
    bars = [_bar([pair[part] for pair in lengths.values()], rules) for part in (0, 1)]
    bars[1] *= _STATISTICS_ALLOWANCE
    found = []
    for site, pair in sorted(lengths.items()):
        for what, length, bar in zip(("weights", "statistics"), pair, bars, strict=True):
            if length > bar:
                detail = f"{what}: {length:.3g}, the cohort's bar {bar:.3g}"
                found.append(Setback(site=site, reason="outlying_norm", detail=detail))
                break
    return found


def overstated(declared: Mapping[int, int]) -> frozenset[int]:
    """Return the hospitals that declare an implausible part of all images."""
    if len(declared) < 3:
        return frozenset()
    most = _MOST_TIMES_THE_MEDIAN * max(1.0, float(np.median(list(declared.values()))))
    return frozenset(site for site, rows in declared.items() if rows > most)


def _bar(lengths: Sequence[float] | Iterable[float], rules: RoundRules) -> float:
    values = np.array(list(lengths))
    median = float(np.median(values))
    deviation = _NORMAL * float(np.median(np.abs(values - median)))
    return max(median + rules.outlier_mads * deviation, rules.outlier_floor * median)
