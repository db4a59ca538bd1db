"""`eyebright study sites`: what a student loses at a site it has never seen, each job once, ever.

* The control (labels alone) without each fold, and without each site: the same job with other parts. No teacher.
* The first tells how good the student looks when every site was known, the second how good it is at a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from eyebright_common.durable import write_bytes
from eyebright_common.tasks import get_task
from eyebright_simulations.network.workers import run_jobs
from eyebright_simulations.study import schedule
from eyebright_simulations.study.arms import CONTROL
from eyebright_simulations.study.pictures import load_sites
from eyebright_simulations.study.records import Facts, held_out_job
from eyebright_simulations.study.result_schema import RESULT_FILE, Data
from eyebright_simulations.study.run import PACKAGES, TABLE_FILE, context_of, machine_of, mean_seconds, opened_study
from eyebright_simulations.study.sites_numbers import BothAnswers, site_rows
from eyebright_simulations.study.sites_options import SitesOptions
from eyebright_simulations.study.sites_result import SitesResult
from eyebright_simulations.study.sites_table import sites_table
from eyebright_simulations.study.sites_verdicts import sites_findings


def run_sites(
    options: SitesOptions,
    out: Path,
    *,
    console: Console,
    command: str = "",
    resume: bool = False,
    force: bool = False,
) -> SitesResult:
    """Compare pooled with leave-one-site-out training; leaves ``result.json`` and ``table.md`` in ``out``.

    Args:
        options: What to train on what.
        out: Its folder.
        console: Where progress is shown.
        command: The command line, for the table.
        resume: Go on with the comparison in ``out``; it may ask for more folds.
        force: Start anew although ``out`` holds a study.

    Raises:
        EyebrightError: an option, the data or the output folder cannot be used.
    """
    with opened_study(options, out, console=console, resume=resume, force=force) as (display, data):
        names, _ = load_sites(out)
        with display.wave(f"Pooled, and without each of {len(names)} sites") as update:
            jobs = schedule.pooled_and_held_out(options, out, len(names), task=data["task"])
            run_jobs(context_of(options, out, update), jobs)
        with display.wave("Intervals"):
            return _report(options, out, data, command=command)


def _report(options: SitesOptions, out: Path, data: Facts, *, command: str) -> SitesResult:
    answers = BothAnswers.read(options, out, get_task(data["task"]))
    everywhere, *sites = site_rows(answers, replicates=options.replicates, seed=options.seed)
    spanning = len(answers.spanning), int(np.isin(answers.groups, answers.spanning).sum())
    result = SitesResult(
        task=data["task"],
        command=command,
        options=options.identity() | {"replicates": options.replicates},
        data=Data(**{**{name: data[name] for name in Data.model_fields}, "fold_sizes": tuple(data["fold_sizes"])}),
        student=options.architecture,
        folds_run=len(options.folds_to_run),
        spanning_groups=spanning[0],
        spanning_images=spanning[1],
        pooled_trained_on=answers.pooled_trained_on,
        everywhere=everywhere,
        sites=tuple(sites),
        findings=tuple(
            sites_findings(
                everywhere,
                sites,
                spanning=spanning,
                pooled_trained_on=answers.pooled_trained_on,
                folds_run=len(options.folds_to_run),
                folds=options.folds,
            )
        ),
        job_seconds={
            "pooled": mean_seconds(out, _jobs(options, len(sites), "fold")),
            "held out": mean_seconds(out, _jobs(options, len(sites), "site")),
        },
        machine=machine_of(options),
        versions={name: version(name) for name in PACKAGES},
    )
    write_bytes(out / TABLE_FILE, sites_table(result).encode())
    write_bytes(out / RESULT_FILE, result.to_json())
    return result


def _jobs(options: SitesOptions, sites: int, by: Literal["fold", "site"]) -> Sequence[str]:
    return [held_out_job(CONTROL, one, 0) for one in schedule.all_held_out(options, sites) if one.by == by]
