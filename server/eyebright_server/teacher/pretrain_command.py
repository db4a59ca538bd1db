"""``eyebright server teacher pretrain``: I-JEPA over prepared pictures, watched for collapse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from eyebright_server.teacher.output import check_output, clear_output
from eyebright_server.teacher.sharing import Shared

if TYPE_CHECKING:
    from eyebright_learning.pretraining import EncoderConfig, PretrainingConfig, PretrainingEpoch

SMOKE_TEACHER = "test_vit"


def pretrain(
    images: Annotated[Path, typer.Option(help="Prepared pictures (NPZ); their labels are not looked at.")],
    out: Annotated[Path, typer.Option(help="Folder for the encoder and its checkpoint.")],
    teacher: Annotated[str, typer.Option(help="A plain vision transformer's timm name.")] = "vit_small_patch16_224",
    probe: Annotated[
        Path | None,
        typer.Option(help="Held-out pictures to watch it on, e.g. validation.npz; labels are for kNN only."),
    ] = None,
    image_size: Annotated[int | None, typer.Option(min=32, help="Side of the views. Default: the pictures'.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the pictures. Default 100; smoke 8.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Over all processes. Default 128; smoke 16.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak. Default 5e-4; smoke 1e-3.")] = None,
    precision: Annotated[Literal["fp32", "bf16"], typer.Option(help="bf16 is for GPUs.")] = "fp32",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: GPUs where there are any.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of order, views, masks and weights.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads of each process.")] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A tiny network and predictor: every line, in seconds, nothing learnt.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was killed.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Begin again in a folder in use.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object; epochs to standard error.")] = False,
) -> None:
    """Pre-train an encoder without labels; exit code 1 when it collapsed, and its weights are kept all the same."""
    # Imported here: torch takes seconds, and the server's other commands do without.
    from eyebright_learning.data import PreparedImages
    from eyebright_learning.training.parallel import joined
    from eyebright_server.teacher.pretraining import WRITES, pretrain_encoder

    check_output(out, resume=resume, force=force)
    pictures = PreparedImages.load(images)
    encoder = _encoder(SMOKE_TEACHER if smoke else teacher, image_size or pictures.size, seed)
    config = _config(smoke, epochs, batch_size, learning_rate, precision, seed, threads)
    with joined(device=device) as parallel:
        shared = Shared(parallel=parallel, as_json=as_json)
        shared.first_then_all(lambda: clear_output(out, WRITES) if force else None)
        result = pretrain_encoder(
            encoder,
            pictures,
            out,
            config=config,
            probe=None if probe is None else PreparedImages.load(probe),
            parallel=parallel,
            on_epoch=lambda epoch: shared.note(_line(epoch)),
        )
        shared.show(
            result.model_dump_json(),
            f"Encoder: {out / result.encoder} ({result.sha256[:12]}…)",
            f"Next: eyebright server teacher train --teacher {encoder.architecture} "
            f"--from-pretraining {out / result.encoder} …",
        )
    if result.collapsed is not None:
        shared.warn(
            f"COLLAPSED: {result.collapsed}. The encoder hardly tells pictures apart and is no start for a teacher. "
            "Lower --learning-rate, raise --batch-size, or give more pictures. The weights are kept for a look at them."
        )
        raise typer.Exit(1)


def _encoder(architecture: str, image_size: int, seed: int) -> EncoderConfig:
    from eyebright_learning.pretraining import EncoderConfig

    # The architecture's own patch: a teacher of that name could not start from another.
    return EncoderConfig(architecture=architecture, image_size=image_size, seed=seed)


def _config(
    smoke: bool,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    precision: Literal["fp32", "bf16"],
    seed: int,
    threads: int | None,
) -> PretrainingConfig:
    from dataclasses import replace

    from eyebright_learning.pretraining import MaskSampling, PretrainingConfig

    base = PretrainingConfig.smoke(seed=seed) if smoke else PretrainingConfig(epochs=epochs or 100, seed=seed)
    if smoke:  # 4 x 4 patches of a 64 px picture
        base = replace(base, masks=MaskSampling(minimum_kept=2))
    rate = base.learning_rate if learning_rate is None else learning_rate
    return replace(
        base,
        epochs=epochs or base.epochs,
        batch_size=batch_size or base.batch_size,
        learning_rate=rate,
        start_rate=min(base.start_rate, rate),
        precision=precision,
        threads=threads or base.threads,
    )


def _line(epoch: PretrainingEpoch) -> str:
    probe = "" if epoch.probe is None else f"  kNN {epoch.probe:.3f}"
    collapsed = "" if epoch.collapsed is None else f"  COLLAPSING: {epoch.collapsed}"
    return (
        f"epoch {epoch.epoch}/{epoch.epochs}  loss {epoch.loss:.4f}  held out {epoch.held_out_loss:.4f}  "
        f"RankMe {epoch.rank:.1f}  deviation {epoch.deviation:.3f}{probe}{collapsed}"
    )
