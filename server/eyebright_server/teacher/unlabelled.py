"""Pictures that nobody graded, for pre-training: every picture file below a folder.

* There is no manifest to say whose they are: each picture is a patient of its own, and only copies are found.
* What a teacher will be judged on must not be learnt from. With ``apart_from``, a picture that is a copy of one in that
  folder's validation or test part is left out and counted (``copy_of_a_held_out_picture``). Another picture of the same
  patient cannot be recognised here: leave such patients out of the folder.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eyebright_common.errors import InputError
from eyebright_common.imaging import IMAGE_SUFFIXES
from eyebright_common.imaging.refusals import Pixels
from eyebright_common.manifest import Loaded, Row, cluster_duplicates, duplicate_descriptor, load_prepared
from eyebright_common.manifest.duplicates import DESCRIPTOR_SIDE, Descriptors
from eyebright_common.manifest.loading import Progress
from eyebright_common.tasks import ScreeningTask, get_task
from eyebright_learning.data import PreparedImages
from eyebright_server.teacher.facts import (
    TEST,
    UNLABELLED,
    VALIDATION,
    PreparedFacts,
    part_facts,
    read_facts,
    read_part,
)
from eyebright_server.teacher.preparing import duplicate_facts, write_names, write_parts

Groups = npt.NDArray[np.int64]

NO_LABEL = -1
_HELD_OUT = "copy_of_a_held_out_picture"
_NO_PICTURE = "not_a_picture_file"


def prepare_unlabelled(
    data: Path,
    out: Path,
    *,
    task: str,
    image_size: int,
    apart_from: Path | None,
    workers: int,
    on_progress: Progress | None = None,
) -> PreparedFacts:
    """Write one part without labels and its facts; return the facts.

    Args:
        data: A folder; pictures are looked for at any depth.
        out: The folder to write to.
        task: Says what kind of pictures these are.
        image_size: Side of the prepared pictures in pixels.
        apart_from: A folder of labelled pictures whose validation and test parts must not be among these.
        workers: Processes that decode.
        on_progress: Called with ``(pictures done, pictures in all)``.

    Raises:
        EyebrightError: the folder has no picture that can be used.
    """
    found = get_task(task)
    rows, others = _files(data, found)
    loaded = load_prepared(rows, modality=found.modality, size=image_size, workers=workers, on_progress=on_progress)
    held_out = _held_out(apart_from, found)
    names = [row.name for row in rows]
    patients = [names[index] for index in loaded.kept]
    descriptors = np.concatenate([loaded.descriptors, _descriptors(held_out)])
    # A held-out picture has no name here: an empty patient joins nothing.
    clusters = cluster_duplicates(descriptors, [*patients, *[""] * len(held_out)], modality=found.modality)
    own, theirs = clusters.group[: len(patients)], clusters.group[len(patients) :]
    free = ~np.isin(own, theirs)
    problems = [*others, *loaded.problems, *((patients[i], _HELD_OUT) for i in np.flatnonzero(~free))]
    write_names(out, problems)
    images = _images(loaded, patients, own).subset(free)
    if len(images) < 2:
        raise InputError("fewer than two pictures can be used", value=data, fix="Look at left_out.local.json.")
    facts = PreparedFacts(
        task=found.name,
        classes=found.classes,
        modality=found.modality,
        image_size=image_size,
        seed=0,
        shares={UNLABELLED: 1.0},
        rows=len(rows) + len(others),
        left_out=dict(sorted(Counter(reason for _, reason in problems).items())),
        notes={"patient_id_from_file_name": len(images)},
        manifest_digest=hashlib.sha256("\n".join(names).encode()).hexdigest(),
        groups=len(np.unique(images.groups)),
        duplicates=duplicate_facts(clusters),
        quality=dict(sorted(Counter(np.array(loaded.verdicts)[free].tolist()).items())),
        parts={UNLABELLED: part_facts(images, found.classes)},
    )
    write_parts(out, {UNLABELLED: images}, facts)
    return facts


def _files(root: Path, task: ScreeningTask) -> tuple[list[Row], list[tuple[str, str]]]:
    """Return a row per picture file below ``root``, and every other file with its reason."""
    if not root.is_dir():
        raise InputError("unlabelled pictures come in a folder", value=root, fix="Give a folder of picture files.")
    base = root.absolute()
    files = sorted((Path(folder) / name).relative_to(base) for folder, _, names in os.walk(base) for name in names)
    pictures = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    others = [(file.as_posix(), _NO_PICTURE) for file in files if file.suffix.lower() not in IMAGE_SUFFIXES]
    rows = [
        Row(
            image_path=base / file,
            name=file.as_posix(),
            modality=task.modality,
            label=None,
            patient_id=file.as_posix(),
        )
        for file in pictures
    ]
    return rows, others


def _images(loaded: Loaded, patients: list[str], groups: Groups) -> PreparedImages:
    labels = np.full(len(patients), NO_LABEL, dtype=np.int64)
    return PreparedImages.of(loaded.pixels, labels, patients=patients, groups=groups)


def _held_out(folder: Path | None, task: ScreeningTask) -> list[Pixels]:
    """Return the pictures, uint8 ``[S, S, 3]`` each, that a teacher will be judged on."""
    if folder is None:
        return []
    facts = read_facts(folder)
    if facts.modality != task.modality:
        raise InputError("--apart-from holds pictures of another kind", value=facts.modality)
    parts = [part for part in (VALIDATION, TEST) if part in facts.parts]
    return [picture for part in parts for picture in read_part(folder, facts, part).pixels]


def _descriptors(pictures: list[Pixels]) -> Descriptors:
    found = np.zeros((len(pictures), DESCRIPTOR_SIDE**2), dtype=np.float32)
    for row, picture in zip(found, pictures, strict=True):
        row[:] = duplicate_descriptor(picture)
    return found
