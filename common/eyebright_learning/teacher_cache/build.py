"""Writing a cache: announced before it starts, appended in synced batches, continued after a kill.

* The size is exact and is said first; a disk that cannot hold it is refused before the teacher runs.
* Batches go to ``<name>.partial``, and only a complete file gets its final name. A batch lies within one view.
* A killed build continues at the last whole batch, so that the teacher sees the same batches as in an undisturbed build
  and, with the same batch size on the same machine, the file has the same bytes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eyebright_common.durable import move_into_place
from eyebright_common.errors import EyebrightError
from eyebright_learning.data import PreparedImages
from eyebright_learning.models import Teacher
from eyebright_learning.teacher_cache import recompute, reduction
from eyebright_learning.teacher_cache.key import CacheKey
from eyebright_learning.teacher_cache.layout import CacheHeader, FeatureHeader, read_header
from eyebright_learning.views import AUGMENTATION_ID

Progress = Callable[[int, int], None]
Bases = npt.NDArray[np.float32]


def free_bytes(folder: Path) -> int:
    """Return what the disk of ``folder`` can still take."""
    return shutil.disk_usage(folder).free


def plan_header(
    teacher: Teacher,
    images: PreparedImages,
    *,
    digest: str,
    views: int,
    modality: str,
    feature_views: int,
    family: str = AUGMENTATION_ID,
) -> CacheHeader:
    """Return the header of the file to be; what the bases retain is not known yet."""
    features = None
    if feature_views:
        tokens, width, teacher_width = recompute.probe_shape(teacher, images)
        features = FeatureHeader(
            method=reduction.REDUCTION_ID,
            views=feature_views,
            tokens=tokens,
            width=width,
            teacher_width=teacher_width,
        )
    return CacheHeader(
        key=CacheKey.of(teacher_sha256=digest, images=images, modality=modality, family=family),
        classes=teacher.identity.classes,
        images=len(images),
        views=views,
        temperature=float(teacher.temperature),
        features=features,
    )


def build(
    path: Path,
    planned: CacheHeader,
    teacher: Teacher,
    images: PreparedImages,
    *,
    batch_size: int,
    on_progress: Progress | None,
    on_plan: Callable[[int], None] | None,
    free: Callable[[Path], int] = free_bytes,
) -> None:
    """Write the missing records to the partial file and give it its name.

    Raises:
        EyebrightError: the disk cannot hold the file, or the teacher gave a value that is not a number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    found = _resume(partial, planned, batch_size)
    if on_plan is not None:
        on_plan(planned.file_bytes)
    _check_space(path.parent, planned, held=partial.stat().st_size if found else 0, free=free)
    header, bases, done = found or _begin(partial, planned, teacher, images, batch_size)
    with partial.open("r+b") as file:
        file.truncate(header.records_start + header.bytes_of(done))
        file.seek(0, os.SEEK_END)
        for view, index in _batches(header, done, batch_size):
            file.write(recompute.compute_records(teacher, images, index, view, header, bases).tobytes())
            file.flush()
            os.fsync(file.fileno())
            if on_progress is not None:
                on_progress(view * header.images + int(index[-1]) + 1, header.records)
    move_into_place(partial, path)


def _check_space(folder: Path, planned: CacheHeader, *, held: int, free: Callable[[Path], int]) -> None:
    missing, room = planned.file_bytes - held, free(folder)
    if missing > room:
        raise EyebrightError(
            "the disk is too small for the teacher cache",
            value=f"{missing:,} bytes to write, {room:,} free in {folder}",
            fix="Make room, put the cache on another disk, or ask for fewer views or feature views.",
        )


def _begin(
    partial: Path, planned: CacheHeader, teacher: Teacher, images: PreparedImages, batch_size: int
) -> tuple[CacheHeader, Bases, int]:
    """Find the bases and start the partial file with them."""
    header, bases = planned, np.empty(planned.bases_shape, dtype=np.float32)
    if planned.features is not None:
        key = planned.key
        sample = recompute.sample_features(
            teacher, images, modality=key.modality, family=key.augmentation, batch_size=batch_size
        )
        found, retained = reduction.find_bases(sample)
        bases = found.numpy()
        header = planned.model_copy(update={"features": planned.features.model_copy(update={"retained": retained})})
    partial.write_bytes(header.to_bytes() + bases.astype("<f4").tobytes())
    return header, bases, 0


def _resume(partial: Path, planned: CacheHeader, batch_size: int) -> tuple[CacheHeader, Bases, int] | None:
    """Return header, bases and records held in whole batches; None when there is nothing to continue."""
    try:
        with partial.open("rb") as file:
            header = read_header(file)
            if header is None or header.without_findings() != planned:
                return None
            raw = file.read(header.bases_bytes)
            body = partial.stat().st_size - file.tell()
    except OSError:
        return None
    if len(raw) < header.bases_bytes:
        return None
    bases = np.frombuffer(raw, dtype="<f4").reshape(header.bases_shape).astype(np.float32)
    return header, bases, _whole_batches(header, body, batch_size)


def _whole_batches(header: CacheHeader, body_bytes: int, batch_size: int) -> int:
    """Return how many records of whole batches fit into so many bytes."""
    held = 0
    for view, index in _batches(header, 0, batch_size):
        end = view * header.images + int(index[-1]) + 1
        if header.bytes_of(end) > body_bytes:
            break
        held = end
    return held


def _batches(header: CacheHeader, done: int, batch_size: int) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield (view, pictures) of every batch behind the first ``done`` records."""
    for view in range(header.views):
        for start in range(0, header.images, batch_size):
            if view * header.images + start >= done:
                yield view, np.arange(start, min(start + batch_size, header.images))
