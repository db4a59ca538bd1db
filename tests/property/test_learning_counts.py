"""Counts: adding them up is counting together, and what they say is what the pictures say, up to the bins."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eyebright_common.tasks import get_task
from eyebright_learning.evaluation import (
    EvaluationCounts,
    choose_threshold,
    fit_temperature,
    metrics,
    referable_score,
    softmax,
)
from eyebright_learning.evaluation.counts import SCORE_EDGES, score_bin

FUNDUS = get_task("fundus")
PERMITTED = 1e-9


@st.composite
def cases(draw: st.DrawFn, least: int = 0) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(least, 40))
    logits = draw(hnp.arrays(np.float64, (count, 4), elements=st.floats(-12, 12)))
    labels = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 3)))
    return softmax(logits), labels


def tie_share(score: np.ndarray, positive: np.ndarray) -> float:
    """Half the share of (positive, negative) pairs that one bin holds: what a histogram cannot tell apart."""
    pairs = int(positive.sum()) * int((~positive).sum())
    bins = score_bin(score)
    return 0.5 * sum(int((bins[positive] == b).sum()) * int((bins[~positive] == b).sum()) for b in set(bins)) / pairs


@given(cases(), cases())
def test_counts_add_up_as_if_counted_together(a: tuple, b: tuple) -> None:
    together = EvaluationCounts.of(np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]]), task=FUNDUS)
    assert EvaluationCounts.of(*a, task=FUNDUS) + EvaluationCounts.of(*b, task=FUNDUS) == together


@given(cases())
def test_adding_nothing_changes_nothing(case: tuple) -> None:
    counts = EvaluationCounts.of(*case, task=FUNDUS)
    assert counts + EvaluationCounts.zero(4) == counts


@given(cases())
def test_counts_survive_a_message(case: tuple) -> None:
    counts = EvaluationCounts.of(*case, task=FUNDUS)
    assert EvaluationCounts.from_dict(counts.to_dict(), task=FUNDUS) == counts


@given(cases())
def test_counted_metrics_agree_with_exact_ones(case: tuple) -> None:
    p, y = case
    counts = EvaluationCounts.of(p, y, task=FUNDUS)
    threshold = choose_threshold(counts).value
    exact, counted = (m(task=FUNDUS, threshold=threshold) for m in (lambda **k: metrics(p, y, **k), counts.metrics))
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "recall", "precision", "n"):
        assert counted[name] == exact[name]
    if len(y):
        assert abs(counted["ece"] - exact["ece"]) <= 1e-6
    score, positive = referable_score(p, FUNDUS), y != 0
    if 0 < positive.sum() < len(y):
        difference = abs(counted["referable"]["auroc"] - exact["referable"]["auroc"])
        assert difference <= tie_share(score, positive) + PERMITTED
        assert counted["referable"]["sensitivity"] == exact["referable"]["sensitivity"]
        assert counted["referable"]["specificity"] == exact["referable"]["specificity"]


@given(cases(least=1), st.floats(0.01, 1.0))
def test_no_higher_threshold_finds_enough(case: tuple, target: float) -> None:
    p, y = case
    chosen = choose_threshold(EvaluationCounts.of(p, y, task=FUNDUS), min_sensitivity=target)
    score = referable_score(p, FUNDUS)[y != 0]
    if len(score) == 0:
        assert chosen.provenance.rule == "fallback"
        return
    assert (score >= chosen.value).mean() >= target - PERMITTED
    higher = SCORE_EDGES[chosen.value < SCORE_EDGES]
    assert all((score >= edge).mean() < target for edge in higher)


@given(st.floats(0, 1), st.integers(0, len(SCORE_EDGES) - 1))
def test_reaching_an_edge_is_reaching_its_bin(score: float, edge: int) -> None:
    assert (score >= SCORE_EDGES[edge]) == (score_bin(np.array([score]))[0] >= edge)


def test_equal_counts_can_want_different_temperatures() -> None:
    # The same scores of each class, in other company: why no temperature is fitted from counts (decision 0002).
    wrong = (0.30, 0.60, 0.10)
    one = np.array([(0.55, 0.30, 0.15), (0.60, 0.35, 0.05), (0.65, 0.25, 0.10), wrong])
    other = np.array([(0.55, 0.35, 0.10), (0.60, 0.25, 0.15), (0.65, 0.30, 0.05), wrong])
    labels, task = np.zeros(4, dtype=np.int64), get_task("oct-neh")
    assert EvaluationCounts.of(one, labels, task=task) == EvaluationCounts.of(other, labels, task=task)
    assert abs(fit_temperature(np.log(one), labels) - fit_temperature(np.log(other), labels)) > 5e-4
