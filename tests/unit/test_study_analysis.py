"""From predictions to verdicts: pooled over folds, averaged over seeds, paired, and said aloud."""

from __future__ import annotations

import numpy as np
import pytest

from eyebright_common.tasks import get_task
from eyebright_simulations.study.analysis import PooledPictures, differences, estimate, kept_share
from eyebright_simulations.study.records import Predictions
from eyebright_simulations.study.result_schema import Estimate, Row, Skipped
from eyebright_simulations.study.verdicts import ablation_findings, teacher_finding, teachers_findings, verdict_of

TASK = get_task("fundus")
COUNT = 400
LABELS = np.arange(COUNT) % 4
GROUPS = np.arange(COUNT) // 2
FOLDS = (GROUPS % 2).astype(np.int64)


def pictures_of_the_study(*, replicates: int) -> PooledPictures:
    return PooledPictures.of(
        task=TASK, groups=GROUPS, labels=LABELS, tested=np.ones(COUNT, bool), replicates=replicates, seed=0
    )


def predictions(share_right: float, *, seed: int = 0) -> list[Predictions]:
    generator = np.random.default_rng(seed)
    answers = np.where(generator.random(COUNT) < share_right, LABELS, (LABELS + 1) % 4)
    probabilities = 0.1 + 0.6 * np.eye(4)[answers]
    return [
        Predictions(
            test=np.flatnonzero(fold == FOLDS),
            probabilities=probabilities[fold == FOLDS],
            train=np.flatnonzero(fold != FOLDS),
            validation=np.array([], dtype=np.int64),
        )
        for fold in range(2)
    ]


def row(
    name: str, role: str, difference: tuple[float | None, float | None, float | None], accuracy: float = 0.5
) -> Row:
    gap = Estimate(value=difference[0], lower=difference[1], upper=difference[2])
    return Row(
        name=name,
        role=role,
        recipe={},
        seeds=1,
        metrics={"balanced_accuracy": Estimate(value=accuracy, lower=accuracy - 0.1, upper=accuracy + 0.1)},
        differences={"balanced_accuracy": gap},
        kept=None,
        verdict="control" if role == "control" else verdict_of(gap),
    )


def test_folds_are_put_back_into_the_order_of_the_pictures() -> None:
    assert np.array_equal(pictures_of_the_study(replicates=300).pooled(predictions(1.0)).argmax(axis=1), LABELS)


def test_a_picture_predicted_twice_or_never_stops_the_study() -> None:
    first, _ = predictions(1.0)
    for folds in ([first], [first, first]):
        with pytest.raises(AssertionError, match="exactly once"):
            pictures_of_the_study(replicates=300).pooled(folds)


def test_a_model_tested_on_a_patient_it_learned_from_stops_the_study() -> None:
    first, second = predictions(1.0)
    leaky = Predictions(
        test=first.test, probabilities=first.probabilities, train=first.test[:1], validation=first.validation
    )
    with pytest.raises(AssertionError, match="a patient it had seen"):
        pictures_of_the_study(replicates=300).pooled([leaky, second])


def test_a_metric_is_averaged_over_seeds_and_probabilities_are_not() -> None:
    seeds = [predictions(0.8, seed=1), predictions(0.4, seed=2)]
    pictures = pictures_of_the_study(replicates=300)
    alone = [pictures.measure([one])["balanced_accuracy"] for one in seeds]
    assert np.array_equal(pictures.measure(seeds)["balanced_accuracy"], (alone[0] + alone[1]) / 2)


def test_differences_are_taken_within_each_resample() -> None:
    pictures = pictures_of_the_study(replicates=300)
    control, arm = pictures.measure([predictions(0.7, seed=1)]), pictures.measure([predictions(0.8, seed=2)])
    gap = differences(arm, control)["balanced_accuracy"]
    values = (arm["balanced_accuracy"] - control["balanced_accuracy"])[1:]
    assert (gap.lower, gap.upper) == pytest.approx(tuple(np.quantile(values, (0.025, 0.975))), abs=1e-12)
    assert differences(arm, arm)["ece"] == Estimate(value=0.0, lower=0.0, upper=0.0)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(60):
        found = estimate(
            pictures_of_the_study(replicates=200).measure([predictions(0.7, seed=seed)])["balanced_accuracy"]
        )
        assert found.lower is not None
        assert found.upper is not None
        covered += found.lower <= 0.7 <= found.upper
    assert 50 <= covered <= 60  # 57 expected


def test_what_is_hardly_ever_defined_has_no_interval() -> None:
    assert estimate(np.array([0.5, np.nan, np.nan, np.nan, 0.5])) == Estimate(value=0.5, lower=None, upper=None)
    assert estimate(np.array([np.nan, 0.5, 0.5])) == Estimate(value=None, lower=None, upper=None)


def test_a_student_as_good_as_its_teacher_keeps_all_of_it() -> None:
    measured = pictures_of_the_study(replicates=300).measure([predictions(0.7)])
    assert kept_share(measured, measured) == Estimate(value=1.0, lower=1.0, upper=1.0)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        ((0.02, 0.001, 0.04), "helped"),
        ((0.02, 0.0, 0.04), "not settled"),
        ((-0.02, -0.04, 0.001), "not settled"),
        ((-0.02, -0.04, -0.001), "hurt"),
        ((None, None, None), "not settled"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(
    difference: tuple[float | None, float | None, float | None], verdict: str
) -> None:
    assert verdict_of(Estimate(value=difference[0], lower=difference[1], upper=difference[2])) == verdict


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((-0.01, -0.05, 0.03), "USELESS TEACHER"),
        ((0.0, -0.05, 0.05), "USELESS TEACHER"),
        ((0.01, -0.02, 0.03), "UNPROVEN TEACHER"),
        ((0.03, 0.01, 0.05), "beats the CE-only control by +3.0 points, +1.0 to +5.0"),
    ],
)
def test_a_teacher_that_does_not_beat_the_control_is_called_so(
    difference: tuple[float, float, float], words: str
) -> None:
    assert words in teacher_finding(row("vit", "teacher", difference))


def test_every_arm_is_named_under_its_verdict_and_what_was_not_run_too() -> None:
    rows = [
        row("ce", "control", (0.0, 0.0, 0.0)),
        row("kd", "arm", (0.02, 0.01, 0.03)),
        row("dist", "arm", (0.0, -0.01, 0.01)),
        row("vit", "teacher", (0.05, 0.02, 0.08)),
    ]
    findings = ablation_findings(rows, [Skipped(name="gl", reason="needs features")], folds_run=2, folds=5)
    assert findings[0].startswith("The teacher vit beats")
    assert "Helped: kd (+2.0 points, +1.0 to +3.0)." in findings
    assert "HURT: none." in findings
    assert any(finding.startswith("Not settled: dist") for finding in findings)
    assert "Not run: gl, because it needs features." in findings
    assert findings[-1].startswith("Only 2 of 5 folds")


def test_the_strongest_teacher_is_named_first_even_when_it_is_useless() -> None:
    rows = [
        row("ce", "control", (0.0, 0.0, 0.0), 0.7),
        row("weak", "teacher", (-0.1, -0.2, -0.05), 0.6),
        row("strong", "teacher", (-0.01, -0.02, 0.01), 0.69),
    ]
    findings = teachers_findings(rows, folds_run=5, folds=5)
    assert findings[0].startswith("Strongest teacher: strong. USELESS TEACHER")
    assert "USELESS TEACHER: weak" in findings[1]
