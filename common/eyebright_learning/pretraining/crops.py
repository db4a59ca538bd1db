"""The only augmentation: a random part of the picture, resized (no flip, colour or blur; the paper's choice).

* Area: a part of the picture in ``scale``, uniform. Width over height: log-uniform in [3/4, 4/3], cut to what fits at
  that area, so nothing is ever rejected. Place: uniform.
* All of it comes from (seed, picture digest, epoch), like every view in Eyebright: not from batch, order or process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from eyebright_learning.views import plain, view_seed
from eyebright_learning.views.draws import uniforms

_LARGEST_ASPECT = 4.0 / 3.0


def crop_views(
    pixels: npt.NDArray[np.uint8],
    digests: Sequence[str],
    *,
    view: int,
    seed: int,
    image_size: int,
    scale: tuple[float, float],
) -> Tensor:
    """Return one crop of each picture, float32 ``[B, 3, image_size, image_size]`` in 0–255.

    Args:
        pixels: uint8 ``[B, S, S, 3]``.
        digests: The pictures' digests, one each.
        view: View number.
        seed: Of the run.
        image_size: Side of the crops after resizing.
        scale: Least and largest part of the picture's area.
    """
    seen = [
        _crop(picture, uniforms(view_seed(f"pretraining/{seed}/{digest}", view)), image_size, scale)
        for picture, digest in zip(pixels, digests, strict=True)
    ]
    return plain(np.stack(seen))


def crop_box(draws: npt.NDArray[np.float64], scale: tuple[float, float]) -> tuple[float, float, float, float]:
    """Return top, left, height and width as parts of the side, from at least four numbers in [0, 1)."""
    area = scale[0] + (scale[1] - scale[0]) * float(draws[0])
    # Both sides are at most 1 as long as the aspect stays within [area, 1 / area].
    limit = min(math.log(_LARGEST_ASPECT), -math.log(area))
    root = math.exp(0.5 * limit * (2.0 * float(draws[1]) - 1.0))
    height, width = math.sqrt(area) / root, math.sqrt(area) * root
    return (1.0 - height) * float(draws[2]), (1.0 - width) * float(draws[3]), height, width


def _crop(
    picture: npt.NDArray[np.uint8], draws: npt.NDArray[np.float64], image_size: int, scale: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    side = picture.shape[0]
    top, left, height, width = (round(side * part) for part in crop_box(draws, scale))
    height, width = max(1, height), max(1, width)
    top, left = min(top, side - height), min(left, side - width)
    part = picture[top : top + height, left : left + width]
    shrinks = min(height, width) > image_size
    resized = cv2.resize(part, (image_size, image_size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)
