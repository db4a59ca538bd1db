"""A pre-training on disk: after every epoch, all that is needed to go on as if nothing had happened.

* ``epoch-N.safetensors`` holds both encoders, the predictor and the optimiser's moments; ``pretraining.json`` says
  which of these files counts, and how the loss went (``kept_epochs``).
* No random state: order, views and masks follow from (seed, epoch, step).
* A folder belongs to one run: configuration, pictures and probe are in its key. Another run's folder is refused.
  The number of threads and of processes is not in the key.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from torch import Tensor

from eyebright_common.documents import Document
from eyebright_learning.data import PreparedImages
from eyebright_learning.kept_epochs import Progress, keep_epoch, read_epoch
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
    """Write one epoch's end, durably."""
    name = f"epoch-{len(history)}.safetensors"
    keep_epoch(folder / _PROGRESS, Progress[PretrainingEpoch](key=key, weights=name, history=history), state)


def read_progress(folder: Path, *, key: str) -> tuple[tuple[PretrainingEpoch, ...], dict[str, Tensor]] | None:
    """Return what ``save_progress`` wrote; None when the folder holds no run yet.

    Raises:
        InputError: the folder holds another run, or its files are damaged.
    """
    found = read_epoch(folder / _PROGRESS, Progress[PretrainingEpoch], key=key, what="pre-training")
    return None if found is None else (found[0].history, found[1])
