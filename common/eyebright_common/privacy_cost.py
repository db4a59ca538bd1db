"""What differential privacy costs, in zero-concentrated differential privacy: the server stops by it, hospitals refuse.

* One release with noise multiplier ``z`` is ``1/(2 z^2)``-zCDP (Bun and Steinke 2016, arXiv 1605.02065, proposition
  1.6), releases add up (lemma 1.7), and ``rho``-zCDP is ``(rho + 2 sqrt(rho ln(1/delta)), delta)``-DP (proposition
  1.3).
* Costs of different plans add up in ``rho``, not in epsilon.
"""

from __future__ import annotations

import math

from eyebright_common.plan import Plan, PlanPrivacy


def rho_of(releases: int, noise_multiplier: float) -> float:
    """Return the zCDP cost of so many releases."""
    return releases / (2.0 * noise_multiplier**2)


def epsilon_at(rho: float, delta: float) -> float:
    """Return the epsilon of ``(epsilon, delta)``-DP for a zCDP cost; 0 for none."""
    return rho + 2.0 * math.sqrt(rho * math.log(1.0 / delta))


def epsilon_of(releases: int, privacy: PlanPrivacy) -> float:
    """Return the epsilon of ``(epsilon, delta)``-DP after so many releases; 0 for none."""
    return epsilon_at(rho_of(releases, privacy.noise_multiplier), privacy.delta)


def most_releases(plan: Plan) -> int:
    """Return how many rounds of a plan with privacy can be released before its own ``max_epsilon`` ends it."""
    assert plan.privacy is not None, "a plan without noise has no cost that could be counted"
    releases = 0
    while releases < plan.rounds and epsilon_of(releases + 1, plan.privacy) <= plan.privacy.max_epsilon:
        releases += 1
    return releases
