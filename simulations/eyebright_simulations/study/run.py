"""A whole study: pictures, teachers and controls, targets, arms, numbers; each job once, ever."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from eyebright_common.durable import write_bytes, write_json
from eyebright_common.errors import OutputInUse
from eyebright_simulations.network.context import Context, Update
from eyebright_simulations.network.workers import run_jobs
from eyebright_simulations.network.workspace import Workspace
from eyebright_simulations.study import schedule
from eyebright_simulations.study.arms import skipped_arms
from eyebright_simulations.study.display import Display
from eyebright_simulations.study.options import StudyOptions
from eyebright_simulations.study.plot import study_plot
from eyebright_simulations.study.records import Facts, read_facts, student_job, teacher_job
from eyebright_simulations.study.result_schema import (
    RESULT_FILE,
    Data,
    Machine,
    Skipped,
    StudyResult,
    write_result,
)
from eyebright_simulations.study.rows import study_rows, tested_pictures
from eyebright_simulations.study.table import study_table
from eyebright_simulations.study.verdicts import ablation_findings, teachers_findings

IDENTITY_FILE, TABLE_FILE, PLOT_FILE = "study.json", "table.md", "plot.svg"
PACKAGES = ("eyebright", "torch", "torchvision", "timm", "numpy", "opencv-python-headless", "scikit-learn")


def run_study(
    options: StudyOptions,
    out: Path,
    *,
    console: Console,
    command: str = "",
    resume: bool = False,
    force: bool = False,
) -> StudyResult:
    """Run a study, or finish or widen one; leaves ``result.json``, ``table.md`` and ``plot.svg`` in ``out``.

    Args:
        options: What to compare.
        out: Its folder.
        console: Where progress is shown.
        command: The command line, for the table.
        resume: Go on with the study in ``out``; it may ask for more arms, seeds, folds or teachers.
        force: Start anew although ``out`` holds a study.

    Raises:
        EyebrightError: an option, the data or the output folder cannot be used.
    """
    with opened_study(options, out, console=console, resume=resume, force=force) as (display, data):
        skipped = _train(options, out, display, task=data["task"])
        with display.wave("Intervals"):
            return _report(options, out, data, skipped, command=command)


@contextmanager
def opened_study(
    options: StudyOptions, out: Path, *, console: Console, resume: bool, force: bool
) -> Iterator[tuple[Display, Facts]]:
    """Hold the folder of a study, and give its display and what is known of its pictures.

    Raises:
        EyebrightError: an option, the data or the output folder cannot be used.
    """
    options.check()
    run_jobs(context_of(options, out, lambda share, note: None), [schedule.network_check(options)])
    with Workspace.open(out, options.shared, resume=resume, force=force) as workspace:
        _claim(options, out)
        display = Display(console)
        with display.wave("Pictures and patients") as update:
            context, job = context_of(options, out, update), schedule.preparation(options)
            data = workspace.stage("pictures", lambda: run_jobs(context, [job])[job.name])
        yield display, data


def _train(options: StudyOptions, out: Path, display: Display, *, task: str) -> dict[str, str]:
    """Do the three waves; return the arms that could not be run, and why."""
    with display.wave("Teachers and CE-only controls") as update:
        run_jobs(context_of(options, out, update), schedule.teachers_and_controls(options, out, task=task))
    if options.kind == "teachers":
        return {}
    skipped = skipped_arms(
        options.arms,
        teacher=options.candidates[0],
        has_features=all(read_facts(out, teacher_job(0, fold))["has_features"] for fold in options.folds_to_run),
    )
    waiting = schedule.distilled(options, out, [arm for arm in options.arms if arm not in skipped], task=task)
    with display.wave("The teacher's targets") as update:
        run_jobs(context_of(options, out, update), schedule.targets(options, waiting, task=task))
    with display.wave("Distilled students") as update:
        run_jobs(context_of(options, out, update), waiting)
    return skipped


def _report(options: StudyOptions, out: Path, data: Facts, skipped: dict[str, str], *, command: str) -> StudyResult:
    assert options.kind == "ablation" or options.kind == "teachers", "the other kinds have reports of their own"
    tested = tested_pictures(options, out, task=data["task"])
    arms = tuple(arm for arm in options.arms if arm not in skipped)
    rows = study_rows(options, out, tested, arms=arms)
    left_out = [Skipped(name=arm, reason=reason) for arm, reason in skipped.items()]
    run = {"folds_run": len(options.folds_to_run), "folds": options.folds}
    findings = (
        ablation_findings(rows, left_out, **run) if options.kind == "ablation" else teachers_findings(rows, **run)
    )
    result = StudyResult(
        kind=options.kind,
        task=data["task"],
        command=command,
        options=_options(options),
        data=Data(**{**{name: data[name] for name in Data.model_fields}, "fold_sizes": tuple(data["fold_sizes"])}),
        folds_run=run["folds_run"],
        pictures_tested=len(tested.positions),
        groups_tested=int(tested.members.max()) + 1,
        rows=tuple(rows),
        skipped=tuple(left_out),
        findings=tuple(findings),
        job_seconds=_seconds(options, out, arms),
        machine=machine_of(options),
        versions={name: version(name) for name in PACKAGES},
    )
    write_bytes(out / TABLE_FILE, study_table(result).encode())
    write_bytes(out / PLOT_FILE, study_plot(result).encode())
    write_result(out / RESULT_FILE, result)
    return result


def _claim(options: StudyOptions, out: Path) -> None:
    """Write down which study this folder holds, or refuse another one's.

    Raises:
        OutputInUse: the study in ``out`` was started with other options.
    """
    file, wanted = out / IDENTITY_FILE, json.loads(json.dumps(options.identity()))
    if not file.exists():
        write_json(file, wanted)
        return
    held = json.loads(file.read_text())
    if differing := sorted(name for name in wanted | held if wanted.get(name) != held.get(name)):
        raise OutputInUse(
            "the study in --out was started with other options",
            value=", ".join(differing),
            fix="Give the same ones to resume it, or --force to start anew.",
        )


def context_of(options: StudyOptions, out: Path, update: Update) -> Context:
    """Return what the jobs of a study can reach."""
    return Context(options=options.shared, out=out, update=update)


def _options(options: StudyOptions) -> dict[str, object]:
    widened = {"arms": list(options.arms), "seeds": options.seeds, "teachers": list(options.candidates)}
    return options.identity() | widened | {"folds_run": len(options.folds_to_run), "replicates": options.replicates}


def _seconds(options: StudyOptions, out: Path, arms: tuple[str, ...]) -> dict[str, float]:
    """Return the mean wall time of a job of each kind."""
    jobs = {
        name: [teacher_job(index, fold) for fold in options.folds_to_run]
        for index, name in enumerate(options.candidates)
    }
    jobs |= {
        arm: [student_job(arm, fold, seed) for fold in options.folds_to_run for seed in range(options.seeds)]
        for arm in arms
    }
    return {kind: mean_seconds(out, names) for kind, names in jobs.items()}


def mean_seconds(out: Path, names: Sequence[str]) -> float:
    """Return the mean wall time of these jobs, which are done."""
    return round(sum(float(read_facts(out, name)["seconds"]) for name in names) / len(names), 1)


def machine_of(options: StudyOptions) -> Machine:
    """Return where this process runs."""
    return Machine(
        cores=os.cpu_count() or 1,
        processor=platform.machine(),
        device=options.device,
        python=platform.python_version(),
    )
