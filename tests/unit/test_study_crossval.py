"""Cross-validation's own rules: the published schedule at any length, and columns that must belong together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_learning.views import STRONG_STUDENT, STRONG_TEACHER
from eyebright_simulations.study.crossval_jobs import student_recipe, with_looks
from eyebright_simulations.study.crossval_options import CrossvalOptions
from eyebright_simulations.study.crossval_result import crossval_numbers, read_columns
from eyebright_simulations.study.folds import FoldParts, fold_parts
from eyebright_simulations.study.records import student_job, teacher_job, write_record
from eyebright_simulations.study.students import student_training
from eyebright_simulations.study.teachers import teacher_training

OCT = get_task("oct")
PUBLISHED = CrossvalOptions(epochs=100, teacher_epochs=150, teacher_weights="convnextv2_large.safetensors")


def test_at_the_published_length_the_schedule_is_the_published_one() -> None:
    config = teacher_training(PUBLISHED, OCT, seed=7)
    assert (config.learning_rate, config.weight_decay) == (1e-4, 0.05)
    assert config.backbone_learning_rate == pytest.approx(2e-5)
    assert (config.frozen_epochs, config.averaging_epoch) == (5, 100)
    assert config.warmup * 150 == pytest.approx(10)
    assert config.learning_rate * config.averaging_rate == pytest.approx(1e-5)
    assert (config.balance, config.view_family) == ("loss", STRONG_TEACHER)


def test_the_students_mixture_is_the_published_one() -> None:
    recipe, config = student_recipe(PUBLISHED), student_training(PUBLISHED, OCT, seed=7)
    assert (recipe.ce, recipe.kd, recipe.dist, recipe.temperature) == (0.3, 0.7, 0.0, 4.0)
    assert (config.learning_rate, config.weight_decay, config.view_family) == (1e-3, 0.01, STRONG_STUDENT)


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 12, 40])
@pytest.mark.parametrize("weights", [None, "file.safetensors"])
def test_the_schedule_fits_any_number_of_passes(epochs: int, weights: str | None) -> None:
    config = teacher_training(CrossvalOptions(epochs=epochs, teacher_weights=weights), OCT, seed=8)
    assert config.averages == (epochs >= 6)
    assert config.frozen_epochs == 0 or weights is not None


def test_a_teacher_from_nothing_is_not_frozen() -> None:
    config = teacher_training(replace(PUBLISHED, teacher_weights=None), OCT, seed=7)
    assert (config.frozen_epochs, config.backbone_learning_rate) == (0, None)


def test_another_teacher_is_another_cross_validation() -> None:
    one, other = (CrossvalOptions(teachers=(name,)).identity() for name in ("a", "b"))
    assert one != other


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (CrossvalOptions(test_views=1), "--test-views"),
        (CrossvalOptions(seeds=2), "one student per fold"),
        (CrossvalOptions(recipe="fundus-vit"), "follows the OCT recipe"),
    ],
)
def test_options_without_meaning_are_refused(options: CrossvalOptions, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        options.check()


GROUPS = np.repeat(np.arange(30), 2)
LABELS = np.repeat(np.arange(30) % 4, 2)
FOLD_OF = np.repeat(np.arange(30) // 4 % 2, 2)


def answers(parts: FoldParts, right: float) -> np.ndarray:
    """Return probabilities that are right on a share of the test pictures."""
    said = LABELS[parts.test].copy()
    wrong = round((1.0 - right) * len(said))
    said[:wrong] = (said[:wrong] + 1) % 4
    return np.eye(4)[said] * 0.9 + 0.025


def write_study(out: Path, *, student_parts: dict[int, FoldParts] | None = None) -> None:
    (out / "work").mkdir(parents=True)
    (out / "jobs").mkdir()
    np.savez(out / "work" / "folds.npz", fold=FOLD_OF, groups=GROUPS, labels=LABELS)
    for fold in (0, 1):
        parts = fold_parts(GROUPS, LABELS, FOLD_OF, fold, seed=7)
        own = (student_parts or {}).get(fold, parts)
        for name, of, shares in (
            (teacher_job(0, fold), parts, (0.9, 1.0)),
            (student_job("kd", fold, 0), own, (0.8, 0.85)),
        ):
            for record, share in zip((name, with_looks(name)), shares, strict=True):
                write_record(out, record, parts=of, probabilities=answers(of, share), facts={"seconds": 1.0})


def test_columns_are_measured_apart_and_compared_on_the_same_resamples(tmp_path: Path) -> None:
    write_study(tmp_path)
    found = crossval_numbers(CrossvalOptions(folds=2, replicates=100), tmp_path, task="oct")
    value = {column: metrics["balanced_accuracy"].value for column, metrics in found["pooled"].items()}
    assert value["teacher with TTA"] == 1.0
    assert value["teacher"] > value["student with TTA"] > value["student"]
    gap = found["comparisons"]["student minus teacher"]["balanced_accuracy"].value
    assert gap == pytest.approx(value["student"] - value["teacher"])
    assert found["kept"].value == pytest.approx(value["student"] / value["teacher"])
    by_fold = [fold["student"]["balanced_accuracy"].value for fold in found["folds"]]
    assert found["spread"]["student"].mean == pytest.approx(np.mean(by_fold))
    assert found["spread"]["student"].deviation == pytest.approx(np.std(by_fold, ddof=1))


def test_a_student_that_was_tested_on_what_its_teacher_learned_is_not_reported(tmp_path: Path) -> None:
    swapped = {fold: fold_parts(GROUPS, LABELS, FOLD_OF, 1 - fold, seed=7) for fold in (0, 1)}
    write_study(tmp_path, student_parts=swapped)
    with pytest.raises(AssertionError, match="learned from other pictures"):
        read_columns(tmp_path, [0, 1])
