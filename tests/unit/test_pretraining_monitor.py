"""The monitor on features whose state is known: collapsed, isotropic, telling classes apart, telling only patients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright_learning.pretraining import feature_deviation, neighbour_probe, rank_me
from eyebright_learning.pretraining.monitor import collapse_reason

RNG = np.random.default_rng(0)
DIRECTION = RNG.normal(size=16)


def test_equal_features_have_rank_one_and_no_deviation() -> None:
    collapsed = np.tile(DIRECTION, (50, 1))
    assert rank_me(collapsed) == pytest.approx(1.0, abs=1e-6)
    assert feature_deviation(collapsed) == pytest.approx(0.0, abs=1e-6)


def test_features_along_one_line_have_rank_one() -> None:
    assert rank_me(np.outer(RNG.normal(size=50), DIRECTION)) == pytest.approx(1.0, abs=1e-6)


def test_features_that_are_zero_count_as_collapsed() -> None:
    assert rank_me(np.zeros((5, 4))) == 1.0
    assert feature_deviation(np.zeros((5, 4))) == 0.0


def test_isotropic_features_fill_the_space() -> None:
    features = RNG.normal(size=(4000, 16))
    assert rank_me(features) == pytest.approx(16.0, rel=0.01)
    assert feature_deviation(features) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_equal_orthogonal_directions_are_counted(rank: int) -> None:
    assert rank_me(7.0 * np.eye(16)[:rank]) == pytest.approx(rank)


def test_two_directions_of_unequal_strength_follow_the_entropy() -> None:
    p = np.array([0.75, 0.25])  # singular values 3 and 1
    assert rank_me(np.diag([3.0, 1.0])) == pytest.approx(np.exp(-(p * np.log(p)).sum()))


@given(st.integers(2, 12), st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_the_rank_is_between_one_and_the_smaller_side(count: int, width: int, seed: int) -> None:
    features = np.random.default_rng(seed).normal(size=(count, width))
    assert 1.0 - 1e-9 <= rank_me(features) <= min(count, width) + 1e-9


@given(st.floats(1e-3, 1e3))
def test_no_measure_depends_on_the_size_of_features(scale: float) -> None:
    features = np.random.default_rng(1).normal(size=(20, 6))
    assert rank_me(scale * features) == pytest.approx(rank_me(features))
    assert feature_deviation(scale * features) == pytest.approx(feature_deviation(features))


def test_the_probe_finds_classes_that_are_apart() -> None:
    labels = np.arange(60) % 3
    features = np.eye(8)[labels] + 0.01 * RNG.normal(size=(60, 8))
    assert neighbour_probe(features, labels, np.arange(60), neighbours=5) == 1.0


def test_the_probe_is_near_chance_without_information() -> None:
    labels = np.arange(400) % 4
    found = neighbour_probe(RNG.normal(size=(400, 8)), labels, np.arange(400))
    assert found == pytest.approx(0.25, abs=0.1)


def test_a_patients_other_picture_is_never_a_neighbour() -> None:
    # Both pictures of a patient are alike and share the label; between patients there is nothing to find.
    features = np.repeat(np.eye(8), 2, axis=0)
    labels, groups = np.repeat(np.arange(8) % 2, 2), np.repeat(np.arange(8), 2)
    assert neighbour_probe(features, labels, np.arange(16), neighbours=1) == 1.0
    found = neighbour_probe(features, labels, groups, neighbours=1)
    assert found is not None
    assert found < 0.6


def test_the_probe_agrees_with_a_loop() -> None:
    rng = np.random.default_rng(3)
    features, labels, groups = rng.normal(size=(30, 5)), np.arange(30) % 3, np.arange(30) // 2
    right: dict[int, list[bool]] = {0: [], 1: [], 2: []}
    for i in range(30):
        others = [j for j in range(30) if groups[j] != groups[i]]
        cosine = {
            j: features[i] @ features[j] / np.linalg.norm(features[i]) / np.linalg.norm(features[j]) for j in others
        }
        nearest = sorted(others, key=lambda j: -cosine[j])[:7]
        votes = [sum(0.5 * (1.0 + cosine[j]) for j in nearest if labels[j] == c) for c in range(3)]
        right[int(labels[i])].append(int(np.argmax(votes)) == labels[i])
    wanted = np.mean([np.mean(one) for one in right.values()])
    assert neighbour_probe(features, labels, groups, neighbours=7) == pytest.approx(wanted)


def test_one_group_alone_has_no_probe() -> None:
    assert neighbour_probe(RNG.normal(size=(4, 3)), np.array([0, 1, 0, 1]), np.zeros(4, dtype=np.int64)) is None


def test_a_collapse_is_explained_by_the_measure_that_shows_it() -> None:
    floors = {"rank_floor": 1.5, "deviation_floor": 0.02}
    assert collapse_reason(rank=5.0, deviation=0.5, **floors) is None
    assert "RankMe) is 1.20" in str(collapse_reason(rank=1.2, deviation=0.5, **floors))
    assert "deviation" in str(collapse_reason(rank=5.0, deviation=0.001, **floors))
    assert "rank" in str(collapse_reason(rank=float("nan"), deviation=0.5, **floors))
