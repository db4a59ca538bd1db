"""``result.json`` of a cross-validation: four columns that are never mixed, per fold and pooled, with intervals.

* Columns are teacher and student, each plain and with test-time augmentation. Pooled, every picture is there once, as
  it was predicted by the fold that never saw its group.
* ``comparisons`` are differences of columns on the same resamples, by the name ``COLUMN minus COLUMN``.
* The spread of folds beside the pooled interval is what papers report; it is of the folds, not of the patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from eyebright_common.documents import StrictDocument
from eyebright_common.tasks import get_task
from eyebright_learning.evaluation.cases import Floats
from eyebright_simulations.study.analysis import PooledPictures, differences, estimates, kept_share
from eyebright_simulations.study.crossval_jobs import with_looks
from eyebright_simulations.study.crossval_options import DISTILLED, CrossvalOptions
from eyebright_simulations.study.pictures import load_table
from eyebright_simulations.study.records import Predictions, read_predictions, student_job, teacher_job
from eyebright_simulations.study.result_schema import MAIN, Count, Data, Estimate, Machine

COLUMNS = ("teacher", "teacher with TTA", "student", "student with TTA")
COMPARED = (("student", "teacher"), ("teacher with TTA", "teacher"), ("student with TTA", "student"))

Column = dict[str, Estimate]


class FoldSpread(StrictDocument):
    """Mean and standard deviation of the folds' balanced accuracies."""

    mean: float
    deviation: float


class CrossvalResult(StrictDocument):
    """The content of ``result.json``.

    Columns go by the names of ``COLUMNS``, metrics by those of a study.
    """

    schema_: Literal["eyebright.crossval-result/1"] = Field(default="eyebright.crossval-result/1", alias="schema")
    task: str
    command: str
    options: dict[str, Any]
    data: Data
    teacher: str
    student: str
    folds_run: Annotated[int, Field(ge=1)]
    pictures_tested: Count
    groups_tested: Count
    pooled: dict[str, Column]
    folds: tuple[dict[str, Column], ...]
    spread: dict[str, FoldSpread]
    comparisons: dict[str, Column]
    kept: Estimate
    job_seconds: dict[str, float]
    machine: Machine
    versions: dict[str, str]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in logit order."""
        return tuple(self.data.labels)


def read_columns(out: Path, folds: Sequence[int]) -> dict[str, list[Predictions]]:
    """Return the predictions of each column, fold by fold; teacher and student of a fold must have the same parts."""
    jobs = {
        "teacher": [teacher_job(0, fold) for fold in folds],
        "student": [student_job(DISTILLED, fold, 0) for fold in folds],
    }
    found = {}
    for who, names in jobs.items():
        found[who] = [read_predictions(out, name) for name in names]
        found[f"{who} with TTA"] = [read_predictions(out, with_looks(name)) for name in names]
    for teacher, student in zip(found["teacher"], found["student"], strict=True):
        assert np.array_equal(teacher.train, student.train), "teacher and student of a fold learned from other pictures"
        assert np.array_equal(teacher.test, student.test), "teacher and student of a fold are tested on other pictures"
    return {column: found[column] for column in COLUMNS}


def crossval_numbers(options: CrossvalOptions, out: Path, *, task: str) -> dict[str, Any]:
    """Return the fields of ``CrossvalResult`` that are measured."""
    folds = list(options.folds_to_run)
    columns = read_columns(out, folds)
    whole = _pictures(options, out, task, folds)
    measured = {column: whole.measure([predictions]) for column, predictions in columns.items()}
    by_fold = [
        {
            column: estimates(_pictures(options, out, task, [fold]).measure([[columns[column][fold]]]))
            for column in COLUMNS
        }
        for fold in folds
    ]
    return {
        "folds_run": len(folds),
        "pictures_tested": len(whole.positions),
        "groups_tested": int(whole.members.max()) + 1,
        "pooled": {column: estimates(values) for column, values in measured.items()},
        "folds": tuple(by_fold),
        "spread": {column: _spread([fold[column] for fold in by_fold]) for column in COLUMNS},
        "comparisons": _comparisons(measured),
        "kept": kept_share(measured["student"], measured["teacher"]),
    }


def _pictures(options: CrossvalOptions, out: Path, task: str, folds: Sequence[int]) -> PooledPictures:
    fold_of, groups, labels = load_table(out)
    return PooledPictures.of(
        task=get_task(task),
        groups=groups,
        labels=labels,
        tested=np.isin(fold_of, folds),
        replicates=options.replicates,
        seed=options.seed,
    )


def _comparisons(measured: Mapping[str, Mapping[str, Floats]]) -> dict[str, Column]:
    return {f"{one} minus {other}": differences(measured[one], measured[other]) for one, other in COMPARED}


def _spread(folds: Sequence[Column]) -> FoldSpread:
    values = [column[MAIN].value for column in folds]
    known = np.array([value for value in values if value is not None])
    return FoldSpread(mean=float(known.mean()), deviation=float(known.std(ddof=1)) if len(known) > 1 else 0.0)
