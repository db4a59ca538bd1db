"""Bounds on rates and on paired differences, from counts alone.

* ``wilson``: Wilson's score interval of a proportion (Wilson 1927), two-sided.
* ``tango_upper``: Tango's score bound of a difference of paired proportions (Tango 1998, Statistics in Medicine
  17:891), one-sided. With b cases lost and c won of n, the difference d = (b - c) / n is at most the largest delta for
  which

      T(delta) = (b - c - n delta) / sqrt(n (2 q + delta (1 - delta)))  >=  -z

  where q is the maximum-likelihood probability of a win under that delta, the larger root of
  ``2n q^2 + (-(b + c) + (2n - b + c) delta) q - c delta (1 - delta) = 0``. Unlike McNemar's test it answers "by how
  much at most", and unlike Wald's interval it does not claim certainty when b = c = 0.
* Cases are taken to be independent; who counts pictures where a patient has several gets bounds that are too narrow.
"""

from __future__ import annotations

import math

Z_TWO_SIDED_95 = 1.959963984540054
Z_ONE_SIDED_95 = 1.6448536269514722
Z_POWER_80 = 0.8416212335729143

_HALVINGS = 60


def wilson(hits: int, n: int, *, z: float = Z_TWO_SIDED_95) -> tuple[float, float]:
    """Return the interval of the proportion ``hits / n``; (0, 1) without cases."""
    if n == 0:
        return 0.0, 1.0
    p, shrink = hits / n, 1.0 + z * z / n
    middle = (p + z * z / (2 * n)) / shrink
    half = z * math.sqrt(p * (1.0 - p) / n + z * z / (4 * n * n)) / shrink
    # The ends at 0 and n hits are exactly 0 and 1; subtraction leaves the last bit.
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == n else middle + half)


def tango_upper(lost: int, won: int, n: int, *, z: float = Z_ONE_SIDED_95) -> float:
    """Return the upper bound of the loss ``(lost - won) / n``; 1 without cases."""
    if n == 0:
        return 1.0
    low, high = (lost - won) / n, 1.0
    # T falls as delta grows: 0 at the estimate, below -z beyond the bound.
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if tango_statistic(lost, won, n, middle) >= -z:
            low = middle
        else:
            high = middle
    return high


def tango_statistic(lost: int, won: int, n: int, delta: float) -> float:
    """Return T(delta); see the module's note."""
    a, b, c = 2.0 * n, -(lost + won) + (2.0 * n - lost + won) * delta, -won * delta * (1.0 - delta)
    q = (math.sqrt(max(b * b - 4.0 * a * c, 0.0)) - b) / (2.0 * a)
    variance = n * (2.0 * q + delta * (1.0 - delta))
    gap = lost - won - n * delta
    if variance <= 0.0:
        return 0.0 if abs(gap) < 1e-12 else math.copysign(math.inf, gap)
    return gap / math.sqrt(variance)


def cases_for_margin(margin: float, *, discordance: float) -> int:
    """Return the cases that a one-sided 5 % test of ``margin`` needs for 80 % power when nothing is lost.

    ``(z_0.95 + z_0.80)^2 discordance / margin^2``: 275 for a margin of 0.03 when 4 % of the cases are answered
    differently.
    """
    return math.ceil((Z_ONE_SIDED_95 + Z_POWER_80) ** 2 * discordance / margin**2)
