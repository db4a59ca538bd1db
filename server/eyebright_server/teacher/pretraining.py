"""Pre-training as a run on disk: a checkpoint to continue from, the encoder, and how it went.

| in the folder | what it is |
|---|---|
| ``checkpoint/`` | the last whole epoch, with the optimiser's moments |
| ``encoder.safetensors`` | what a mean-pooled teacher of the same architecture starts from |
| ``pretraining.json`` | every epoch, what it was made from, and whether it collapsed |

A collapsed encoder is written like any other: who wants to know why needs its weights.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import Field

from eyebright_common import __version__
from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_learning.data import PreparedImages
from eyebright_learning.pretraining import EncoderConfig, PretrainingConfig, PretrainingEpoch, save_encoder
from eyebright_learning.pretraining import pretrain as pretrain_with
from eyebright_learning.pretraining.run import OnPretrainingEpoch
from eyebright_learning.training.parallel import Parallel

CHECKPOINT, ENCODER, RESULT = "checkpoint", "encoder.safetensors", "pretraining.json"
WRITES = (RESULT, ENCODER, CHECKPOINT)


class PretrainingRun(Document):
    """What a pre-training left behind.

    Attributes:
        schema_version: Of this file.
        architecture: The vision transformer's timm name.
        image_size: Side of its views in pixels.
        encoder: Name of the weights' file, in the same folder.
        sha256: Of that file.
        collapsed: Why the encoder is of no use; None when nothing is wrong.
        pictures: How many it learnt from.
        images_sha256: Of these pictures in order.
        processes: That trained together.
        device: Where.
        precision: Of the networks.
        code_version: Of Eyebright.
        history: One entry per epoch.
    """

    schema_version: int = Field(default=1, ge=1, le=1)
    architecture: str
    image_size: int
    encoder: str
    sha256: str
    collapsed: str | None
    pictures: int
    images_sha256: str
    processes: int
    device: str
    precision: str
    code_version: str
    history: tuple[PretrainingEpoch, ...]


def pretrain_encoder(
    encoder: EncoderConfig,
    images: PreparedImages,
    out: Path,
    *,
    config: PretrainingConfig,
    probe: PreparedImages | None,
    parallel: Parallel,
    on_epoch: OnPretrainingEpoch | None = None,
) -> PretrainingRun:
    """Pre-train into ``out``, continuing what is there, and return what came of it.

    Raises:
        InputError: pictures, masks and networks do not fit together, or the folder holds another run.
        EyebrightError: the loss became something that is not a number.
    """
    done = pretrain_with(
        encoder,
        images,
        config=config,
        probe=probe,
        parallel=parallel,
        checkpoint_dir=out / CHECKPOINT,
        on_epoch=on_epoch,
    )
    weights = out / ENCODER
    if parallel.is_first:
        save_encoder(done.encoder, weights)
    parallel.wait()
    run = PretrainingRun(
        architecture=encoder.architecture,
        image_size=encoder.image_size,
        encoder=ENCODER,
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        collapsed=done.collapsed,
        pictures=len(images),
        images_sha256=images.digest(),
        processes=parallel.world_size,
        device=parallel.device.type,
        precision=config.precision,
        code_version=__version__,
        history=done.history,
    )
    if parallel.is_first:
        write_bytes(out / RESULT, run.to_json())
    return run
