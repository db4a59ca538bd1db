"""How much one side of a fundus photograph looks like an eyelid: flat, without structure and of another colour.

Twelve caps of the field are compared with the half of the field opposite to each. A lid is flat inside (a lesion is
not), lacks vessels (a shadow does not) and has a tint or brightness of its own (a fundus without vessels has not).
Everything here is smooth, so one pixel in sixteen says the same as all.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from eyebright_common.imaging.quantiles import quantiles
from eyebright_common.imaging.refusals import Pixels

_STEP = 4
_FEWEST = 20
_ANGLES = 12
_BORDER_OF_CAP = 0.42

Plane = NDArray[Any]
Mask = NDArray[np.bool_]


def lid_likeness(square: Pixels, inside: Mask) -> float:
    """Return how much the outer part of the field, on its worst side, looks like a lid: 0–1.

    Args:
        square: The field of view, uint8 ``[S, S, 3]``.
        inside: Where the picture shows the field, bool ``[S, S]``.
    """
    caps, rests = (region & _thinned(inside).ravel() for region in _regions(len(square)))
    enough = (caps.sum(axis=1) >= _FEWEST) & (rests.sum(axis=1) >= _FEWEST)
    if not enough.any():
        return 0.0
    caps, rests = caps[enough], rests[enough]
    values = _values(square)
    contrast = _contrast(_means(values, caps), _means(values, rests))
    return _worst(values[:, 0], caps, contrast)


def _values(square: Pixels) -> Plane:
    """Return level, strength of structure and tint (3) at the places looked at, float32 ``[N, 5]``."""
    soft = _thinned(cv2.GaussianBlur(square, (0, 0), 3.0)).reshape(-1, 3).astype(np.float32)
    red, green, _ = cv2.split(cv2.GaussianBlur(square, (0, 0), 1.6))
    fine = (red.astype(np.float32) + green) / 2
    structure = _thinned(cv2.absdiff(fine, cv2.GaussianBlur(fine, (0, 0), 4.0))).ravel()
    tint = soft / (soft.sum(axis=1, keepdims=True) + 12.0)
    return np.column_stack([(soft[:, 0] + soft[:, 1]) / 2, structure, tint])


def _contrast(cap: Plane, rest: Plane) -> Plane:
    """Return how much each cap lacks structure and has another colour than the rest, 0–1, ``[A]``."""
    of_cap, of_rest = cap[:, 0] + 4.0, rest[:, 0] + 4.0
    missing = 1 - (cap[:, 1] / of_cap) / (rest[:, 1] / of_rest + 0.002)
    colour = np.abs(cap[:, 2:] - rest[:, 2:]).sum(axis=1)
    difference = np.minimum(1.0, (colour + 0.15 * np.abs(np.log(of_cap / of_rest))) / 0.06)
    return np.asarray(np.maximum(0.0, missing) * difference)


def _worst(level: Plane, caps: Mask, contrast: Plane) -> float:
    """Return the largest contrast of a cap, damped by how uneven that cap is."""
    worst = 0.0
    for index in np.argsort(-contrast):
        if contrast[index] <= worst:
            break  # Damping only makes it smaller.
        of_cap = level[caps[index]]
        low, high = quantiles(of_cap, 0.1, 0.9)
        uneven = (high - low) / (float(of_cap.mean()) + 4.0)
        worst = max(worst, float(contrast[index] * np.exp(-uneven / 0.12)))
    return worst


def _thinned(plane: Plane) -> Plane:
    return plane[::_STEP, ::_STEP]


def _means(values: Plane, regions: Mask) -> Plane:
    return np.asarray((regions.astype(np.float32) @ values) / regions.sum(axis=1, keepdims=True))


@cache
def _regions(side: int) -> tuple[Mask, Mask]:
    """Return the caps and the halves opposite to them at the places looked at, bool ``[A, N]`` each."""
    steps = ((np.arange(side) + 0.5) / side * 2 - 1)[::_STEP]
    y, x = (axis.ravel() for axis in np.meshgrid(steps, steps, indexing="ij"))
    angles = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
    along = np.outer(np.cos(angles), x) + np.outer(np.sin(angles), y)
    return along > _BORDER_OF_CAP, along < 0.0
