"""The pictures that travel with a release, and those that variants are calibrated on: the operator's own, or drawn.

* From data: the same number of each class, in the order of the manifest, so that the same data give the same cases. A
  column ``must_refer`` marks cases that nobody may miss; the file's clear referrals stand in where there is none.
* Drawn: discs of coloured noise with lines in them. They exercise the arithmetic and mean nothing; no case of theirs
  has to be referred, and the card says what they are.

A hospital's pictures are never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from eyebright_common.errors import InputError
from eyebright_common.manifest import load_prepared, read_dataset
from eyebright_common.tasks import ScreeningTask

GOLDEN_CASES = 12
CALIBRATION_PICTURES = 64
_YES = frozenset({"1", "yes", "true"})
_DRAWN = "Golden cases and the calibration of variants are drawn pictures: they say nothing about real ones."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GoldenPictures:
    """Pictures for a release.

    Attributes:
        pixels: Of the golden cases, uint8 ``[K, S, S, 3]``.
        must_refer: Which of them have to be referred; None leaves it to the file.
        calibration: To calibrate and measure variants on, uint8 ``[N, S, S, 3]``.
        limits: What the card has to say of them.
    """

    pixels: npt.NDArray[np.uint8]
    must_refer: Sequence[bool] | None
    calibration: npt.NDArray[np.uint8]
    limits: tuple[str, ...] = ()


def golden_from_data(data: Path, *, task: ScreeningTask, image_size: int, workers: int = 2) -> GoldenPictures:
    """Return golden and calibration pictures out of the operator's own data.

    Raises:
        InputError: the data cannot be used for the task, or a class has no gradable picture.
    """
    manifest, _ = read_dataset(data, task_family=task.name, exact=True)
    each = -(-CALIBRATION_PICTURES // len(task.classes))
    # A few more than needed: some will not be gradable.
    by_class = [[row for row in manifest.rows if row.label == name][: 2 * each] for name in task.classes]
    rows = [row for chosen in by_class for row in chosen]
    loaded = load_prepared(rows, modality=task.modality, size=image_size, workers=workers)
    labels = np.array([task.index_of(rows[index].label or "") for index in loaded.kept], dtype=np.int64)
    missing = [name for index, name in enumerate(task.classes) if not (labels == index).any()]
    if missing:
        raise InputError("a class has no gradable picture for the golden cases", value=", ".join(missing))
    golden = _of_each(labels, len(task.classes), max(1, GOLDEN_CASES // len(task.classes)))
    marks = [rows[index].extra.get("must_refer", "").strip().lower() in _YES for index in loaded.kept]
    referable = np.asarray(task.referable_mask)[labels]
    must = np.array(marks) if any(marks) else None
    return GoldenPictures(
        pixels=loaded.pixels[golden],
        # Where nobody has marked one, what the file refers clearly has to be referred everywhere else too.
        must_refer=(must & referable)[golden].tolist() if must is not None else None,
        calibration=loaded.pixels[_of_each(labels, len(task.classes), each)],
    )


def drawn_pictures(*, image_size: int, seed: int = 0) -> GoldenPictures:
    """Return drawn pictures; the same for the same size and seed."""
    generator = np.random.default_rng(seed)
    drawn = np.stack([_drawn(generator, image_size) for _ in range(CALIBRATION_PICTURES)])
    return GoldenPictures(
        pixels=drawn[:GOLDEN_CASES], must_refer=[False] * GOLDEN_CASES, calibration=drawn, limits=(_DRAWN,)
    )


def _of_each(labels: npt.NDArray[np.int64], classes: int, count: int) -> list[int]:
    return [int(row) for label in range(classes) for row in np.flatnonzero(labels == label)[:count]]


def _drawn(generator: np.random.Generator, size: int) -> npt.NDArray[np.uint8]:
    coarse = generator.uniform(0.2, 1.0, (6, 6, 3)).astype(np.float32)
    tint = generator.uniform((120, 50, 20), (255, 160, 110)).astype(np.float32)
    picture = np.clip(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) * tint, 0, 255)
    for start, end in generator.integers(0, size, (8, 2, 2)).tolist():
        cv2.line(picture, start, end, (tint * 0.5).tolist(), max(1, size // 64))
    y, x = np.ogrid[:size, :size]
    outside = (y - size / 2 + 0.5) ** 2 + (x - size / 2 + 0.5) ** 2 > (size / 2) ** 2
    picture[outside] = 0
    result: npt.NDArray[np.uint8] = picture.astype(np.uint8)
    return result
