"""Metrics on resampled patients: the plain row is the library's metric, the others are metrics of repeated pictures."""

from __future__ import annotations

import numpy as np
import pytest

from eyebright_common.tasks import get_task
from eyebright_learning.evaluation import Cases, metrics
from eyebright_simulations.study.resampling import cluster_draws, metric_names, resampled_metrics

TASK = get_task("fundus")


def example(count: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, count)
    logits = generator.normal(size=(count, 4)) + 1.5 * np.eye(4)[labels]
    powers = np.exp(logits.round(1))  # rounded, so that there are ties
    return powers / powers.sum(axis=1, keepdims=True), labels, np.unique(np.arange(count) // 3, return_inverse=True)[1]


def cases(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> Cases:
    return Cases.of(probabilities, labels, groups=groups, task=TASK)


def flat(found: dict) -> dict[str, float]:
    return {
        "balanced_accuracy": found["balanced_accuracy"],
        "macro_auroc": found["macro_auroc"],
        "referable.auroc": found["referable"]["auroc"],
        "ece": found["ece"],
        **{f"recall.{name}": value for name, value in found["recall"].items()},
    }


def test_the_first_row_is_the_librarys_own_metric() -> None:
    probabilities, labels, groups = example()
    values = resampled_metrics(cases(probabilities, labels, groups), cluster_draws(40, replicates=1, seed=0))
    expected = flat(metrics(probabilities, labels, task=TASK, threshold=None))
    assert tuple(values) == metric_names(TASK)
    for name, value in expected.items():
        assert values[name][0] == pytest.approx(value, abs=1e-12), name


def test_every_other_row_is_the_metric_of_the_pictures_repeated_as_drawn() -> None:
    probabilities, labels, groups = example(seed=1)
    draws = cluster_draws(40, replicates=70, seed=3)
    values = resampled_metrics(cases(probabilities, labels, groups), draws)
    for row in (1, 30, 70):
        index = np.repeat(np.arange(len(labels)), draws[row][groups].astype(int))
        expected = flat(metrics(probabilities[index], labels[index], task=TASK, threshold=None))
        for name, value in expected.items():
            assert values[name][row] == pytest.approx(value, abs=1e-12), name


def test_every_resample_draws_as_many_groups_as_there_are() -> None:
    draws = cluster_draws(17, replicates=50, seed=0)
    assert np.array_equal(draws[0], np.ones(17))
    assert np.array_equal(draws.sum(axis=1), np.full(51, 17.0))
    assert np.array_equal(draws, cluster_draws(17, replicates=50, seed=0))
    assert not np.array_equal(draws, cluster_draws(17, replicates=50, seed=1))


def test_a_class_that_was_not_drawn_leaves_its_recall_open_and_the_mean_to_the_others() -> None:
    probabilities = np.eye(4)[[0, 1, 1, 2]]
    labels, groups = np.array([0, 1, 2, 2]), np.arange(4)
    values = resampled_metrics(cases(probabilities, labels, groups), np.array([[1.0, 0.0, 1.0, 1.0]]))
    assert np.isnan(values["recall.diabetic_retinopathy"][0])
    assert values["balanced_accuracy"][0] == (1.0 + 0.5) / 2
