"""Loading many pictures: decode, judge, prepare and describe, on several processes, in the order of the rows.

* Every row ends as pixels or in one bucket: the image reason (``truncated`` …) or ``ungradable:`` and the worst reason
  of the quality gate.
* Work travels in small batches and only a few are in flight, so memory is the result and little else; pixel memory is
  committed as it fills.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from eyebright_common.errors import ImageError
from eyebright_common.imaging import assess_quality, field_of_view, prepare, read_picture
from eyebright_common.imaging.refusals import Pixels
from eyebright_common.manifest.duplicates import DESCRIPTOR_SIDE, Descriptors, duplicate_descriptor
from eyebright_common.manifest.pooling import pooled
from eyebright_common.manifest.rows import Row

_BATCH = 32
_WORTH_A_POOL = 256

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Prepared pictures and what became of the other rows.

    Attributes:
        pixels: uint8 ``[K, S, S, 3]``.
        kept: For each picture the index of its row, int64 ``[K]``, ascending.
        descriptors: float32 ``[K, D]`` for ``cluster_duplicates``.
        verdicts: Quality verdict of each picture, ``K`` of them; empty strings without a gate.
        left_out: Reason → rows.
        problems: ``(row name, reason)``, local only.
    """

    pixels: Pixels
    kept: NDArray[np.int64]
    descriptors: Descriptors
    verdicts: tuple[str, ...]
    left_out: Counter[str]
    problems: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    pixels: Pixels
    descriptor: Descriptors
    verdict: str


def load_prepared(
    rows: Sequence[Row],
    *,
    modality: str,
    size: int,
    workers: int = 2,
    quality_gate: bool = True,
    on_progress: Progress | None = None,
) -> Loaded:
    """Return the prepared pictures of ``rows``.

    Args:
        rows: What to load.
        modality: ``CFP`` or ``OCT``.
        size: Side of the prepared pictures in pixels.
        workers: Processes; 1 (or few rows) stays in this process.
        quality_gate: Whether ungradable pictures are left out.
        on_progress: Called with ``(rows done, rows in all)``.

    Raises:
        EyebrightError: a worker process died.
    """
    work = partial(_load_batch, modality=modality, size=size, quality_gate=quality_gate)
    batches = [list(rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH)]
    results = map(work, batches) if workers < 2 or len(rows) < _WORTH_A_POOL else pooled(work, batches, workers)
    return _collected(rows, results, size, on_progress)


def _collected(
    rows: Sequence[Row], results: Iterator[list[_Picture | str]], size: int, on_progress: Progress | None
) -> Loaded:
    pixels = np.empty((len(rows), size, size, 3), dtype=np.uint8)
    descriptors = np.empty((len(rows), DESCRIPTOR_SIDE**2), dtype=np.float32)
    kept: list[int] = []
    verdicts: list[str] = []
    problems: list[tuple[str, str]] = []
    done = 0
    for batch in results:
        for result in batch:
            if isinstance(result, str):
                problems.append((rows[done].name, result))
            else:
                pixels[len(kept)], descriptors[len(kept)] = result.pixels, result.descriptor
                kept.append(done)
                verdicts.append(result.verdict)
            done += 1
        if on_progress is not None:
            on_progress(done, len(rows))
    return Loaded(
        pixels=pixels[: len(kept)],
        kept=np.asarray(kept, dtype=np.int64),
        descriptors=descriptors[: len(kept)],
        verdicts=tuple(verdicts),
        left_out=Counter(reason for _, reason in problems),
        problems=tuple(problems),
    )


def _load_batch(rows: list[Row], *, modality: str, size: int, quality_gate: bool) -> list[_Picture | str]:
    return [_load_one(row, modality, size, quality_gate) for row in rows]


def _load_one(row: Row, modality: str, size: int, quality_gate: bool) -> _Picture | str:
    try:
        image = read_picture(row.image_path, image_size=size, frame=row.frame)
    except ImageError as error:
        return error.reason
    field = field_of_view(image) if modality == "CFP" else None
    verdict = ""
    if quality_gate:
        quality = assess_quality(image, modality=modality, field=field)
        if quality.verdict == "reject":
            return f"ungradable:{quality.reasons[0]}"
        verdict = quality.verdict
    prepared = prepare(image, modality=modality, size=size, field=field)
    return _Picture(pixels=prepared, descriptor=duplicate_descriptor(prepared), verdict=verdict)
