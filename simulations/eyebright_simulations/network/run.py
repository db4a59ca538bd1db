"""A whole simulation: the stages in order, each done once, then the report."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rich.console import Console

from eyebright_simulations.network.context import Context
from eyebright_simulations.network.display import Display
from eyebright_simulations.network.memory import peak_bytes
from eyebright_simulations.network.options import SimulationOptions
from eyebright_simulations.network.stages import STAGES
from eyebright_simulations.network.workers import Job, run_jobs
from eyebright_simulations.network.workspace import Workspace
from eyebright_simulations.report import RESULT_FILE, SimulationResult, read_result


def simulate(
    options: SimulationOptions,
    out: Path,
    *,
    console: Console,
    command: str = "",
    resume: bool = False,
    force: bool = False,
) -> SimulationResult:
    """Run the network, or finish a run that was cut short.

    Args:
        options: The experiment.
        out: Its folder.
        console: Where progress is shown.
        command: The command line, for the report.
        resume: Go on with the unfinished run in ``out``.
        force: Start anew although ``out`` holds a run.

    Raises:
        EyebrightError: an option, the data or the output folder cannot be used; nothing half-done is taken for done.
    """
    options.check()
    _check_architectures(options, out)
    with Workspace.open(out, options, resume=resume, force=force) as workspace, Display(console) as display:
        context = Context(options=options, out=out, update=display.update)
        for name, work in STAGES.items():
            display.begin(name)
            context.facts[name] = workspace.stage(name, partial(work, context))
            display.end("already done" if name in workspace.resumed else "")
        display.begin("report")
        told = {"seconds": dict(workspace.seconds), "command": command, "peak_memory_bytes": peak_bytes()}
        run_jobs(context, [Job(name="report", work="eyebright_simulations.network.evidence:report", arguments=told)])
        display.end()
    return read_result(out / RESULT_FILE)


def _check_architectures(options: SimulationOptions, out: Path) -> None:
    """Refuse names of networks that cannot be built, before anything is written; the defaults need no check."""
    default = SimulationOptions()
    if (options.student, options.teacher) != (default.student, default.teacher):
        context = Context(options=options, out=out, update=lambda share, note: None)
        run_jobs(context, [Job(name="names", work="eyebright_simulations.network.first_student:check_architectures")])
