"""Metrics, calibration, operating point, patients and intervals, on numbers one can check by hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_learning.evaluation import (
    EvaluationCounts,
    bootstrap_interval,
    choose_threshold,
    fit_temperature,
    metrics,
    predict,
    referable_score,
    reliability,
    roc_points,
    softmax,
    worst_eye,
)
from eyebright_learning.evaluation.counts import SCORE_EDGES, score_bin
from learning_pictures import small_teacher, striped_pictures

FUNDUS = get_task("fundus")
# Four pictures, one per class; the glaucoma is taken for diabetic retinopathy, everything else is right.
FOUR = np.array(
    [[0.70, 0.10, 0.10, 0.10], [0.10, 0.60, 0.20, 0.10], [0.30, 0.40, 0.20, 0.10], [0.05, 0.05, 0.10, 0.80]]
)
TRUTH = np.arange(4)


def random_case(count: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, count)
    logits = generator.normal(0, 1, (count, 4))
    logits[np.arange(count), labels] += 1.0
    return softmax(logits), labels


def test_metrics_have_the_agreed_shape() -> None:
    m = metrics(FOUR, TRUTH, task=FUNDUS, threshold=0.5)
    assert set(m) == {
        "accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "recall", "precision", "ece", "referable", "n",
    }  # fmt: skip
    assert set(m["referable"]) == {"auroc", "sensitivity", "specificity", "threshold"}
    assert tuple(m["recall"]) == tuple(m["precision"]) == FUNDUS.classes


def test_metrics_of_four_pictures_by_hand() -> None:
    m = metrics(FOUR, TRUTH, task=FUNDUS, threshold=0.5)
    assert (m["n"], m["accuracy"], m["balanced_accuracy"]) == (4, 0.75, 0.75)
    assert m["recall"]["glaucoma"] == 0.0
    assert m["precision"]["diabetic_retinopathy"] == 0.5
    assert m["precision"]["glaucoma"] is None  # nothing was called glaucoma
    assert m["macro_f1"] == pytest.approx((1 + 2 / 3 + 0 + 1) / 4)
    # Referable scores 0.3, 0.9, 0.7, 0.95; the first picture is the healthy one.
    assert m["referable"] == {"auroc": 1.0, "sensitivity": 1.0, "specificity": 1.0, "threshold": 0.5}
    # Confidences .7, .6, .4, .8 in four different bins; right, right, wrong, right.
    assert m["ece"] == pytest.approx((0.3 + 0.4 + 0.4 + 0.2) / 4)


def test_metrics_agree_with_scikit_learn() -> None:
    p, y = random_case()
    m = metrics(p, y, task=FUNDUS, threshold=0.5)
    assert m["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, p.argmax(1)))
    assert m["macro_f1"] == pytest.approx(f1_score(y, p.argmax(1), average="macro"))
    assert m["macro_auroc"] == pytest.approx(roc_auc_score(y, p, multi_class="ovr", average="macro"))


def test_without_pictures_everything_is_unknown() -> None:
    m = metrics(np.zeros((0, 4)), np.zeros(0, dtype=int), task=FUNDUS, threshold=0.5)
    assert m["n"] == 0
    assert [m[k] for k in ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "ece")] == [None] * 5
    assert m["referable"] == {"auroc": None, "sensitivity": None, "specificity": None, "threshold": 0.5}


def test_one_class_alone_has_no_auroc_and_no_warning() -> None:
    m = metrics(FOUR, np.ones(4, dtype=int), task=FUNDUS, threshold=0.5)
    assert m["macro_auroc"] is None
    assert m["referable"]["auroc"] is None
    assert m["referable"]["specificity"] is None
    assert m["recall"]["normal"] is None
    assert m["balanced_accuracy"] == 0.5  # the one class that has pictures


def test_without_a_threshold_sensitivity_is_open() -> None:
    referable = metrics(FOUR, TRUTH, task=FUNDUS, threshold=None)["referable"]
    assert (referable["sensitivity"], referable["threshold"], referable["auroc"]) == (None, None, 1.0)


def test_counts_tell_the_same_story_as_the_pictures() -> None:
    p, y = random_case()
    threshold = choose_threshold(EvaluationCounts.of(p, y, task=FUNDUS)).value
    exact = metrics(p, y, task=FUNDUS, threshold=threshold)
    counted = EvaluationCounts.of(p, y, task=FUNDUS).metrics(task=FUNDUS, threshold=threshold)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "recall", "precision", "n"):
        assert counted[name] == exact[name]
    assert counted["referable"]["sensitivity"] == exact["referable"]["sensitivity"]
    assert counted["referable"]["specificity"] == exact["referable"]["specificity"]
    assert counted["ece"] == pytest.approx(exact["ece"], abs=1e-6)
    assert counted["macro_auroc"] == pytest.approx(exact["macro_auroc"], abs=2e-3)


def test_counts_survive_a_message() -> None:
    counts = EvaluationCounts.of(*random_case(), task=FUNDUS)
    assert EvaluationCounts.from_dict(counts.to_dict(), task=FUNDUS) == counts


@pytest.mark.parametrize("damage", ["missing", "short", "negative", "fraction", "contradiction"])
def test_damaged_counts_are_refused(damage: str) -> None:
    lists = EvaluationCounts.of(FOUR, TRUTH, task=FUNDUS).to_dict()
    if damage == "missing":
        del lists["confusion"]
    if damage == "short":
        lists["referable_positive"] = lists["referable_positive"][:-1]
    if damage == "negative":
        lists["confusion"][1] = -1
    if damage == "fraction":
        lists["confusion"][1] = 0.5  # type: ignore[call-overload]  # what a hostile message may hold
    if damage == "contradiction":
        lists["confusion"][1] += 1
    with pytest.raises(InputError, match="evaluation counts"):
        EvaluationCounts.from_dict(lists, task=FUNDUS)


def test_the_threshold_is_the_highest_that_finds_enough() -> None:
    # Ten pictures to be referred with scores 0.05 … 0.95: nine of ten are at or above 0.15.
    score = np.concatenate([np.arange(10) / 10 + 0.05, [0.02, 0.12, 0.5]])
    labels = np.array([1] * 10 + [0] * 3)
    p = np.stack([1 - score, score, 0 * score, 0 * score], axis=1)
    chosen = choose_threshold(EvaluationCounts.of(p, labels, task=FUNDUS), min_sensitivity=0.87, source="hospitals")
    assert 0.12 < chosen.value <= 0.15
    assert chosen.value == SCORE_EDGES[score_bin(np.array([0.15]))[0]]
    assert chosen.provenance.sensitivity == 0.9
    assert chosen.provenance.specificity == pytest.approx(2 / 3)
    assert (chosen.provenance.images, chosen.provenance.positives) == (13, 10)
    assert chosen.to_dict()["provenance"]["source"] == "hospitals"


def test_full_sensitivity_can_be_asked_for() -> None:
    counts = EvaluationCounts.of(*random_case(), task=FUNDUS)
    assert choose_threshold(counts, min_sensitivity=1.0).provenance.sensitivity == 1.0


def test_without_a_picture_to_be_referred_the_threshold_falls_back() -> None:
    chosen = choose_threshold(EvaluationCounts.of(FOUR[:1], [0], task=FUNDUS))
    assert (chosen.value, chosen.provenance.rule, chosen.provenance.sensitivity) == (0.5, "fallback", None)


@pytest.mark.parametrize("target", [0.0, 1.1, float("nan")])
def test_an_impossible_sensitivity_is_refused(target: float) -> None:
    with pytest.raises(InputError, match="sensitivity"):
        choose_threshold(EvaluationCounts.zero(4), min_sensitivity=target)


def test_the_referable_score_is_the_sum_of_the_referable_classes() -> None:
    assert referable_score(FOUR, FUNDUS) == pytest.approx([0.3, 0.9, 0.7, 0.95])


def test_temperature_undoes_known_overconfidence() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (20_000, 4))
    labels = (softmax(logits).cumsum(1) > generator.random((20_000, 1))).argmax(1)
    # Labels were drawn from softmax(z); the logits 3 z are then overconfident by exactly 3.
    assert fit_temperature(3.0 * logits, labels) == pytest.approx(3.0, rel=0.03)


def test_temperature_of_nothing_is_one() -> None:
    assert fit_temperature(np.zeros((0, 4)), []) == 1.0


def test_perfectly_calibrated_halves_have_no_calibration_error() -> None:
    p = np.tile([0.5, 0.5, 0.0, 0.0], (10, 1))
    bins = reliability(p, np.array([0, 1] * 5))
    (full,) = [b for b in bins if b.count]
    assert (full.count, full.confidence, full.accuracy) == (10, 0.5, 0.5)
    assert metrics(p, np.array([0, 1] * 5), task=FUNDUS, threshold=None)["ece"] == 0.0


def test_confidence_one_belongs_to_the_last_bin() -> None:
    assert reliability(np.eye(4), TRUTH)[-1].count == 4


def test_a_patient_is_as_bad_as_the_worse_eye() -> None:
    rows = worst_eye(np.array([0.2, 0.9, 0.1, 0.3]), np.array([False, True, False, False]), ["b", "b", "a", "a"])
    assert rows.patients == ("a", "b")
    assert rows.scores.tolist() == [0.3, 0.9]
    assert rows.positive.tolist() == [False, True]


def test_roc_points_run_from_corner_to_corner() -> None:
    points = roc_points(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    assert points is not None
    assert (points.false_positive_rate[0], points.sensitivity[0]) == (0.0, 0.0)
    assert (points.false_positive_rate[-1], points.sensitivity[-1]) == (1.0, 1.0)
    assert roc_points(np.array([0.1]), np.array([True])) is None


def test_counted_roc_points_enclose_the_counted_area() -> None:
    counts = EvaluationCounts.of(*random_case(), task=FUNDUS)
    points = counts.roc_points()
    assert points is not None
    area = np.trapezoid(points.sensitivity, points.false_positive_rate)
    assert area == pytest.approx(counts.metrics(task=FUNDUS, threshold=None)["referable"]["auroc"])


def test_an_interval_from_patients_is_wider_than_one_from_pictures() -> None:
    generator = np.random.default_rng(0)
    right = np.repeat(generator.random(60) < 0.7, 8)  # all eight pictures of a patient are right or wrong together

    def accuracy(index: np.ndarray) -> float:
        return float(right[index].mean())

    by_patient = bootstrap_interval(accuracy, np.repeat(np.arange(60), 8), seed=1)
    by_picture = bootstrap_interval(accuracy, np.arange(480), seed=1)
    assert by_patient is not None
    assert by_picture is not None
    ratio = (by_patient.upper - by_patient.lower) / (by_picture.upper - by_picture.lower)
    assert ratio == pytest.approx(8**0.5, rel=0.25)  # eight equal pictures are one fact: sqrt(8) wider


def test_an_interval_needs_two_patients_and_a_defined_number() -> None:
    assert bootstrap_interval(lambda index: 1.0, [0, 0, 0]) is None
    assert bootstrap_interval(lambda index: None, [0, 1, 2]) is None
    assert bootstrap_interval(lambda index: 1.0, []) is None


def test_predictions_do_not_depend_on_the_batch_and_leave_the_mode_alone() -> None:
    model, images = small_teacher().train(), striped_pictures(5)
    np.testing.assert_allclose(predict(model, images.pixels, batch=2), predict(model, images.pixels), atol=1e-5)
    assert model.training
    assert predict(model, images.pixels).dtype == np.float32


def test_no_pictures_give_no_predictions() -> None:
    assert predict(small_teacher(), striped_pictures(2).pixels[:0]).shape == (0, 0)
    assert softmax(np.zeros((0, 4))).shape == (0, 4)


def test_softmax_of_large_logits_does_not_overflow() -> None:
    assert softmax([[1000.0, 0.0]]).tolist() == [[1.0, 0.0]]
    np.testing.assert_allclose(softmax([[2.0, 1.0]], temperature=2.0), torch.softmax(torch.tensor([[1.0, 0.5]]), 1))


def test_evaluation_and_data_import_without_torch() -> None:
    code = "import sys, eyebright_learning.evaluation, eyebright_learning.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
