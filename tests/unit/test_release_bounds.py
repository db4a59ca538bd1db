"""Bounds from counts: against closed forms, a likelihood maximised by brute force, and their own promise."""

import math

import numpy as np
import pytest

from eyebright_server.release.bounds import Z_ONE_SIDED_95, cases_for_margin, tango_statistic, tango_upper, wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(46, 50, 0.812, 0.968), (92, 100, 0.850, 0.959), (368, 400, 0.889, 0.943), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_gives_the_published_intervals(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits, n) == pytest.approx((low, high), abs=6e-4)


def test_wilson_reaches_the_ends_and_knows_nothing_of_nothing() -> None:
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_without_disagreement_tangos_bound_is_z2_over_n_plus_z2(n: int) -> None:
    z2 = Z_ONE_SIDED_95**2
    assert tango_upper(0, 0, n) == pytest.approx(z2 / (n + z2), abs=1e-9)


@pytest.mark.parametrize(("lost", "won", "n", "delta"), [(9, 2, 100, 0.12), (3, 7, 60, 0.05), (12, 12, 200, 0.03)])
def test_the_statistic_uses_the_likeliest_win_under_the_margin(lost: int, won: int, n: int, delta: float) -> None:
    q = np.linspace(1e-7, (1.0 - delta) / 2 - 1e-7, 400_001)  # probability of a win; of a loss it is q + delta
    likelihood = lost * np.log(q + delta) + won * np.log(q) + (n - lost - won) * np.log(1 - 2 * q - delta)
    best = float(q[likelihood.argmax()])
    expected = (lost - won - n * delta) / math.sqrt(n * (2 * best + delta * (1 - delta)))
    assert tango_statistic(lost, won, n, delta) == pytest.approx(expected, abs=1e-3)


def test_the_bound_is_where_the_statistic_crosses_z() -> None:
    upper = tango_upper(9, 2, 100)
    assert tango_statistic(9, 2, 100, upper) == pytest.approx(-Z_ONE_SIDED_95, abs=1e-6)
    assert upper > 0.07


def test_a_loss_at_the_margin_passes_about_one_time_in_twenty() -> None:
    generator = np.random.default_rng(0)
    n, margin, won = 300, 0.03, 0.01
    draws = generator.multinomial(n, [won + margin, won, 1 - margin - 2 * won], size=4000)
    passed = np.mean([tango_upper(int(lost), int(gained), n) <= margin for lost, gained, _ in draws])
    assert 0.03 < passed < 0.07


def test_the_cases_that_a_margin_needs_are_the_references() -> None:
    assert cases_for_margin(0.03, discordance=0.04) == pytest.approx(275, abs=1)
    assert cases_for_margin(0.02, discordance=0.04) == pytest.approx(619, abs=1)
