"""`eyebright simulate`: rehearse the whole network on this machine."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eyebright_simulations.network.options import BACKENDS, SYNTHETIC, SimulationOptions, default_student

app = typer.Typer(add_completion=False)
_DEFAULT = SimulationOptions()


@app.command()
def simulate(
    data: Annotated[str, typer.Option(help="synthetic, a manifest (CSV or JSONL), or a folder per class.")] = SYNTHETIC,
    task: Annotated[str, typer.Option(help="fundus or oct.")] = _DEFAULT.task,
    hospitals: Annotated[int | None, typer.Option(help="Hospitals; default 3, or the data's own sites.")] = None,
    partition: Annotated[
        str | None, typer.Option(help="site, iid or dirichlet:ALPHA; default site where there are sites, else iid.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Federated rounds.")] = _DEFAULT.rounds,
    local_epochs: Annotated[
        int | None, typer.Option(help="Passes per round at a hospital; default 3, or 2 with --init.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="timm name, a student's, a hybrid's, or ensemble:NAME+NAME; default by task.")
    ] = None,
    teacher_init: Annotated[Path | None, typer.Option(help="Weights the teacher starts from (safetensors).")] = None,
    student: Annotated[str | None, typer.Option(help="Student architecture; default by task.")] = None,
    init: Annotated[Path | None, typer.Option(help="Weights the student starts from (safetensors).")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the model input, px; a multiple of 32.")] = None,
    backend: Annotated[str, typer.Option(help=f"{' or '.join(BACKENDS)}.")] = _DEFAULT.backend,
    out: Annotated[Path, typer.Option(help="Folder for everything the run writes.")] = Path("runs/simulate"),
    seed: Annotated[int, typer.Option(help="Same seed, same result.", min=0, max=2**31 - 1)] = _DEFAULT.seed,
    resume: Annotated[bool, typer.Option("--resume", help="Finish the run in --out.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Start anew although --out holds a run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json to standard output.")] = False,
) -> None:
    """Rehearse the whole network: teacher, hospitals, rounds, release, screening unit, report.

    Without options: a synthetic fundus cohort, three hospitals, about five minutes on two cores.
    """
    # Heavy imports wait until the options are known to be readable: `--help` and typing errors answer at once.
    from eyebright_simulations.network.run import simulate as run
    from eyebright_simulations.network.summary import print_summary

    options = SimulationOptions(
        data=data,
        task=task,
        hospitals=hospitals,
        partition=partition,
        rounds=rounds,
        local_epochs=local_epochs,
        teacher=teacher,
        teacher_init=None if teacher_init is None else str(teacher_init),
        student=student or default_student(task, init=init),
        init=None if init is None else str(init),
        image_size=image_size,
        backend=backend,
        seed=seed,
    )
    result = run(
        options,
        out,
        console=Console(stderr=True),
        command=shlex.join(["eyebright", "simulate", *sys.argv[2:]]),
        resume=resume,
        force=force,
    )
    if as_json:
        sys.stdout.write(result.to_json().decode())
    else:
        print_summary(Console(), result, out)
