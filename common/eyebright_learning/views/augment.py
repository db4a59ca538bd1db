"""Training views: what another camera, another operator or the other eye might have given.

* Geometry in one affine warp (flips, rotation, scale, shift); intensity in one lookup table (gamma, contrast,
  brightness, a cast per channel); saturation as a 3 x 3 colour matrix. All on bytes, so a view costs little beside a
  training step.
* The ranges are narrow on purpose where they would imitate a disease: lost contrast and haze are cataract.
* A view depends on its seed alone: not on its batch, its neighbours, or the order of calls.
* These are the mild views, family ``views-1``. Stronger families (``families``) start from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eyebright_common.errors import InputError
from eyebright_learning.views.draws import uniforms, view_seed
from eyebright_learning.views.families import AUGMENTATION_ID, get_family

_GREY = np.array([[0.299, 0.587, 0.114]] * 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """How far a view may be from its picture.

    Attributes:
        flip_vertical: Whether upside down is still a plausible picture.
        rotation_deg: Largest rotation either way.
        scale: Largest relative change of size either way.
        shift: Largest shift either way, as a part of the side.
        gamma: Largest relative change of gamma either way.
        contrast: Largest relative change of contrast about the middle grey.
        brightness: Largest change of brightness, as a part of full scale.
        cast: Largest relative gain of one colour channel either way.
        saturation: Largest relative change of saturation.
    """

    flip_vertical: bool
    rotation_deg: float
    scale: float
    shift: float
    gamma: float
    contrast: float
    brightness: float
    cast: float
    saturation: float


RANGES = {
    "CFP": Ranges(
        flip_vertical=True,
        rotation_deg=20.0,
        scale=0.08,
        shift=0.03,
        gamma=0.15,
        contrast=0.12,
        brightness=0.06,
        cast=0.12,
        saturation=0.2,
    ),
    "OCT": Ranges(
        flip_vertical=False,
        rotation_deg=8.0,
        scale=0.08,
        shift=0.04,
        gamma=0.15,
        contrast=0.15,
        brightness=0.06,
        cast=0.0,
        saturation=0.0,
    ),
}


def plain(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Return pictures ``[B, S, S, 3]`` as the model input float32 ``[B, 3, S, S]`` in 0–255, unchanged."""
    return torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32)).permute(0, 3, 1, 2)


def augment(
    pixels: npt.NDArray[np.uint8],
    digests: Sequence[str],
    view: int,
    *,
    modality: str = "CFP",
    family: str = AUGMENTATION_ID,
) -> Tensor:
    """Return view number ``view`` of each picture.

    Args:
        pixels: uint8 ``[B, S, S, 3]``.
        digests: The pictures' digests, one each.
        view: View number; the same number gives the same pixels for ever.
        modality: ``CFP`` or ``OCT``; says what is plausible.
        family: One of ``FAMILIES``; says how strong.

    Returns:
        float32 ``[B, 3, S, S]`` in 0–255, channels last in memory.

    Raises:
        InputError: the modality or the family is unknown.
    """
    if modality not in RANGES:
        raise InputError("unknown modality", value=modality, fix=f"Choose one of: {', '.join(RANGES)}.")
    ranges, strong = RANGES[modality], get_family(family)
    seeds = [view_seed(digest, view) for digest in digests]
    seen = [_view(picture, seed, ranges) for picture, seed in zip(pixels, seeds, strict=True)]
    if strong is not None:
        seen = [strong(picture, seed, modality) for picture, seed in zip(seen, seeds, strict=True)]
    return plain(np.stack(seen))


def _view(picture: npt.NDArray[np.uint8], seed: int, ranges: Ranges) -> npt.NDArray[np.uint8]:
    draws = uniforms(seed)
    signed = 2.0 * draws - 1.0
    warped = cv2.warpAffine(
        picture,
        _affine(picture.shape[0], draws, signed, ranges),
        (picture.shape[1], picture.shape[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    if ranges.saturation:
        keep = 1.0 + ranges.saturation * signed[12]
        warped = cv2.transform(warped, keep * np.eye(3) + (1.0 - keep) * _GREY)
    return np.asarray(cv2.LUT(warped, _curve(signed, ranges)), dtype=np.uint8)


def _affine(
    side: int, draws: npt.NDArray[np.float64], signed: npt.NDArray[np.float64], ranges: Ranges
) -> npt.NDArray[np.float64]:
    """Return the 2 x 3 matrix about the centre: flips, then rotation and scale, then shift."""
    angle = np.deg2rad(ranges.rotation_deg * signed[2])
    scale = 1.0 + ranges.scale * signed[3]
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    flip = np.diag([-1.0 if draws[0] < 0.5 else 1.0, -1.0 if ranges.flip_vertical and draws[1] < 0.5 else 1.0])
    turn = np.array([[cos, -sin], [sin, cos]]) @ flip
    centre = np.full(2, (side - 1) / 2.0)
    offset = centre - turn @ centre + ranges.shift * side * signed[4:6]
    return np.column_stack([turn, offset])


def _curve(signed: npt.NDArray[np.float64], ranges: Ranges) -> npt.NDArray[np.uint8]:
    """Return the lookup table ``[1, 256, 3]``. Black stays black: outside the field of view there is no light."""
    level = np.linspace(0.0, 1.0, 256)[:, None]
    contrast = 1.0 + ranges.contrast * signed[7]
    lit = (level ** (1.0 + ranges.gamma * signed[6]) - 0.5) * contrast + 0.5 + ranges.brightness * signed[8]
    cast = 1.0 + ranges.cast * signed[9:12]
    # The black surround is not a dark picture: fade the change in over the darkest levels.
    ramp = np.clip(level * 255.0 / 16.0, 0.0, 1.0)
    table = 255.0 * (ramp * lit * cast + (1.0 - ramp) * level)
    return np.asarray(np.clip(np.rint(table), 0, 255)[None], dtype=np.uint8)
