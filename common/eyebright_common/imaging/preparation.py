"""What the network sees: one square of uint8 RGB pixels, made the same way in a hospital and on a unit.

Colour fundus photograph (CFP):
    The box around the field of view, stretched to a square, so that the field is always the inscribed circle, even
    where a picture file was squeezed; parts outside the picture are black. Everything outside the circle is black:
    camera notches, burned-in text and background tint would tell the site, not the disease. Where no field was found
    with confidence, the whole frame is padded to a square and nothing is masked.
B-scan (OCT):
    White margins (where the scanner turned the picture) are cropped or blackened, the aspect ratio is kept, the shorter
    side padded with black. No contrast stretch.

Both are reduced with area averaging. ``PREPROCESSING_ID`` changes whenever a pixel could.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from eyebright_common.imaging.channels import darkest
from eyebright_common.imaging.field import FieldOfView, field_of_view, white_surround
from eyebright_common.imaging.refusals import Pixels

PREPROCESSING_ID = "eyebright-imaging-1"

_MASK_CONFIDENCE = 0.5
_WHITE = 245
_MIN_MARGIN_SHARE = 0.1
_TIP = 6
_MUCH_LARGER = 3


def prepare(image: Pixels, *, modality: str, size: int, field: FieldOfView | None = None) -> Pixels:
    """Return the square picture the network sees, uint8 ``[size, size, 3]``.

    Args:
        image: RGB, uint8 ``[H, W, 3]``.
        modality: ``CFP`` or ``OCT``.
        size: Side of the result in pixels.
        field: The field of view where the caller knows it already (CFP only).
    """
    if modality == "OCT":
        return _resized(_squared(without_white_margins(image)), size)
    found = field_of_view(image) if field is None else field
    if found.confidence < _MASK_CONFIDENCE:
        return _resized(_squared(image), size)
    return field_square(_without_paper(image), found, size)


def model_input(prepared: Pixels) -> NDArray[np.float32]:
    """Return the tensor of the release contract: float32 ``[1, 3, S, S]``, RGB, 0–255, from uint8 ``[S, S, 3]``."""
    return np.ascontiguousarray(prepared.transpose(2, 0, 1)[None], dtype=np.float32)


def field_square(image: Pixels, field: FieldOfView, size: int, *, halve: bool = False) -> Pixels:
    """Return the field of view as the inscribed circle of a square, black outside, uint8 ``[size, size, 3]``.

    Args:
        image: RGB, uint8 ``[H, W, 3]``.
        field: Where it is.
        size: Side of the result in pixels.
        halve: Halve it first for as long as it is much larger: a third of the work, and pixels that differ by rounding.
            Not for what the network sees.
    """
    H, W = image.shape[:2]
    left, right = _span(field.center[0], field.radius_x)
    top, bottom = _span(field.center[1], field.radius_y)
    inner: Pixels = image[max(0, top) : min(H, bottom), max(0, left) : min(W, right)]
    padding = (max(0, -top), max(0, bottom - H), max(0, -left), max(0, right - W))
    square = _padded(inner, padding)
    while halve and min(square.shape[:2]) >= _MUCH_LARGER * size:
        square = _halved(square)
    return np.asarray(cv2.copyTo(_resized(square, size), inscribed_disc(size).view(np.uint8)), dtype=np.uint8)


@cache
def inscribed_disc(size: int, share: float = 1.0) -> NDArray[np.bool_]:
    """Return the disc in the middle of a square, bool ``[size, size]``, of the given share of its radius."""
    middle = (size - 1) / 2
    y, x = np.ogrid[0:size, 0:size]
    disc = np.asarray((x - middle) ** 2 + (y - middle) ** 2 <= (share * size / 2) ** 2)
    disc.setflags(write=False)
    return disc


def without_white_margins(image: Pixels) -> Pixels:
    """Return a B-scan without its white margins: full margins cropped, slanted remainders black, ``[h, w, 3]``."""
    white = _white_margins(image)
    if not white.any():
        return image
    rows = np.flatnonzero(white.mean(axis=1) < 0.98)
    columns = np.flatnonzero(white.mean(axis=0) < 0.98)
    if not len(rows) or not len(columns):
        return image
    cleaned = np.where(white[:, :, None], np.uint8(0), image)
    return cleaned[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _white_margins(image: Pixels) -> NDArray[np.bool_]:
    white = (darkest(image) >= _WHITE).astype(np.uint8)
    if not white[0].any() and not white[-1].any() and not white[:, 0].any() and not white[:, -1].any():
        return np.zeros(white.shape, dtype=np.bool_)
    # Closing bridges the compression noise of a margin; opening cuts off a bright layer that runs into it.
    kernel = np.ones((5, 5), np.uint8)
    flat = cv2.morphologyEx(white, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_REPLICATE)
    labels = cv2.connectedComponents(flat)[1]
    margins = np.zeros(white.shape, dtype=np.uint8)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        found, counts = np.unique(edge[edge > 0], return_counts=True)
        for label in found[counts >= _MIN_MARGIN_SHARE * len(edge)]:
            margins |= (labels == label).astype(np.uint8)
    return np.asarray(cv2.dilate(_with_tips(margins, white), kernel) if margins.any() else margins, dtype=np.bool_)


def _with_tips(margins: NDArray[np.uint8], white: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return margins with the thin ends of wedges: white along the picture's edge that continues a margin."""
    strip = white.copy()
    strip[_TIP:-_TIP, _TIP:-_TIP] = 0
    labels = np.asarray(cv2.connectedComponents(margins | strip)[1])
    return np.isin(labels, np.unique(labels[margins > 0])).astype(np.uint8)


def _without_paper(image: Pixels) -> Pixels:
    paper = white_surround(image)
    return np.where(paper[:, :, None], np.uint8(0), image) if paper.any() else image


def _span(center: float, radius: float) -> tuple[int, int]:
    start = round(center - radius)
    return start, max(start + 2, round(center + radius))


def _squared(image: Pixels) -> Pixels:
    H, W = image.shape[:2]
    side = max(H, W)
    top, left = (side - H) // 2, (side - W) // 2
    padding = (top, side - H - top, left, side - W - left)
    return _padded(image, padding)


def _halved(image: Pixels) -> Pixels:
    # Exactly two to one OpenCV averages many times faster than by any other ratio; an odd last line is left out.
    H, W = (side // 2 for side in image.shape[:2])
    return np.asarray(cv2.resize(image[: 2 * H, : 2 * W], (W, H), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _padded(image: Pixels, padding: tuple[int, int, int, int]) -> Pixels:
    if not any(padding):
        return image
    return np.asarray(cv2.copyMakeBorder(image, *padding, cv2.BORDER_CONSTANT, value=(0, 0, 0)), dtype=np.uint8)


def _resized(image: Pixels, size: int) -> Pixels:
    # Area averaging is right for shrinking only; enlarging with it would draw blocks.
    shrinking = min(image.shape[:2]) >= size
    method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.array(cv2.resize(image, (size, size), interpolation=method), dtype=np.uint8)
