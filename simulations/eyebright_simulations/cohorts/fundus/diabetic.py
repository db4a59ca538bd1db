"""Diabetic retinopathy: microaneurysms, dot and blot haemorrhages, hard exudates, cotton-wool spots, in graded number.

Lesions are drawn as anti-aliased marks on masks twice the size of the canvas and then reduced.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from eyebright_simulations.cohorts.canvas import Bytes, Field, absorb, as_field, blurred, cover
from eyebright_simulations.cohorts.fundus.anatomy import Anatomy
from eyebright_simulations.cohorts.fundus.frame import Grid

_ZOOM = 2
_SHIFT = 4


def paint_retinopathy(grid: Grid, canvas: Field, anatomy: Anatomy, severity: float, rng: np.random.Generator) -> None:
    """Paint the lesions of ``severity`` (0 just visible, 1 severe) on ``canvas`` ``[3, S, S]`` in place."""
    blood = _blank(grid)
    _dots(grid, blood, _scatter(anatomy, rng, rng.poisson(8 + 22 * severity)), rng, 0.008, 0.014)
    _blots(
        grid, blood, _scatter(anatomy, rng, 3 + rng.poisson(3 + 14 * severity)), rng, 0.018, 0.036 + 0.014 * severity
    )
    absorb(canvas, _reduced(grid, blood), (0.42, 0.76, 0.62))
    wool = _blank(grid)
    _blots(grid, wool, _scatter(anatomy, rng, rng.poisson(0.4 + 3.5 * severity)), rng, 0.035, 0.065)
    cover(canvas, blurred(_reduced(grid, wool), grid.unit * 0.016) * np.float32(0.75), (0.92, 0.84, 0.66))
    fat = _blank(grid)
    for centre in _scatter(anatomy, rng, 1 + rng.poisson(0.6 + 2.6 * severity), spread=0.28):
        _cluster(grid, fat, centre, rng, severity)
    cover(canvas, _reduced(grid, fat) * np.float32(0.92), (0.99, 0.90, 0.50))


def _blank(grid: Grid) -> Bytes:
    return np.zeros((grid.size * _ZOOM, grid.size * _ZOOM), np.uint8)


def _reduced(grid: Grid, mask: Bytes) -> Field:
    return as_field(cv2.resize(mask, (grid.size, grid.size), interpolation=cv2.INTER_AREA)) / np.float32(255)


def _scatter(anatomy: Anatomy, rng: np.random.Generator, count: int, spread: float = 0.42) -> NDArray[np.float64]:
    """Return about ``count`` places around the macula, the disc itself spared, ``[M, 2]``."""
    places = np.array(anatomy.fovea) + rng.normal(0, spread, (count, 2)) + np.array([0.08, 0.0])
    from_disc = np.hypot(places[:, 0] - anatomy.disc[0], places[:, 1] - anatomy.disc[1])
    in_field = np.hypot(places[:, 0], places[:, 1]) < 0.93
    allowed: NDArray[np.float64] = places[in_field & (from_disc > 1.25 * anatomy.disc_radii[1])]
    return allowed


def _ellipse(grid: Grid, mask: Bytes, place: NDArray[np.float64], axes: tuple[float, float], turn: float) -> None:
    scale = grid.unit * _ZOOM * (1 << _SHIFT)
    centre = grid.pixels(place[None], zoom=_ZOOM)[0] * (1 << _SHIFT)
    size = (max(8, int(axes[0] * scale)), max(8, int(axes[1] * scale)))
    cv2.ellipse(mask, (int(centre[0]), int(centre[1])), size, turn, 0, 360, 255, -1, cv2.LINE_AA, _SHIFT)


def _dots(
    grid: Grid, mask: Bytes, places: NDArray[np.float64], rng: np.random.Generator, small: float, large: float
) -> None:
    for place, radius in zip(places, rng.uniform(small, large, len(places)), strict=True):
        _ellipse(grid, mask, place, (radius, radius), 0)


def _blots(
    grid: Grid, mask: Bytes, places: NDArray[np.float64], rng: np.random.Generator, small: float, large: float
) -> None:
    """Draw uneven blots, each of two or three overlapping ellipses."""
    for place, radius in zip(places, rng.uniform(small, large, len(places)), strict=True):
        for _ in range(1 + rng.integers(3)):
            axes = radius * rng.uniform(0.5, 1.0, 2)
            _ellipse(grid, mask, place + rng.normal(0, 0.45 * radius, 2), (axes[0], axes[1]), rng.uniform(0, 180))


def _cluster(grid: Grid, mask: Bytes, centre: NDArray[np.float64], rng: np.random.Generator, severity: float) -> None:
    """Draw a group of exudates, often as part of a ring around a leaking spot."""
    count = 4 + rng.poisson(4 + 8 * severity)
    if rng.random() < 0.6:
        ring, arc = rng.uniform(0.07, 0.14), rng.uniform(2.5, 6.3)
        angles = rng.uniform(0, 6.3) + rng.uniform(0, arc, count)
        reach = ring * rng.normal(1, 0.12, count)
        places = centre + np.stack([np.cos(angles) * reach, np.sin(angles) * reach], axis=1)
    else:
        places = centre + rng.normal(0, 0.05, (count, 2))
    for place, radius in zip(places, rng.uniform(0.008, 0.019, count), strict=True):
        _ellipse(grid, mask, place, (radius, radius * rng.uniform(0.6, 1.0)), rng.uniform(0, 180))
