"""`eyebright study crossval`: the OCT recipe on patient-grouped folds, teacher and student, each job once, ever.

* The teacher of a fold is trained on that fold's training patients, then its student on the same ones. Two waves, so
  that a study that is stopped early can be resumed at the job.
* Teacher and student are shown plainly and with test-time augmentation, in columns of their own.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from eyebright_common.durable import write_bytes
from eyebright_simulations.network.workers import Job, run_jobs
from eyebright_simulations.study.crossval_options import DISTILLED, CrossvalOptions
from eyebright_simulations.study.crossval_result import CrossvalResult, crossval_numbers
from eyebright_simulations.study.crossval_table import crossval_table
from eyebright_simulations.study.records import Facts, is_done, student_job, teacher_job
from eyebright_simulations.study.result_schema import RESULT_FILE, Data
from eyebright_simulations.study.run import PACKAGES, TABLE_FILE, context_of, machine_of, mean_seconds, opened_study

_JOBS = "eyebright_simulations.study.crossval_jobs"


def run_crossval(
    options: CrossvalOptions,
    out: Path,
    *,
    console: Console,
    command: str = "",
    resume: bool = False,
    force: bool = False,
) -> CrossvalResult:
    """Run a cross-validation, or finish one; leaves ``result.json`` and ``table.md`` in ``out``.

    Args:
        options: What to train on what.
        out: Its folder.
        console: Where progress is shown.
        command: The command line, for the table.
        resume: Go on with the cross-validation in ``out``; it may ask for more folds.
        force: Start anew although ``out`` holds a study.

    Raises:
        EyebrightError: an option, the data or the output folder cannot be used.
    """
    with opened_study(options, out, console=console, resume=resume, force=force) as (display, data):
        for title, jobs in _waves(options, data["task"]):
            with display.wave(title) as update:
                run_jobs(context_of(options, out, update), [job for job in jobs if not is_done(out, job.name)])
        with display.wave("Intervals"):
            return _report(options, out, data, command=command)


def _waves(options: CrossvalOptions, task: str) -> list[tuple[str, list[Job]]]:
    folds = options.folds_to_run
    return [
        ("Teachers", [_job(teacher_job(0, fold), "teach", options, task, fold) for fold in folds]),
        ("Students", [_job(student_job(DISTILLED, fold, 0), "distil", options, task, fold) for fold in folds]),
    ]


def _job(name: str, work: str, options: CrossvalOptions, task: str, fold: int) -> Job:
    return Job(name=name, work=f"{_JOBS}:{work}", arguments={"options": options, "task": task, "fold": fold})


def _report(options: CrossvalOptions, out: Path, data: Facts, *, command: str) -> CrossvalResult:
    teachers = [teacher_job(0, fold) for fold in options.folds_to_run]
    students = [student_job(DISTILLED, fold, 0) for fold in options.folds_to_run]
    facts = {name: data[name] for name in Data.model_fields}
    result = CrossvalResult(
        task=data["task"],
        command=command,
        options=options.identity() | {"replicates": options.replicates},
        data=Data(**{**facts, "fold_sizes": tuple(data["fold_sizes"])}),
        teacher=options.candidates[0],
        student=options.architecture,
        **crossval_numbers(options, out, task=data["task"]),
        job_seconds={"teacher": mean_seconds(out, teachers), "student": mean_seconds(out, students)},
        machine=machine_of(options),
        versions={name: version(name) for name in PACKAGES},
    )
    write_bytes(out / TABLE_FILE, crossval_table(result).encode())
    write_bytes(out / RESULT_FILE, result.to_json())
    return result
