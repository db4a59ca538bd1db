"""The jobs of a study, in an order in which what is needed is there.

Three waves: teachers and controls, which need nobody; the teacher's targets, once per fold; the distilled arms. Within
a wave fold goes before seed before arm, so that a study that is stopped early has whole folds to show.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eyebright_simulations.network.workers import Job
from eyebright_simulations.study.arms import CONTROL, needs_features
from eyebright_simulations.study.folds import HeldOut
from eyebright_simulations.study.options import StudyOptions
from eyebright_simulations.study.records import held_out_job, is_done, teacher_job

_STUDY = "eyebright_simulations.study"
# What one pass costs beside a student's pass; only the progress bar goes by it.
_TEACHER_PASS, _DISTILLED_PASS = 2.0, 1.1


def preparation(options: StudyOptions) -> Job:
    """Return the job that reads and deals the pictures."""
    return Job(name="pictures", work=f"{_STUDY}.pictures:prepare", arguments={"options": options})


def network_check(options: StudyOptions) -> Job:
    """Return the job that refuses networks, weights and devices that are not there, before anything is written."""
    return Job(name="networks", work=f"{_STUDY}.teachers:check_networks", arguments={"options": options})


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
    folds = sorted({job.arguments["held_out"].number for job in waiting})
    features = any(needs_features(job.arguments["arm"]) for job in waiting)
    return [
        Job(
            name=f"targets.fold-{fold}",
            work=f"{_STUDY}.teachers:cache_targets",
            arguments={"options": options, "task": task, "fold": fold, "features": features},
        )
        for fold in folds
    ]


def pooled_and_held_out(options: StudyOptions, out: Path, sites: int, *, task: str) -> list[Job]:
    """Return what is still to do of a comparison of sites: the control without each fold, then without each site."""
    return _unfinished(
        out, [_student(options, CONTROL, held_out, 0, task=task) for held_out in all_held_out(options, sites)]
    )


def all_held_out(options: StudyOptions, sites: int) -> list[HeldOut]:
    """Return what a comparison of sites holds out: every fold that is run, then every site."""
    folds = [HeldOut(by="fold", number=fold) for fold in options.folds_to_run]
    return folds + [HeldOut(by="site", number=site) for site in range(sites)]


def _students(options: StudyOptions, arms: Sequence[str], *, task: str) -> list[Job]:
    return [
        _student(options, arm, HeldOut(by="fold", number=fold), seed, task=task)
        for fold in options.folds_to_run
        for seed in range(options.seeds)
        for arm in arms
    ]


def _student(options: StudyOptions, arm: str, held_out: HeldOut, seed: int, *, task: str) -> Job:
    return Job(
        name=held_out_job(arm, held_out, seed),
        work=f"{_STUDY}.students:learn",
        arguments={"options": options, "task": task, "arm": arm, "held_out": held_out, "seed": seed},
        weight=options.epochs * (1.0 if arm == CONTROL else _DISTILLED_PASS),
    )


def _unfinished(out: Path, jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if not is_done(out, job.name)]
