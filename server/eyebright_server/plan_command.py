"""``eyebright server rounds plan``: a plan that can be run as it is, for an operator to read, change and start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from eyebright_common.errors import InputError
from eyebright_server.showing import show

_ON_LABELS = {"ce": 1.0, "kd": 0.0, "dist": 0.0}


def plan(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the plan.")],
    task: Annotated[str, typer.Option(help="What is screened for, e.g. fundus.")] = "fundus",
    teacher: Annotated[Path | None, typer.Option(help="The published teacher's file. Without: labels alone.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="fundus-vit or oct-convnext. Default: the one for the task's pictures.")
    ] = None,
    student: Annotated[str | None, typer.Option(help="Student architecture. Default: the recipe's.")] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the input, px. Default: the teacher's, or 224.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Rounds in the run.")] = 10,
    local_epochs: Annotated[int, typer.Option(help="Passes in a round.")] = 2,
    from_weights: Annotated[
        bool, typer.Option("--from-weights", help="The run will begin with given weights: learn at a gentler rate.")
    ] = False,
    from_student: Annotated[
        bool,
        typer.Option("--from-student", help="The run will begin with a `first-student`: learn at the gentlest rate."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of everything random at the hospitals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Write a plan with every field a hospital reads; change what you like, then start rounds with it."""
    from eyebright_common.digests import sha256_of
    from eyebright_common.durable import write_bytes
    from eyebright_common.imaging import PREPROCESSING_ID
    from eyebright_common.plan import Plan
    from eyebright_common.tasks import get_task
    from eyebright_learning.models import STUDENTS
    from eyebright_learning.models.identity import read_identity
    from eyebright_server.student_recipes import MOST_VIEWS, get_recipe

    if from_weights and from_student:
        raise InputError("--from-weights and --from-student do not go together", fix="A run begins with one of them.")
    chosen = get_recipe(recipe, modality=get_task(task).modality)
    student = student or chosen.student
    if student not in STUDENTS:
        raise InputError("unknown student", value=student, fix=f"Choose one of: {', '.join(STUDENTS)}.")
    if out.exists():
        raise InputError("the plan would overwrite a file", value=out, fix="Name a new file, or remove this one.")
    classes = get_task(task).classes
    known = None if teacher is None else read_identity(teacher)
    if teacher is not None and known is None:
        raise InputError("this file is not a teacher", value=teacher, fix="Train one: eyebright server teacher train.")
    if known is not None and known.classes != len(classes):
        raise InputError(
            f"the teacher knows {known.classes} classes, and task {task} has {len(classes)}",
            value=teacher,
            fix="Give this task's teacher.",
        )
    made = Plan.checked(
        task=task,
        classes=classes,
        student=student,
        image_size=image_size if image_size is not None else known.image_size if known else 224,
        preprocessing=PREPROCESSING_ID,
        rounds=rounds,
        local_epochs=local_epochs,
        batch_size=32,
        learning_rate=chosen.rate_in_rounds(from_weights=from_weights, from_student=from_student),
        weight_decay=chosen.weight_decay,
        warmup=chosen.warmup,
        balance="prior",
        batch_norm="frozen" if from_student else "average",
        views=max(1, min(MOST_VIEWS, rounds * local_epochs)),
        view_family=chosen.views(rounds * local_epochs),
        recipe=chosen.losses(from_weights=from_weights or from_student) if known else _ON_LABELS,
        teacher_sha256=sha256_of(teacher) if teacher else None,
        teacher_arch=known.architecture if known else None,
        seed=seed,
    )
    fields = made.model_dump(mode="json")
    write_bytes(out, (json.dumps(fields, indent=2) + "\n").encode())
    show(
        as_json,
        {"file": str(out), "digest": made.digest(), "plan": fields},
        f"Written to {out}: {rounds} rounds of {student} at {made.image_size} px"
        + (f", taught by {known.architecture}." if known else ", on labels alone."),
        f"Next: eyebright server rounds start DIR NAME --plan {out}",
    )
