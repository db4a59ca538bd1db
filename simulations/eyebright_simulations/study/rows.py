"""The rows of a study's table: the control, every arm that was run, every teacher, all on the same resamples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from eyebright_common.tasks import get_task
from eyebright_learning.evaluation.cases import Floats
from eyebright_server.student_recipes import get_recipe
from eyebright_simulations.study.analysis import PooledPictures, differences, estimates, kept_share
from eyebright_simulations.study.arms import CONTROL, recipe_of
from eyebright_simulations.study.options import StudyOptions
from eyebright_simulations.study.pictures import load_table
from eyebright_simulations.study.records import read_predictions, student_job, teacher_job
from eyebright_simulations.study.result_schema import MAIN, Role, Row
from eyebright_simulations.study.verdicts import verdict_of

Measured = Mapping[str, Floats]


def tested_pictures(options: StudyOptions, out: Path, *, task: str) -> PooledPictures:
    """Return the pictures of the folds that were run, and the resamples."""
    fold_of, groups, labels = load_table(out)
    return PooledPictures.of(
        task=get_task(task),
        groups=groups,
        labels=labels,
        tested=fold_of < len(options.folds_to_run),
        replicates=options.replicates,
        seed=options.seed,
    )


def study_rows(options: StudyOptions, out: Path, tested: PooledPictures, *, arms: tuple[str, ...]) -> list[Row]:
    """Return the rows: control, arms in order, teachers.

    Args:
        options: The study.
        out: Its folder, with every record there.
        tested: The pictures and resamples.
        arms: The arms that were run, the control among them.
    """
    teachers = [_teacher(options, out, tested, index) for index in range(len(options.candidates))]
    control = _student(options, out, tested, CONTROL)
    whole = teachers[0] if options.kind == "ablation" else None
    rows = [_row(options, CONTROL, "control", control, control, whole)]
    rows += [
        _row(options, arm, "arm", _student(options, out, tested, arm), control, whole) for arm in arms if arm != CONTROL
    ]
    return rows + [
        _row(options, name, "teacher", measured, control, None)
        for name, measured in zip(options.candidates, teachers, strict=True)
    ]


def _student(options: StudyOptions, out: Path, tested: PooledPictures, arm: str) -> Measured:
    return tested.measure(
        [
            [read_predictions(out, student_job(arm, fold, seed)) for fold in options.folds_to_run]
            for seed in range(options.seeds)
        ]
    )


def _teacher(options: StudyOptions, out: Path, tested: PooledPictures, index: int) -> Measured:
    return tested.measure([[read_predictions(out, teacher_job(index, fold)) for fold in options.folds_to_run]])


def _row(
    options: StudyOptions, name: str, role: Role, measured: Measured, control: Measured, teacher: Measured | None
) -> Row:
    compared = differences(measured, control)
    of_student = role != "teacher"
    temperature = get_recipe(options.recipe).temperature
    return Row(
        name=name,
        role=role,
        recipe=recipe_of(name, temperature=temperature, weights=options.weights) if of_student else {},
        seeds=options.seeds if of_student else 1,
        metrics=estimates(measured),
        differences=compared,
        kept=None if teacher is None else kept_share(measured, teacher),
        verdict="control" if role == "control" else verdict_of(compared[MAIN]),
    )
