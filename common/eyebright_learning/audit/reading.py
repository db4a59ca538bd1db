"""From a manifest's rows to the audit's table: every picture is decoded whole and measured, none is kept.

* Measured: bytes of the file, its format by suffix, bytes per pixel; width, height, aspect; mean and variance of each
  channel over the whole picture, margins included, because how a picture is cut is part of the clue.
* Near-duplicates count as one patient, as everywhere; the ungradable are audited too.
* A picture that cannot be decoded, or has no label of the task, is counted under its reason.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from eyebright_common.errors import ImageError, InputError
from eyebright_common.imaging import decode_image, prepare
from eyebright_common.manifest import Row, cluster_duplicates, duplicate_descriptor
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.audit.clues import AuditTable
from eyebright_learning.evaluation.cases import Floats

# Duplicates are told on a 64-pixel grid; four pixels of the picture for one of the grid are enough to average.
_PREPARED_SIDE = 256
_SAME_FORMAT = {"jpg": "jpeg", "tif": "tiff", "dcm": "dicom"}

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureFacts:
    """What can be said about a picture without knowing what it shows.

    Attributes:
        format: By the file's suffix, e.g. ``jpeg``.
        size_bytes: Of the file.
        width: In pixels.
        height: In pixels.
        means: Of the channels, ``[3]``.
        variances: Of the channels, ``[3]``.
    """

    format: str
    size_bytes: int
    width: int
    height: int
    means: Floats
    variances: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The table and what did not get into it.

    Attributes:
        table: One row per picture that could be measured.
        left_out: Reason → rows.
        duplicate_clusters: Sets of near-duplicate pictures.
        cross_patient_clusters: Those of them that join different patient ids.
    """

    table: AuditTable
    left_out: dict[str, int]
    duplicate_clusters: int
    cross_patient_clusters: int


def picture_facts(image: npt.NDArray[np.uint8], *, suffix: str, size_bytes: int) -> PictureFacts:
    """Return the facts of a decoded picture, RGB uint8 ``[H, W, 3]``, and the file it came from."""
    H, W, _ = image.shape
    word = suffix.lower().lstrip(".")
    pixels = image.reshape(-1, 3)
    means = pixels.mean(axis=0)
    squares = np.einsum("ic,ic->c", pixels, pixels, dtype=np.float64) / len(pixels)
    return PictureFacts(
        format=_SAME_FORMAT.get(word, word),
        size_bytes=size_bytes,
        width=W,
        height=H,
        means=means,
        variances=np.asarray(squares - means**2),
    )


def read_audit_table(
    rows: Sequence[Row], *, task: ScreeningTask, workers: int = 2, on_progress: Progress | None = None
) -> Reading:
    """Measure the labelled pictures of ``rows``.

    Args:
        rows: Of a manifest.
        task: Names the classes; rows with another label are counted, not measured.
        workers: Pictures in work at the same time.
        on_progress: Called with ``(pictures done, pictures in all)``.

    Raises:
        InputError: not one picture can be measured.
    """
    labelled = [row for row in rows if task.index_of(row.label or "") is not None]
    results = list(_measured(labelled, task, workers, on_progress))
    left_out = Counter(result for result in results if isinstance(result, str))
    left_out["label_not_in_task"] += len(rows) - len(labelled)
    kept = [(row, *result) for row, result in zip(labelled, results, strict=True) if not isinstance(result, str)]
    if not kept:
        reasons = ", ".join(f"{reason} {count}" for reason, count in left_out.items() if count)
        raise InputError("not one picture can be measured", value=reasons, fix="Check the paths in the manifest.")
    descriptors = np.stack([descriptor for _, _, descriptor in kept]).astype(np.float32)
    clusters = cluster_duplicates(descriptors, [row.patient_id for row, _, _ in kept], modality=task.modality)
    return Reading(
        table=_table([row for row, _, _ in kept], [facts for _, facts, _ in kept], clusters.group, task),
        left_out={reason: count for reason, count in sorted(left_out.items()) if count},
        duplicate_clusters=clusters.duplicate_clusters,
        cross_patient_clusters=clusters.cross_patient_clusters,
    )


def _measured(
    rows: Sequence[Row], task: ScreeningTask, workers: int, on_progress: Progress | None
) -> list[tuple[PictureFacts, npt.NDArray[np.float16]] | str]:
    found: list[tuple[PictureFacts, npt.NDArray[np.float16]] | str] = []
    # Decoding leaves the interpreter lock, so threads are enough.
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for done, result in enumerate(pool.map(partial(_measure, modality=task.modality), rows), start=1):
            found.append(result)
            if on_progress is not None:
                on_progress(done, len(rows))
    return found


def _measure(row: Row, modality: str) -> tuple[PictureFacts, npt.NDArray[np.float16]] | str:
    try:
        image = decode_image(row.image_path, frame=row.frame)
    except ImageError as error:
        return error.reason
    facts = picture_facts(image, suffix=row.image_path.suffix, size_bytes=row.image_path.stat().st_size)
    descriptor = duplicate_descriptor(prepare(image, modality=modality, size=_PREPARED_SIDE))
    # Half precision halves the memory; a correlation moves in its fourth decimal.
    return facts, descriptor.astype(np.float16)


def _table(
    rows: Sequence[Row], facts: Sequence[PictureFacts], groups: npt.NDArray[np.int64], task: ScreeningTask
) -> AuditTable:
    formats = sorted({found.format for found in facts})
    return AuditTable(
        task=task,
        labels=np.asarray([task.index_of(row.label or "") for row in rows], dtype=np.int64),
        groups=groups,
        sites=tuple(row.site for row in rows),
        cameras=tuple(row.camera for row in rows),
        file=np.asarray([_file_numbers(found, formats) for found in facts]),
        shape=np.asarray([_shape_numbers(found) for found in facts]),
        colour=np.asarray([[*found.means, *found.variances] for found in facts]),
    )


def _file_numbers(found: PictureFacts, formats: Sequence[str]) -> list[float]:
    size = max(1, found.size_bytes)
    per_pixel = math.log(size / (found.width * found.height))
    return [math.log(size), per_pixel, *(float(found.format == name) for name in formats)]


def _shape_numbers(found: PictureFacts) -> list[float]:
    return [math.log(found.width), math.log(found.height), math.log(found.width / found.height)]
