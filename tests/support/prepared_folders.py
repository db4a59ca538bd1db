"""Folders as `eyebright server teacher prepare` leaves them, of pictures that are learnt in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eyebright_common.tasks import get_task
from eyebright_learning.data import PreparedImages
from eyebright_server.teacher.facts import DuplicateFacts, PreparedFacts, part_facts
from eyebright_server.teacher.preparing import write_parts
from learning_pictures import striped_pictures


def prepared_folder(
    folder: Path, *, task: str = "fundus", size: int = 32, counts: tuple[int, ...] = (24, 12, 12), rare: bool = False
) -> Path:
    """Write train, validation and (with a third count) test parts; ``rare`` takes most of the last class away."""
    classes = get_task(task).classes
    parts = {}
    for seed, (part, count) in enumerate(zip(("train", "validation", "test"), counts, strict=False)):
        images = striped_pictures(count, size=size, seed=seed, classes=len(classes))
        parts[part] = _without_most_of_the_last(images) if rare else images
    facts = PreparedFacts(
        task=task,
        classes=classes,
        modality=get_task(task).modality,
        image_size=size,
        seed=0,
        shares={part: 1.0 / len(parts) for part in parts},
        rows=sum(map(len, parts.values())),
        left_out={},
        notes={},
        manifest_digest="0" * 64,
        groups=sum(len(set(part.patients)) for part in parts.values()),
        duplicates=DuplicateFacts(clusters=0, images=0, across_patients=0, largest=0),
        quality={"good": sum(map(len, parts.values()))},
        parts={part: part_facts(images, classes) for part, images in parts.items()},
    )
    write_parts(folder, parts, facts)
    return folder


def _without_most_of_the_last(images: PreparedImages) -> PreparedImages:
    last = np.flatnonzero(images.labels == images.labels.max())
    return images.subset(np.setdiff1d(np.arange(len(images)), last[2:]))
