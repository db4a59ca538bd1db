"""``eyebright server teacher train``: a calibrated teacher and its record from prepared pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from eyebright_server.teacher.figures import epoch_line, figures_table
from eyebright_server.teacher.output import check_output, clear_output
from eyebright_server.teacher.sharing import Shared

if TYPE_CHECKING:
    from eyebright_server.teacher.record import TeacherRecord

_SMOKE_EPOCHS, _SMOKE_BATCH, _EPOCHS, _BATCH = 6, 8, 50, 32


def train(
    images: Annotated[Path, typer.Option(help="A folder that `prepare` made.")],
    out: Annotated[Path, typer.Option(help="Folder for the teacher, its record and its checkpoint.")],
    teacher: Annotated[
        str | None,
        typer.Option(
            help="timm's name, a student's, a hybrid's, ensemble:NAME+NAME. "
            "Default: with --recipe the published one, else a small one for the task."
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="fundus-vit or oct-convnext. Default: the one for these pictures.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Start from a local safetensors file.")] = None,
    from_pretraining: Annotated[
        Path | None, typer.Option(help="Start from the encoder.safetensors of `pretrain`.")
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Start from timm's published weights, which downloads them.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each member. Default 50; smoke 6.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Over all processes. Default 32; smoke 8.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak. Default: the recipe's.")] = None,
    layer_decay: Annotated[
        float | None, typer.Option(help="Rate of a layer as a part of the next one's. Default: the recipe's.")
    ] = None,
    precision: Annotated[Literal["fp32", "bf16"], typer.Option(help="bf16 is for GPUs.")] = "fp32",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: GPUs where there are any.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order, views and dropout.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads of each process.")] = None,
    looks: Annotated[
        int, typer.Option(min=1, help="Looks at each picture for figures with test-time augmentation beside the plain.")
    ] = 1,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A tiny network and few passes: every line, in seconds, little learnt.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was killed.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Begin again in a folder in use.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object; epochs to standard error.")] = False,
) -> None:
    """Train a teacher on prepared pictures, fit its temperature, and say how good it is."""
    # Imported here: torch takes seconds, and the server's other commands do without.
    from eyebright_common.tasks import get_task
    from eyebright_learning.training.parallel import joined
    from eyebright_server.teacher.facts import read_facts
    from eyebright_server.teacher.recipes import default_teacher, get_recipe
    from eyebright_server.teacher.training import WRITES, Beginning, make_teacher

    check_output(out, resume=resume, force=force)
    facts = read_facts(images)
    chosen = get_recipe(recipe, modality=facts.modality)
    start = Beginning.of(weights=weights, pretraining=from_pretraining, pretrained=pretrained)
    named = chosen if recipe is not None else None
    name = teacher or (chosen.smoke_teacher if smoke else default_teacher(named, get_task(facts.task)))
    config = chosen.training(
        start=start.kind,
        epochs=epochs or (_SMOKE_EPOCHS if smoke else _EPOCHS),
        batch_size=batch_size or (_SMOKE_BATCH if smoke else _BATCH),
        modality=facts.modality,
        precision=precision,
        learning_rate=learning_rate,
        layer_decay=layer_decay,
        seed=seed,
        threads=threads,
    )
    network = start.teacher(name, classes=len(facts.classes), image_size=facts.image_size, seed=seed)
    with joined(device=device) as parallel:
        shared = Shared(parallel=parallel, as_json=as_json)
        shared.first_then_all(lambda: clear_output(out, WRITES) if force else None)
        record = make_teacher(
            network,
            images,
            facts,
            out,
            start=start,
            recipe=chosen,
            config=config,
            parallel=parallel,
            looks=looks,
            on_epoch=lambda epoch: shared.note(epoch_line(epoch)),
        )
        shared.show(record.model_dump_json(), *_text(record, out))


def _text(record: TeacherRecord, out: Path) -> list[str | Table]:
    looked: list[str | Table] = []
    if record.validation_with_looks is not None:
        looked = [
            f"With {record.looks} looks at each picture (a screening unit looks once):",
            figures_table(record.validation_with_looks, record.test_with_looks),
        ]
    return [
        f"{record.architecture}, {record.parameters / 1e6:.1f} M parameters, temperature {record.temperature:.3f}",
        figures_table(record.validation, record.test),
        *looked,
        "The temperature was fitted on validation: its calibration error (ECE) is flattered there.",
        f"Teacher: {out / record.weights} ({record.sha256[:12]}…)",
    ]
