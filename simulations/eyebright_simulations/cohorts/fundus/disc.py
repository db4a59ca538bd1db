"""The optic disc: a pale cup in a pink rim, and what glaucoma does to them."""

from __future__ import annotations

import numpy as np

from eyebright_simulations.cohorts.canvas import Field, absorb, cover, smooth_step
from eyebright_simulations.cohorts.fundus.anatomy import Anatomy
from eyebright_simulations.cohorts.fundus.frame import Grid

# The cup never breaks through the rim entirely: a sliver stays, as in all but the blindest eyes.
_WIDEST_CUP = 0.95
_PALE = (1.0, 0.97, 0.74)


def paint_disc(grid: Grid, canvas: Field, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Paint the disc, its cup and a possible crescent of atrophy on ``canvas`` ``[3, S, S]`` in place."""
    rows, columns = _window(grid, anatomy)
    x = (grid.x[rows, columns] - np.float32(anatomy.disc[0])) / np.float32(anatomy.disc_radii[0])
    y = (grid.y[rows, columns] - np.float32(anatomy.disc[1])) / np.float32(anatomy.disc_radii[1])
    patch = canvas[:, rows, columns]
    radius = np.hypot(x, y)
    if anatomy.atrophy > 0:
        _paint_crescent(patch, x, y, anatomy.atrophy)
    edge = smooth_step(radius, 1.10, 0.90)
    red, green, blue = anatomy.pigment
    rim = (min(1.0, red * 1.12 + 0.10), green * rng.uniform(1.20, 1.42) + 0.05, blue * rng.uniform(1.1, 1.4) + 0.03)
    cover(patch, edge, rim)
    # The nasal rim is thicker with fibres and redder than the temporal one.
    absorb(patch, edge * smooth_step(x, -0.4, 1.0), (0.04, 0.16, 0.16))
    pallor = rng.uniform(0.64, 0.86)
    cup = _cup(x, y, anatomy) * edge * np.float32(0.95)
    cover(patch, cup, tuple(level + pallor * (white - level) for level, white in zip(rim, _PALE, strict=True)))


def _window(grid: Grid, anatomy: Anatomy) -> tuple[slice, slice]:
    half = 1.7 * max(anatomy.disc_radii)
    low = grid.pixels(np.array([[anatomy.disc[0] - half, anatomy.disc[1] - half]]))[0]
    high = grid.pixels(np.array([[anatomy.disc[0] + half, anatomy.disc[1] + half]]))[0]
    left, top = (max(0, int(v)) for v in low)
    right, bottom = (min(grid.size, int(v) + 2) for v in high)
    return slice(top, bottom), slice(left, right)


def _cup(x: Field, y: Field, anatomy: Anatomy) -> Field:
    """Return the cup's mask: a circle, a little temporal, that bulges towards the notch."""
    # The cup of a right eye lies towards the fovea, which is to the left; the larger it is, the less room to shift.
    x = x + np.float32(0.22 * (1 - anatomy.cup_ratio))
    reach = np.full_like(x, anatomy.cup_ratio)
    if anatomy.notch > 0:
        turn = np.arctan2(y, x) - np.float32(anatomy.notch_angle)
        away = np.abs(np.arctan2(np.sin(turn), np.cos(turn)))
        reach = np.minimum(reach + np.float32(anatomy.notch) * np.exp(-np.square(away / 0.5)), np.float32(_WIDEST_CUP))
    return smooth_step(np.hypot(x, y) / reach, 1.10, 0.90)


def _paint_crescent(patch: Field, x: Field, y: Field, strength: float) -> None:
    around = np.hypot(x + np.float32(0.42), y)
    crescent = smooth_step(around, 1.16, 1.02) * np.float32(0.6 * strength)
    cover(patch, crescent, (0.88, 0.70, 0.46))
    border = np.exp(-np.square((around - 1.14) / 0.06)) * smooth_step(x, -0.6, -1.1) * np.float32(0.45 * strength)
    absorb(patch, border, (0.35, 0.4, 0.4))


def paint_nerve_fibre_defect(grid: Grid, canvas: Field, anatomy: Anatomy) -> None:
    """Darken the wedge of lost nerve fibres that fans out from the notch towards the temporal side."""
    below = np.sin(anatomy.notch_angle) > 0
    x = grid.x - np.float32(anatomy.disc[0])
    y = (grid.y - np.float32(anatomy.disc[1])) * np.float32(1 if below else -1)
    distance = np.hypot(x, y)
    # The bundle arches around the macula: its bearing turns from straight down to temporal with the distance.
    bearing = np.arctan2(y, x) - (np.float32(1.75) + np.float32(0.75) * distance)
    wedge = np.exp(-np.square(bearing / 0.13)) * smooth_step(distance, 0.16, 0.28) * smooth_step(distance, 1.0, 0.6)
    absorb(canvas, wedge, (0.14, 0.20, 0.16))
