"""RandAugment (Cubuk et al., CVPR workshops 2020, arXiv 1909.13719): N operations of a list, all at magnitude M of 10.

* The list is declared per modality and holds only what may happen to a picture without changing its diagnosis. A scan
  is not turned upside down. A fundus is not blurred and loses no contrast: that is cataract.
* Operations are drawn with replacement. Their direction, and the place of the erased part, are drawn too; the strength
  is not: it is M / 10 of the range that stands with the operation.
* All draws come from the view's seed, in a stream of their own, so the mild view below does not move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from eyebright_learning.views.draws import uniforms

Picture = npt.NDArray[np.uint8]
Operation = Callable[[Picture, float, npt.NDArray[np.float64]], Picture]

_STREAM = b"eyebright-rand"
_DRAWS_EACH = 5  # one to choose the operation, four for itself

_ROTATION_DEG = 20.0
_SHEAR_DEG = 15.0
_SCALE = 0.15
_BRIGHTNESS = 0.3
_CONTRAST = 0.3
_BLUR_SIGMA = 0.01  # part of the side
_POSTERIZE_BITS = 4
_ERASED_AREA = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class RandAugment:
    """How many operations, and how strong.

    Attributes:
        count: N.
        magnitude: M, of 10.
    """

    count: int
    magnitude: int

    def __call__(self, picture: Picture, seed: int, modality: str) -> Picture:
        """Return a picture uint8 ``[S, S, 3]`` after the operations that belong to a view's seed."""
        operations = OPERATIONS[modality]
        draws = uniforms(seed, stream=_STREAM)
        for number in range(self.count):
            own = draws[_DRAWS_EACH * number : _DRAWS_EACH * (number + 1)]
            operation = operations[int(own[0] * len(operations))]
            picture = operation(picture, self.magnitude / 10.0, own[1:])
        return picture


def rotate(picture: Picture, strength: float, draws: npt.NDArray[np.float64]) -> Picture:
    """Return the picture turned about its centre, up to 20 degrees either way."""
    angle = np.deg2rad(_ROTATION_DEG * strength * _sign(draws[0]))
    return _warped(picture, np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))


def shear(picture: Picture, strength: float, draws: npt.NDArray[np.float64]) -> Picture:
    """Return the picture slanted sideways or, half of the time, up and down, by up to 15 degrees."""
    slant = np.tan(np.deg2rad(_SHEAR_DEG * strength * _sign(draws[0])))
    return _warped(picture, np.array([[1.0, slant], [0.0, 1.0]] if draws[1] < 0.5 else [[1.0, 0.0], [slant, 1.0]]))


def scale(picture: Picture, strength: float, draws: npt.NDArray[np.float64]) -> Picture:
    """Return the picture up to 15 % larger or smaller."""
    return _warped(picture, (1.0 + _SCALE * strength * _sign(draws[0])) * np.eye(2))


def flip(picture: Picture, strength: float, draws: npt.NDArray[np.float64]) -> Picture:
    """Return the picture as of the other eye."""
    return np.ascontiguousarray(picture[:, ::-1])


def brighten(picture: Picture, strength: float, draws: npt.NDArray[np.float64]) -> Picture:
    """Return the picture up to 30 % brighter or darker; black stays black."""
    return _mapped(picture, np.arange(256) * (1.0 + _BRIGHTNESS * strength * _sign(draws[0])))


def contrast(picture: Picture, strength: float, draws: npt.NDArray[np.float64]) -> Picture:
    """Return the picture with up to 30 % more or less contrast about its mean."""
    middle = float(picture.mean())
    return _mapped(picture, middle + (np.arange(256) - middle) * (1.0 + _CONTRAST * strength * _sign(draws[0])))


def blur(picture: Picture, strength: float, draws: npt.NDArray[np.float64]) -> Picture:
    """Return the picture blurred by a Gaussian of up to 1 % of the side."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), _BLUR_SIGMA * strength * picture.shape[0]), dtype=np.uint8)


def posterize(picture: Picture, strength: float, draws: npt.NDArray[np.float64]) -> Picture:
    """Return the picture with up to four of its eight bits cleared."""
    return _mapped(picture, np.arange(256) & (0xFF << round(_POSTERIZE_BITS * strength)))


def erase(picture: Picture, strength: float, draws: npt.NDArray[np.float64]) -> Picture:
    """Return the picture with a rectangle of up to 15 % of its area, anywhere, in its mean colour."""
    side = picture.shape[0]
    edge, stretch = side * np.sqrt(_ERASED_AREA * strength), 2.0 ** (draws[0] - 0.5)
    height, width = edge * stretch, edge / stretch
    top, left = round(draws[1] * (side - height)), round(draws[2] * (side - width))
    erased = picture.copy()
    erased[top : top + round(height), left : left + round(width)] = np.rint(picture.mean((0, 1)))
    return erased


OPERATIONS: dict[str, tuple[Operation, ...]] = {
    "CFP": (rotate, shear, scale, flip, brighten, erase),
    "OCT": (rotate, shear, scale, flip, brighten, contrast, blur, posterize, erase),
}


def _sign(draw: float) -> float:
    return -1.0 if draw < 0.5 else 1.0


def _warped(picture: Picture, matrix: npt.NDArray[np.float64]) -> Picture:
    """Return the picture after a linear map about its centre."""
    side = picture.shape[0]
    centre = np.full(2, (side - 1) / 2.0)
    affine = np.column_stack([matrix, centre - matrix @ centre])
    return np.asarray(cv2.warpAffine(picture, affine, (side, side), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def _mapped(picture: Picture, levels: npt.NDArray[np.floating | np.integer]) -> Picture:
    return np.asarray(cv2.LUT(picture, np.clip(np.rint(levels), 0, 255).astype(np.uint8)), dtype=np.uint8)
