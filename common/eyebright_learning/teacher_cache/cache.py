"""Teacher targets on disk: built once, resumable, replayed by (picture, view).

* Building appends synced blocks to ``<name>.partial``; a killed build continues after the last whole record, and only
  a complete file gets its final name.
* A file whose key differs (teacher, pictures, view code, library versions) or that has fewer views is rebuilt.
* ``logits`` returns what the teacher said; ``targets`` divides by the teacher's temperature, and is what students
  learn from. The distillation temperature comes on top, in the loss.
* ``verify`` runs the teacher again over a sample and says how far the records are off.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from eyebright_common.durable import move_into_place
from eyebright_common.errors import EyebrightError, InputError
from eyebright_learning.data import PreparedImages
from eyebright_learning.models import Teacher
from eyebright_learning.teacher_cache.key import CacheKey
from eyebright_learning.teacher_cache.layout import CacheHeader, held_records, read_header
from eyebright_learning.views import augment, view_seed

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCheck:
    """What re-running the teacher over a sample of records showed.

    Attributes:
        records: Records compared.
        max_abs_error: Largest difference of a logit.
        argmax_mismatches: Records whose top class differs.
        seed_mismatches: Records whose stored view seed is not the view's.
    """

    records: int
    max_abs_error: float
    argmax_mismatches: int
    seed_mismatches: int


class TeacherCache:
    """Complete teacher targets of one set of pictures; make one with ``open`` or ``open_or_build``."""

    def __init__(self, header: CacheHeader, records: npt.NDArray[np.void]) -> None:
        self.header = header
        self.records = records.reshape(header.views, header.images)

    @property
    def views(self) -> int:
        """Number of views per picture."""
        return self.header.views

    @property
    def temperature(self) -> float:
        """The teacher's fitted temperature."""
        return self.header.temperature

    def __len__(self) -> int:
        return self.header.images

    def logits(self, index: npt.ArrayLike, view: int) -> npt.NDArray[np.float32]:
        """Return raw teacher logits float32 ``[B, C]`` of pictures ``index`` in view ``view`` (modulo ``views``)."""
        rows = self.records[view % self.views]["logits"][np.asarray(index)]
        return np.asarray(rows, dtype=np.float32)

    def targets(self, index: npt.ArrayLike, view: int) -> npt.NDArray[np.float32]:
        """Return calibrated teacher logits, ``logits / temperature``, float32 ``[B, C]``."""
        return self.logits(index, view) / np.float32(self.temperature)

    @classmethod
    def open(
        cls, path: Path, *, teacher_sha256: str, images: PreparedImages, views: int, modality: str = "CFP"
    ) -> TeacherCache | None:
        """Return the cache at ``path`` without needing the teacher itself.

        Returns:
            The cache, or None when there is none, it was made from something else, or it has fewer views.
        """
        key = CacheKey.of(teacher_sha256=teacher_sha256, images=images, modality=modality)
        try:
            with path.open("rb") as file:
                header = read_header(file)
                if header is None or header.key != key or header.views < views or header.images != len(images):
                    return None
                content = file.read()
        except OSError:
            return None
        if len(content) != header.records * header.record_dtype().itemsize:
            return None
        return cls(header, np.frombuffer(content, dtype=header.record_dtype()))

    @classmethod
    def open_or_build(
        cls,
        path: Path,
        *,
        teacher: Teacher,
        images: PreparedImages,
        views: int,
        modality: str = "CFP",
        batch_size: int = 64,
        on_progress: Progress | None = None,
    ) -> TeacherCache:
        """Return the cache at ``path``, building or finishing it first where needed.

        Args:
            path: The cache file.
            teacher: Asked only for records that are missing.
            images: The pictures.
            views: Views per picture.
            modality: ``CFP`` or ``OCT``.
            batch_size: Pictures per teacher call.
            on_progress: Called with (records held, records in all).

        Raises:
            InputError: there are no pictures, no views, or the pictures have another size than the teacher's.
            EyebrightError: the teacher gave a value that is not a number.
        """
        _check_inputs(teacher, images, views)
        digest = teacher.digest()
        known = cls.open(path, teacher_sha256=digest, images=images, views=views, modality=modality)
        if known is not None:
            return known
        header = CacheHeader(
            key=CacheKey.of(teacher_sha256=digest, images=images, modality=modality),
            classes=teacher.identity.classes,
            images=len(images),
            views=views,
            temperature=float(teacher.temperature),
        )
        _build(path, header, teacher, images, batch_size, on_progress)
        built = cls.open(path, teacher_sha256=digest, images=images, views=views, modality=modality)
        assert built is not None, "a cache that was just written must be readable"
        return built

    def verify(
        self, teacher: Teacher, images: PreparedImages, *, fraction: float = 0.01, seed: int = 0, batch_size: int = 64
    ) -> CacheCheck:
        """Re-run the teacher over a random ``fraction`` of the records (at least one) and compare.

        Raises:
            InputError: the pictures are not those of this cache.
        """
        if images.digest() != self.header.key.images_sha256:
            raise InputError("the pictures are not those of this cache", fix="Open the cache with its own pictures.")
        count = min(self.header.records, max(1, round(fraction * self.header.records)))
        chosen = np.sort(np.random.default_rng(seed).choice(self.header.records, count, replace=False))
        fresh = np.concatenate(
            [
                _teach(teacher, images, chosen[start : start + batch_size], self.header)
                for start in range(0, count, batch_size)
            ]
        )
        held = self.records.reshape(-1)[chosen]
        fresh_logits, held_logits = fresh["logits"].astype(np.float64), held["logits"].astype(np.float64)
        return CacheCheck(
            records=count,
            max_abs_error=float(np.abs(fresh_logits - held_logits).max()),
            argmax_mismatches=int((fresh_logits.argmax(1) != held_logits.argmax(1)).sum()),
            seed_mismatches=int((fresh["seed"] != held["seed"]).sum()),
        )


