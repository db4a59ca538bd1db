"""Whether letters are burned into a picture: names and dates that some devices write beside the retina.

* Letters are small, strongly brighter than what surrounds them, of one height, and stand in a row. A row of five or
  more such marks is text. Nothing is read: the answer is yes or no.
* In a fundus photograph only the surround is searched: vessels and lesions are small and bright too, and the surround
  is blackened before training, so what is there matters when files are given away.
* In a B-scan the whole picture is searched, and marks must be evenly bright: tissue is speckled.

Not found: handwriting, dark letters on a light ground, letters of fewer than seven pixels in a 512-pixel picture.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from eyebright_common.imaging.channels import brightest
from eyebright_common.imaging.field import FieldOfView
from eyebright_common.imaging.refusals import Pixels

_WIDTH = 640
_CONTRAST = 60
_IN_A_ROW = 5

Plane = NDArray[Any]


def burned_in_text(image: Pixels, *, field: FieldOfView | None = None) -> bool:
    """Return whether a picture, RGB uint8 ``[H, W, 3]``, has a row of letters.

    Args:
        image: The decoded picture, before it is prepared.
        field: Its field of view (CFP); without one the whole picture is searched.
    """
    scale = min(1.0, _WIDTH / image.shape[1])
    size = (max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale)))
    grey = np.asarray(brightest(cv2.resize(image, size, interpolation=cv2.INTER_AREA)), dtype=np.uint8)
    searched = _outside(grey.shape, field, scale) if field is not None else np.ones(grey.shape, dtype=np.bool_)
    if searched.mean() < 0.01:
        return False
    marks = _marks(np.where(searched, grey, 0).astype(np.uint8), even=field is None)
    return _has_row(marks)


def _outside(shape: tuple[int, ...], field: FieldOfView, scale: float) -> NDArray[np.bool_]:
    y, x = np.ogrid[0 : shape[0], 0 : shape[1]]
    across = (x - field.center[0] * scale) / (1.04 * field.radius_x * scale)
    down = (y - field.center[1] * scale) / (1.04 * field.radius_y * scale)
    return np.asarray(across**2 + down**2 > 1)


def _marks(grey: Plane, *, even: bool) -> Plane:
    """Return what may be letters, float ``[M, 4]``: left, top, width, height."""
    lifted = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((17, 17), np.uint8))
    binary = (np.asarray(lifted) > _CONTRAST).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    left, top, width, height, area = (stats[1:, column] for column in range(5))
    fill = area / np.maximum(1, width * height)
    # In small print neighbours touch: a mark may be several letters wide. In a B-scan that would be a layer of tissue.
    widest = 1.6 if even else 8.0
    letter = (height >= 6) & (height <= 32) & (width <= widest * height) & (fill > 0.15) & (fill < 0.85)
    letter |= (height >= 6) & (height <= 32) & (width <= 0.35 * height)
    if even and count > 1:
        total = np.bincount(labels.ravel(), weights=grey.ravel().astype(np.float64), minlength=count)[1:]
        letter &= total / np.maximum(area, 1) > 150
    return np.asarray(np.stack([left, top, width, height], axis=1)[letter], dtype=np.float64)


def _has_row(marks: Plane) -> bool:
    """Return whether enough marks of one height stand on one line, close to each other."""
    for left, top, _, height in marks:
        bottom = top + height
        same = (np.abs(marks[:, 3] - height) <= max(2.0, 0.3 * height)) & (
            np.abs(marks[:, 1] + marks[:, 3] - bottom) <= max(1.5, 0.15 * height)
        )
        row = marks[same & (marks[:, 0] >= left)]
        if _letters(row[np.argsort(row[:, 0])]) >= _IN_A_ROW:
            return True
    return False


def _letters(row: Plane) -> float:
    """Return how many letters wide the marks are that follow each other at a letter's distance, from the left."""
    gaps = row[1:, 0] - (row[:-1, 0] + row[:-1, 2])
    far = np.flatnonzero((gaps > 1.2 * row[0, 3]) | (gaps < -0.3 * row[0, 3]))
    chain = row[: int(far[0]) + 1] if len(far) else row
    # One mark alone is a streak of light, however long.
    return float(np.maximum(1.0, chain[:, 2] / chain[:, 3]).sum()) if len(chain) > 1 else 0.0
