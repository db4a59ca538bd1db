"""A pre-training on disk: after every epoch, all that is needed to go on as if nothing had happened.

* Two files. ``epoch-N.safetensors`` holds both encoders, the predictor and the optimiser's moments.
  ``pretraining.json`` says which of these files counts, and how the loss went. The first is complete before the second
  names it, so a kill at any moment leaves the last whole epoch. The file that no longer counts is then deleted.
* No random state: order, views and masks follow from (seed, epoch, step).
* A folder belongs to one run: configuration, pictures and probe are in its key. Another run's folder is refused.
  The number of threads and of processes is not in the key.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_learning.data import PreparedImages
from eyebright_learning.pretraining.config import PretrainingConfig
from eyebright_learning.pretraining.encoder import EncoderConfig

_PROGRESS = "pretraining.json"


class PretrainingEpoch(Document):
    """One epoch.

    Attributes:
        epoch: From 1.
        epochs: Of the whole run.
        loss: Mean over the epoch's pictures.
        held_out_loss: Of views that are never trained on, with masks that are always the same.
        rank: RankMe of the target encoder's mean tokens.
        deviation: Their normalised deviation between pictures.
        probe: Balanced accuracy of the neighbour probe; None without labels.
        learning_rate: Of the last step.
        weight_decay: Of the last step.
        momentum: Of the last step.
        collapsed: Why this looks like a collapse; None when it does not.
    """

    epoch: int
    epochs: int
    loss: float
    held_out_loss: float
    rank: float
    deviation: float
    probe: float | None
    learning_rate: float
    weight_decay: float
    momentum: float
    collapsed: str | None


class Progress(Document):
    """What ``pretraining.json`` says.

    Attributes:
        schema_version: Of this file.
        key: Of the run.
        weights: Name of the file that counts, in the same folder.
        history: One entry per finished epoch.
    """

    schema_version: int = Field(default=1, ge=1, le=1)
    key: str
    weights: str = Field(pattern=r"^epoch-\d+\.safetensors$")
    history: tuple[PretrainingEpoch, ...] = Field(min_length=1)


def run_key(
    encoder: EncoderConfig, config: PretrainingConfig, images: PreparedImages, probe: PreparedImages | None
) -> str:
    """Return the SHA-256 of everything that decides what a run computes."""
    settings = dataclasses.asdict(config)
    del settings["threads"]
    watched = None if probe is None else [probe.digest(), probe.labels.tolist(), probe.groups.tolist()]
    parts = [dataclasses.asdict(encoder), settings, images.digest(), watched]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def save_progress(folder: Path, *, key: str, history: tuple[PretrainingEpoch, ...], state: dict[str, Tensor]) -> None:
    """Write one epoch's end, durably, then delete the files that no longer count."""
    name = f"epoch-{len(history)}.safetensors"
    write_bytes(folder / name, save({key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}))
    write_bytes(folder / _PROGRESS, Progress(key=key, weights=name, history=history).to_json())
    for old in folder.glob("epoch-*.safetensors"):
        if old.name != name:
            old.unlink()


def read_progress(folder: Path, *, key: str) -> tuple[tuple[PretrainingEpoch, ...], dict[str, Tensor]] | None:
    """Return what ``save_progress`` wrote; None when the folder holds no run yet.

    Raises:
        InputError: the folder holds another run, or its files are damaged.
    """
    path = folder / _PROGRESS
    if not path.exists():
        return None
    try:
        progress = Progress.model_validate_json(path.read_bytes())
        if progress.key != key:
            raise InputError(
                "the checkpoint folder holds another pre-training",
                value=folder,
                fix="Give the same configuration and pictures to continue it, or another folder.",
            )
        return progress.history, load_file(folder / progress.weights)
    except (OSError, ValidationError, SafetensorError) as error:
        raise InputError(
            "a pre-training checkpoint cannot be read", value=folder, fix="Give an empty folder to start afresh."
        ) from error
