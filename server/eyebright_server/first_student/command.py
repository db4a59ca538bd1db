"""``eyebright server first-student``: the student that rounds begin with, from the operator's own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from eyebright_common.errors import InputError
from eyebright_server.student_recipes import get_recipe
from eyebright_server.teacher.figures import epoch_line, figures_table
from eyebright_server.teacher.output import check_output, clear_output
from eyebright_server.teacher.sharing import Shared

if TYPE_CHECKING:
    from eyebright_server.first_student.record import FirstStudentRecord


def first_student(
    images: Annotated[Path, typer.Option(help="A folder that `server teacher prepare` made.")],
    out: Annotated[Path, typer.Option(help="Folder for the student, its record and its checkpoint.")],
    teacher: Annotated[Path | None, typer.Option(help="The trained teacher's file. Without: labels alone.")] = None,
    init: Annotated[Path | None, typer.Option(help="Start from these weights (safetensors), e.g. ImageNet's.")] = None,
    student: Annotated[str | None, typer.Option(help="Student architecture. Default: the recipe's.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="fundus-vit or oct-convnext. Default: the one for these pictures.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the operator's pictures.")] = 10,
    batch_size: Annotated[int, typer.Option(min=2, help="Pictures per step.")] = 32,
    learning_rate: Annotated[float | None, typer.Option(help="Peak. Default: the recipe's.")] = None,
    precision: Annotated[Literal["fp32", "bf16"], typer.Option(help="bf16 is for GPUs.")] = "fp32",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: a GPU where there is one.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and views.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was killed.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Begin again in a folder in use.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object; epochs to standard error.")] = False,
) -> None:
    """Train the student that rounds begin with, on the operator's pictures, and say how good it is."""
    # Imported here: torch takes seconds, and the server's other commands do without.
    from eyebright_learning.models import build_student
    from eyebright_learning.training.parallel import joined
    from eyebright_server.first_student.making import WRITES, make_first_student
    from eyebright_server.first_student.training import first_training
    from eyebright_server.teacher.facts import read_facts

    check_output(out, resume=resume, force=force)
    facts = read_facts(images)
    chosen = get_recipe(recipe, modality=facts.modality)
    config = first_training(
        chosen,
        from_weights=init is not None,
        epochs=epochs,
        batch_size=batch_size,
        modality=facts.modality,
        precision=precision,
        learning_rate=learning_rate,
        seed=seed,
        threads=threads,
    )
    network = build_student(student or chosen.student, classes=len(facts.classes), seed=seed, weights=init)
    with joined(device=device) as parallel:
        if parallel.world_size > 1:
            raise InputError(
                "a student is trained by one process", value=parallel.world_size, fix="Start it without torchrun."
            )
        shared = Shared(parallel=parallel, as_json=as_json)
        if force:
            clear_output(out, WRITES)
        record = make_first_student(
            network,
            images,
            facts,
            out,
            init=init,
            teacher=teacher,
            recipe=chosen,
            config=config,
            device=parallel.device,
            on_epoch=lambda epoch: shared.note(epoch_line(epoch)),
            note=shared.note,
        )
        shared.show(record.model_dump_json(), *_text(record, out))


def _text(record: FirstStudentRecord, out: Path) -> list[str | Table]:
    taught = "labels alone" if record.teacher_sha256 is None else f"labels and teacher {record.teacher_sha256[:12]}…"
    return [
        f"{record.architecture}, {record.parameters / 1e6:.1f} M parameters, from {taught}",
        figures_table(record.validation, record.test),
        f"First student: {out / record.weights} ({record.sha256[:12]}…)",
        f"Next: eyebright server rounds plan FILE --student {record.architecture} --image-size {record.image_size} "
        "--from-student …",
        f"      eyebright server rounds start DIR NAME --plan FILE --init {out / record.weights}",
    ]
