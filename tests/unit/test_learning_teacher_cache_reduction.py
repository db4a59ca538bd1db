"""How features are made small: against naive loops, closed forms, and what the least squares promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from eyebright_learning.models.features import TeacherFeatures
from eyebright_learning.teacher_cache.reduction import find_bases, pooled, reduce, reduced_shape, sample_pictures


def some_features(*, pictures: int = 5, side: int = 4, width: int = 8, seed: int = 0) -> TeacherFeatures:
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.randn(pictures, side * side, width, generator=generator) for _ in range(4)]
    return TeacherFeatures(torch.zeros(pictures, 3), *parts)


def of_rank(rank: int, *, rows: int = 400, width: int = 96, seed: int = 0) -> Tensor:
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.normal(size=(rows, rank)) @ generator.normal(size=(rank, width))).float()


def sample_of(*parts: Tensor) -> Tensor:
    return torch.stack(parts).reshape(4, len(parts[0]), 1, -1)


def test_fourteen_by_fourteen_tokens_become_means_of_two_by_two() -> None:
    features = some_features(side=14)
    made = pooled(features)[1].numpy()
    grid = features.query.numpy().reshape(5, 14, 14, 8)
    naive = np.zeros((5, 49, 8))
    for row in range(7):
        for column in range(7):
            naive[:, 7 * row + column] = grid[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean(axis=(1, 2))
    np.testing.assert_allclose(made, naive, atol=1e-6)


def test_a_small_grid_is_kept() -> None:
    features = some_features(side=6)
    torch.testing.assert_close(pooled(features)[3], features.value)


def test_a_token_of_huge_norm_counts_like_any_other() -> None:
    features = some_features(side=14)
    loud = features._replace(tokens=features.tokens * torch.linspace(1, 1000, 196)[:, None])
    torch.testing.assert_close(pooled(loud)[0], pooled(features)[0], atol=1e-3, rtol=1e-3)


def test_the_reduced_shape_is_what_reduction_gives() -> None:
    features = some_features(side=14, width=96)
    parts = pooled(features)
    bases, _ = find_bases(parts)
    n, w, D = reduced_shape(features)
    assert (n, w, D) == (49, 64, 96)
    assert reduce(parts, bases).shape == (5, 4, n, w)
    assert bases.shape == (3, D, w)


def test_bases_are_orthonormal() -> None:
    bases, _ = find_bases(pooled(some_features(side=7, width=96)))
    torch.testing.assert_close(bases.mT @ bases, torch.eye(64).expand(3, 64, 64), atol=1e-5, rtol=0)


def test_features_of_low_rank_are_kept_whole() -> None:
    tokens, query, key, value = (of_rank(30, seed=seed) for seed in range(4))
    sample = sample_of(tokens, query, key, value)
    bases, retained = find_bases(sample)
    _, q, k, v = reduce(sample, bases).squeeze(2).unbind(1)
    torch.testing.assert_close(q @ k.T, query @ key.T, atol=1e-2, rtol=1e-4)
    torch.testing.assert_close(v @ v.T, value @ value.T, atol=1e-2, rtol=1e-4)
    assert retained == pytest.approx({"tokens": 1.0, "query_key": 1.0, "value": 1.0})


def test_no_other_directions_keep_more_of_the_values() -> None:
    value = of_rank(96)
    bases, retained = find_bases(sample_of(value, value, value, value))
    singular = np.linalg.svd(value.double().numpy(), compute_uv=False)
    best = (singular[:64] ** 2).sum() / (singular**2).sum()
    assert retained["value"] == pytest.approx(best, rel=1e-6)
    kept = (value @ bases[2]).square().sum() / value.square().sum()
    assert float(kept) == pytest.approx(best, rel=1e-4)


def test_query_and_key_count_alike_whatever_their_norms() -> None:
    query, key = of_rank(40, seed=1), of_rank(40, seed=2)
    _, even = find_bases(sample_of(query, query, key, key))
    _, loud = find_bases(sample_of(query, 1000 * query, key, key))
    assert loud["query_key"] == pytest.approx(even["query_key"], rel=1e-6)


def test_a_basis_does_not_depend_on_the_sign_of_its_features() -> None:
    sample = pooled(some_features(side=7, width=16))
    torch.testing.assert_close(find_bases(sample)[0], find_bases(-sample)[0])


def test_features_that_are_all_nought_have_finite_bases() -> None:
    bases, retained = find_bases(torch.zeros(4, 3, 4, 8))
    assert torch.isfinite(bases).all()
    assert retained == {"tokens": 0.0, "query_key": 0.0, "value": 0.0}


@pytest.mark.parametrize(("count", "chosen"), [(1, [0]), (3, [0, 1, 2]), (64, list(range(64)))])
def test_few_pictures_are_all_in_the_sample(count: int, chosen: list[int]) -> None:
    assert sample_pictures(count) == chosen


def test_the_sample_reaches_from_the_first_picture_to_the_last() -> None:
    chosen = sample_pictures(1000)
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 999, 64)
    assert max(np.diff(chosen)) <= 16
