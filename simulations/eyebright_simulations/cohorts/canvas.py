"""The drawing surface shared by both modalities: smooth random fields, soft shapes, planar colour.

A canvas is planar float32 ``[3, S, S]`` (RGB, 1.0 is white): single planes keep each brush stroke a few
microseconds. Fields and masks are float32 ``[S, S]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Reals = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]


def as_field(values: object) -> Field:
    """Return ``values`` as float32, without a copy where they are so already."""
    return np.asarray(values, dtype=np.float32)


def smooth_noise(rng: np.random.Generator, cells: int, shape: tuple[int, int]) -> Field:
    """Return a random field ``[H, W]`` of about unit variance whose blobs are ``1 / cells`` of the picture wide."""
    knots = rng.standard_normal((cells, cells), dtype=np.float32)
    return cast(Field, cv2.resize(knots, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC))


def smooth_step(value: Reals, low: float | Reals, high: float | Reals) -> Field:
    """Return 0 below ``low``, 1 above ``high`` and a soft ramp between (the other way round when ``low > high``)."""
    start, width = as_field(low), as_field(np.subtract(high, low))
    t = np.clip((value - start) / width, 0, 1)
    return as_field(t * t * (3 - 2 * t))


def blurred(field: Field, sigma: float) -> Field:
    """Return ``field`` after a Gaussian blur of ``sigma`` pixels; unchanged for a negligible one."""
    if sigma < 0.25:
        return field
    return cast(Field, cv2.GaussianBlur(field, (0, 0), float(sigma), borderType=cv2.BORDER_REFLECT))


def absorb(canvas: Field, mask: Field, strength: tuple[float, float, float]) -> None:
    """Darken ``canvas`` in place where ``mask`` is: each colour loses ``strength`` of itself under a full mask."""
    for plane, k in zip(canvas, strength, strict=True):
        plane *= 1 - np.float32(k) * mask


def cover(canvas: Field, mask: Field, colour: Sequence[float]) -> None:
    """Lay an opaque ``colour`` over ``canvas`` in place, as far as ``mask`` covers it."""
    for plane, c in zip(canvas, colour, strict=True):
        plane += mask * (np.float32(c) - plane)


def to_bytes(picture: Field) -> Bytes:
    """Return a picture with values 0–1 as 8-bit."""
    return cast(Bytes, (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
