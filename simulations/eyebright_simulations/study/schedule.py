"""The jobs of a study, in an order in which what is needed is there.

Three waves: teachers and controls, which need nobody; the teacher's targets, once per fold; the distilled arms. Within
a wave fold goes before seed before arm, so that a study that is stopped early has whole folds to show.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eyebright_simulations.network.workers import Job
from eyebright_simulations.study.arms import CONTROL, needs_features
from eyebright_simulations.study.options import StudyOptions
from eyebright_simulations.study.records import is_done, student_job, teacher_job

_STUDY = "eyebright_simulations.study"
# What one pass costs beside a student's pass; only the progress bar goes by it.
_TEACHER_PASS, _DISTILLED_PASS = 2.0, 1.1


def preparation(options: StudyOptions) -> Job:
    """Return the job that reads and deals the pictures."""
    return Job(name="pictures", work=f"{_STUDY}.pictures:prepare", arguments={"options": options})


def name_check(options: StudyOptions) -> Job:
    """Return the job that refuses unknown networks, before anything is written."""
    return Job(name="names", work=f"{_STUDY}.teachers:check_names", arguments={"options": options})


def teachers_and_controls(options: StudyOptions, out: Path, *, task: str) -> list[Job]:
    """Return what is still to do of the first wave; teachers first, they take longest."""
    passes = options.teacher_epochs or options.epochs
    jobs = [
        Job(
            name=teacher_job(index, fold),
            work=f"{_STUDY}.teachers:teach",
            arguments={"options": options, "task": task, "index": index, "fold": fold},
            weight=_TEACHER_PASS * passes,
        )
        for fold in options.folds_to_run
        for index in range(len(options.candidates))
    ]
    return _unfinished(out, jobs + _students(options, (CONTROL,), task=task))


def distilled(options: StudyOptions, out: Path, arms: Sequence[str], *, task: str) -> list[Job]:
    """Return what is still to do of the last wave."""
    return _unfinished(out, _students(options, [arm for arm in arms if arm != CONTROL], task=task))


def targets(options: StudyOptions, waiting: Sequence[Job], *, task: str) -> list[Job]:
    """Return the caching of those folds for which an arm is waiting; a cache that is there is left as it is."""
    folds = sorted({job.arguments["fold"] for job in waiting})
    features = any(needs_features(job.arguments["arm"]) for job in waiting)
    return [
        Job(
            name=f"targets.fold-{fold}",
            work=f"{_STUDY}.teachers:cache_targets",
            arguments={"options": options, "task": task, "fold": fold, "features": features},
        )
        for fold in folds
    ]


def _students(options: StudyOptions, arms: Sequence[str], *, task: str) -> list[Job]:
    return [
        Job(
            name=student_job(arm, fold, seed),
            work=f"{_STUDY}.students:learn",
            arguments={"options": options, "task": task, "arm": arm, "fold": fold, "seed": seed},
            weight=options.epochs * (1.0 if arm == CONTROL else _DISTILLED_PASS),
        )
        for fold in options.folds_to_run
        for seed in range(options.seeds)
        for arm in arms
    ]


def _unfinished(out: Path, jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if not is_done(out, job.name)]
