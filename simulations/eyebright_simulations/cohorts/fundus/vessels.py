"""The vessel tree: arcades of arteries and veins that branch, taper and wander.

A vessel is a walk whose heading turns steadily (the arcade's arch) and a little at random (its tortuosity). Branches
leave alternately to both sides. Trees are drawn at twice the size with anti-aliased lines and then reduced.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from eyebright_simulations.cohorts.canvas import Bytes, Field, absorb, as_field, smooth_step
from eyebright_simulations.cohorts.fundus.anatomy import Anatomy
from eyebright_simulations.cohorts.fundus.frame import REACH, Grid

_ZOOM = 2
_STEP = 0.035
_SHIFT = 4  # cv2 draws at 1/16 pixel
_VEIN_WIDTH, _ARTERY_WIDTH = 0.031, 0.022
# Heading, bend (radians), length (field radii) and width (of the main vein) of the trunks of the upper half;
# the lower half is its mirror image. 0 is nasal, -π/2 is up, -π is temporal.
_TRUNKS = (
    (-1.35, -1.95, 1.65, 1.0),
    (-0.80, -0.35, 1.0, 0.70),
    (-2.75, -0.15, 0.50, 0.36),
)
# Where along a trunk its branches leave, as steps from the disc, and how many generations of them there are.
_FIRST_BRANCH = 6
_BRANCH_EVERY = (8, 9)
# A vessel tapers in three pieces: share of its length at which each ends, and its width there.
_TAPER = ((0.0, 0.35, 1.0), (0.35, 0.7, 0.78), (0.7, 1.0, 0.52))


@dataclass(slots=True, kw_only=True)
class _Tree:
    """A mask under construction and how its vessels behave."""

    mask: Bytes
    grid: Grid
    wander: float
    rng: np.random.Generator


def paint_vessels(grid: Grid, canvas: Field, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Paint arteries and veins on ``canvas`` ``[3, S, S]`` in place."""
    wander = rng.uniform(0.5, 1.6)
    density = np.float32(rng.uniform(0.65, 1.05))
    # Where the nerve fibres dive into the cup the vessels are half hidden; in the fovea there are none.
    fade = smooth_step(grid.distance(anatomy.fovea), 0.07, 0.18) * density
    fade *= 1 - 0.55 * smooth_step(grid.distance(anatomy.disc), anatomy.disc_radii[1], anatomy.disc_radii[1] * 0.3)
    veins = _draw_tree(grid, anatomy, rng, wander=wander, width=_VEIN_WIDTH, turn=0.0) * fade
    absorb(canvas, veins, (0.34, 0.55, 0.45))
    arteries = _draw_tree(grid, anatomy, rng, wander=wander * 0.7, width=_ARTERY_WIDTH, turn=0.20) * fade
    absorb(canvas, arteries, (0.15, 0.46, 0.42))


def _draw_tree(
    grid: Grid, anatomy: Anatomy, rng: np.random.Generator, *, wander: float, width: float, turn: float
) -> Field:
    side = grid.size * _ZOOM
    tree = _Tree(mask=np.zeros((side, side), np.uint8), grid=grid, wander=wander, rng=rng)
    for half in (1, -1):
        for heading, bend, length, relative in _TRUNKS:
            start = np.array(anatomy.disc) + rng.normal(0, 0.015, 2) + np.array([0.02, 0.0])
            jitter = rng.normal(0, 0.13, 2)
            _grow(
                tree,
                start=start,
                heading=half * (heading + turn + jitter[0]),
                bend=half * (bend - turn + jitter[1]),
                length=length * rng.uniform(0.85, 1.15),
                width=width * relative * rng.uniform(0.85, 1.15),
                generation=0,
            )
    reduced = cv2.resize(tree.mask, (grid.size, grid.size), interpolation=cv2.INTER_AREA)
    return as_field(reduced) / np.float32(255)


def _grow(
    tree: _Tree,
    *,
    start: NDArray[np.float64],
    heading: float,
    bend: float,
    length: float,
    width: float,
    generation: int,
) -> None:
    """Draw one vessel and, for the first two generations, its branches."""
    if np.hypot(start[0], start[1]) > REACH:
        return
    steps = max(4, int(length / _STEP))
    headings = _headings(tree, heading, bend, steps)
    points = np.empty((steps + 1, 2))
    points[0] = start
    points[1:, 0] = start[0] + np.cumsum(_STEP * np.cos(headings))
    points[1:, 1] = start[1] + np.cumsum(_STEP * np.sin(headings))
    _stroke(tree, points, width)
    if generation >= len(_BRANCH_EVERY):
        return
    side = 1 if tree.rng.random() < 0.5 else -1
    every = _BRANCH_EVERY[generation]
    for at in range(_FIRST_BRANCH + int(tree.rng.integers(3)), steps - 3, every):
        side = -side
        left = 1 - at / steps
        angle = side * tree.rng.uniform(0.5, 1.05)
        _grow(
            tree,
            start=points[at],
            heading=headings[at] + angle,
            bend=-0.8 * angle,
            length=length * (0.20 + 0.50 * left) * tree.rng.uniform(0.6, 1.1),
            width=width * (0.40 + 0.30 * left),
            generation=generation + 1,
        )


def _headings(tree: _Tree, heading: float, bend: float, steps: int) -> NDArray[np.float64]:
    """Return the heading at each step, ``[steps]``: a steady bend, a slow wave and a little restlessness."""
    along = np.arange(1, steps + 1)
    wave, phase = tree.rng.uniform(0.25, 0.6), tree.rng.uniform(0, 2 * np.pi)
    restless = np.cumsum(tree.rng.normal(0, 0.03 * tree.wander, steps))
    # An arcade turns most in its first half and runs out towards the periphery.
    share = along / steps
    turns: NDArray[np.float64] = heading + bend * (share + 0.12 * np.sin(np.pi * share)) + restless
    turns += 0.13 * tree.wander * (np.sin(wave * along + phase) - np.sin(phase))
    return turns


def _stroke(tree: _Tree, points: NDArray[np.float64], width: float) -> None:
    pixels = (tree.grid.pixels(points, zoom=_ZOOM) * (1 << _SHIFT)).astype(np.int32)[:, None]
    last = len(pixels) - 1
    for begin, end, taper in _TAPER:
        thickness = width * taper * tree.grid.unit * _ZOOM
        # A line thinner than one pixel keeps its thickness and loses strength instead.
        strength = int(255 * min(1.0, max(0.35, 0.6 * thickness)))
        run = pixels[int(begin * last) : int(end * last) + 1]
        cv2.polylines(tree.mask, [run], False, strength, max(1, round(thickness)), cv2.LINE_AA, _SHIFT)