def _check_inputs(teacher: Teacher, images: PreparedImages, views: int) -> None:
    if len(images) == 0 or views < 1:
        raise InputError("a teacher cache needs pictures and views", value=f"{len(images)} pictures, {views} views")
    if images.size != teacher.identity.image_size:
        raise InputError(
            "the pictures have another size than the teacher's",
            value=f"{images.size} px, not {teacher.identity.image_size} px",
            fix="Prepare the pictures at the teacher's size.",
        )


def _build(
    path: Path,
    header: CacheHeader,
    teacher: Teacher,
    images: PreparedImages,
    batch_size: int,
    on_progress: Progress | None,
) -> None:
    """Write the missing records to the partial file and give it its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    done = held_records(partial, header)
    if done == 0:
        partial.write_bytes(header.to_bytes())
    with partial.open("r+b") as file:
        file.truncate(len(header.to_bytes()) + done * header.record_dtype().itemsize)
        file.seek(0, os.SEEK_END)
        for start in range(done, header.records, batch_size):
            stop = min(start + batch_size, header.records)
            file.write(_teach(teacher, images, np.arange(start, stop), header).tobytes())
            file.flush()
            os.fsync(file.fileno())
            if on_progress is not None:
                on_progress(stop, header.records)
    move_into_place(partial, path)


def _teach(
    teacher: Teacher, images: PreparedImages, numbers: npt.NDArray[np.int64], header: CacheHeader
) -> npt.NDArray[np.void]:
    """Return the records with these numbers, from the teacher itself."""
    records = np.empty(len(numbers), dtype=header.record_dtype())
    for view in np.unique(numbers // header.images):
        here = np.flatnonzero(numbers // header.images == view)
        index = numbers[here] % header.images
        digests = [images.digests[i] for i in index]
        batch = augment(images.pixels[index], digests, int(view), modality=header.key.modality)
        records["seed"][here] = [view_seed(digest, int(view)) for digest in digests]
        records["logits"][here] = _halves(_run(teacher, batch))
    return records


def _run(teacher: Teacher, batch: torch.Tensor) -> npt.NDArray[np.float32]:
    device = teacher.temperature.device
    was_training = teacher.training
    teacher.eval()
    try:
        with torch.inference_mode():
            logits: torch.Tensor = teacher(batch.to(device))
            return logits.float().cpu().numpy()
    finally:
        teacher.train(was_training)


def _halves(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    if not np.isfinite(logits).all():
        raise EyebrightError(
            "the teacher gave a logit that is not a number", fix="Train the teacher again; its weights are damaged."
        )
    largest = float(np.finfo(np.float16).max)
    return np.clip(logits, -largest, largest).astype(np.float16)
