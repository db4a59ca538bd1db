"""Noise and its price: closed forms, Flower's own clipping, and one release per round."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from flwr.supercore.differential_privacy import compute_clip_model_update, compute_stdv

from eyebright_common import exchange
from eyebright_common.errors import InputError
from eyebright_common.plan import PlanPrivacy
from eyebright_common.privacy_cost import epsilon_of, rho_of
from eyebright_server.federation.ending import over
from eyebright_server.federation.privacy import PrivateAveraging, noise_secret
from eyebright_server.federation.records import Arrays, Reply
from eyebright_server.federation.rules import RoundRules
from tiny_federation import tiny_plan

PRIVACY = PlanPrivacy(clipping_norm=0.5, noise_multiplier=2.0, delta=1e-5, max_epsilon=10.0)
CURRENT: Arrays = {
    "w": np.linspace(-1, 1, 10_000, dtype=np.float32),
    "bn.running_var": np.full(3, 1e-6, dtype=np.float32),
}


def replies(count: int = 4) -> list[Reply]:
    generator = np.random.default_rng(3)
    return [
        Reply(
            site=site,
            arrays={n: (a + generator.normal(0, 0.1, a.shape)).astype(np.float32) for n, a in CURRENT.items()},
            numbers={exchange.NUM_EXAMPLES: 10**site},
        )
        for site in range(count)
    ]


def test_the_price_has_a_closed_form() -> None:
    """One release at z = 1: rho = 1/2; delta = 1/e: eps = 1/2 + 2 sqrt(1/2)."""
    one = PlanPrivacy(clipping_norm=1.0, noise_multiplier=1.0, delta=math.exp(-1), max_epsilon=100)
    assert rho_of(1, 1.0) == 0.5
    assert epsilon_of(1, one) == pytest.approx(0.5 + 2 * math.sqrt(0.5))
    assert epsilon_of(0, one) == 0.0
    # Eight releases with twice the noise are two releases at z = 1: rho = 1, eps = 1 + 2.
    twice = one.model_copy(update={"noise_multiplier": 2.0})
    assert epsilon_of(8, twice) == pytest.approx(3.0)


def test_more_rounds_cost_more_and_more_noise_costs_less() -> None:
    prices = [epsilon_of(t, PRIVACY) for t in range(1, 50)]
    assert all(a < b for a, b in itertools.pairwise(prices))
    assert epsilon_of(10, PRIVACY.model_copy(update={"noise_multiplier": 4.0})) < epsilon_of(10, PRIVACY)


def test_the_price_is_above_the_exact_one_of_a_gaussian_release() -> None:
    """Balle and Wang 2018, theorem 8: the exact delta of one release at the epsilon we state is no larger than ours."""

    def phi(t: float) -> float:
        return 0.5 * math.erfc(-t / math.sqrt(2))

    for z in (0.5, 1.0, 2.0, 5.0):
        privacy = PRIVACY.model_copy(update={"noise_multiplier": z})
        epsilon = epsilon_of(1, privacy)
        exact = phi(0.5 / z - epsilon * z) - math.exp(epsilon) * phi(-0.5 / z - epsilon * z)
        assert exact <= privacy.delta


def test_clipping_is_flowers() -> None:
    quiet = PRIVACY.model_copy(update={"noise_multiplier": 1e-12})
    (reply,) = replies(1)
    expected = [reply.arrays[n].astype(np.float64) for n in sorted(CURRENT)]
    compute_clip_model_update(expected, [CURRENT[n].astype(np.float64) for n in sorted(CURRENT)], 0.5)
    found = PrivateAveraging(quiet, b"s").combine(1, CURRENT, [reply])
    for name, array in zip(sorted(CURRENT), expected, strict=True):
        np.testing.assert_allclose(found[name], np.maximum(array, 0) if "var" in name else array, rtol=1e-5, atol=1e-7)


def test_the_noise_has_the_deviation_flower_would_give_it() -> None:
    quiet = PRIVACY.model_copy(update={"noise_multiplier": 1e-12})
    noisy = PrivateAveraging(PRIVACY, b"s").combine(1, CURRENT, replies())
    still = PrivateAveraging(quiet, b"s").combine(1, CURRENT, replies())
    found = float(np.std(noisy["w"].astype(float) - still["w"]))
    assert found == pytest.approx(compute_stdv(2.0, 0.5, 4), rel=0.05)


def test_all_hospitals_count_alike() -> None:
    quiet = PlanPrivacy(clipping_norm=1e5, noise_multiplier=1e-12)
    found = PrivateAveraging(quiet, b"s").combine(1, CURRENT, replies())
    expected = np.mean([reply.arrays["w"].astype(float) for reply in replies()], axis=0)
    np.testing.assert_allclose(found["w"], expected, atol=1e-5)


def test_a_round_computed_again_has_the_same_noise_and_another_round_has_not() -> None:
    first, again, later = (PrivateAveraging(PRIVACY, b"s").combine(r, CURRENT, replies()) for r in (1, 1, 2))
    assert (first["w"] == again["w"]).all()
    assert (first["w"] != later["w"]).any()
    assert (PrivateAveraging(PRIVACY, b"t").combine(1, CURRENT, replies())["w"] != first["w"]).any()


def test_a_variance_stays_one() -> None:
    assert (PrivateAveraging(PRIVACY, b"s").combine(1, CURRENT, replies())["bn.running_var"] >= 0).all()


def test_what_was_spent_survives_a_restart() -> None:
    first = PrivateAveraging(PRIVACY, b"s")
    first.combine(1, CURRENT, replies())
    again = PrivateAveraging(PRIVACY, b"s")
    again.restore(first.state())
    assert again.spent == first.spent == epsilon_of(1, PRIVACY)


def test_the_secret_is_kept_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    assert noise_secret(tmp_path) == noise_secret(tmp_path)
    assert (tmp_path / "noise.key").stat().st_mode & 0o777 == 0o600


def test_no_round_follows_that_would_overspend() -> None:
    plan = tiny_plan(privacy={"clipping_norm": 1.0, "noise_multiplier": 0.1, "max_epsilon": 1.0})
    assert over(None, plan, RoundRules()) == "privacy_budget"


@pytest.mark.parametrize("changes", [{"aggregation": "fedadam"}, {"batch_norm": "re-estimate"}])
def test_privacy_goes_with_a_plain_average_only(changes: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"privacy|re-estimated"):
        tiny_plan(privacy={"clipping_norm": 1.0, "noise_multiplier": 1.0}, **changes)
