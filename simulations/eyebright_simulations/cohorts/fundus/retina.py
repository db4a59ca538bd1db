"""The ground of the picture: pigment, choroid, macula and the glow of the nerve fibres around the disc."""

from __future__ import annotations

import numpy as np

from eyebright_simulations.cohorts.canvas import Field, absorb, smooth_noise, smooth_step
from eyebright_simulations.cohorts.fundus.anatomy import Anatomy
from eyebright_simulations.cohorts.fundus.frame import Grid


def paint_ground(grid: Grid, anatomy: Anatomy, rng: np.random.Generator) -> Field:
    """Return a canvas ``[3, S, S]`` with everything that lies beneath the vessels, the disc excepted."""
    shape = grid.x.shape
    mottle = 1 + 0.05 * smooth_noise(rng, 5, shape) + 0.025 * smooth_noise(rng, 20, shape)
    mottle += 0.018 * smooth_noise(rng, 70, shape)
    canvas = np.stack([mottle * np.float32(c) for c in anatomy.pigment]).astype(np.float32)
    canvas[1] *= 1 + 0.03 * smooth_noise(rng, 4, shape)
    absorb(canvas, _choroidal_vessels(grid, rng) * np.float32(anatomy.tessellation), (0.12, 0.24, 0.22))
    _paint_macula(grid, canvas, anatomy, rng)
    glow = np.exp(-np.square(grid.distance(anatomy.disc) / np.float32(0.5))) * np.float32(rng.uniform(0.02, 0.14))
    canvas *= 1 + glow
    return canvas


def _choroidal_vessels(grid: Grid, rng: np.random.Generator) -> Field:
    """Return broad meandering bands, the tiger pattern of a thinly pigmented fundus, ``[S, S]`` 0–1."""
    field = smooth_noise(rng, 12, grid.x.shape) + 0.5 * smooth_noise(rng, 24, grid.x.shape)
    # The zero crossings of a smooth field are lines that meander and meet: what the choroid looks like.
    return smooth_step(np.abs(field), 0.45, 0.05) * smooth_step(grid.radius, 0.1, 0.6)


def _paint_macula(grid: Grid, canvas: Field, anatomy: Anatomy, rng: np.random.Generator) -> None:
    distance = grid.distance(anatomy.fovea)
    depth = rng.uniform(0.5, 1.0)
    broad = np.exp(-np.square(distance / np.float32(0.24))) * np.float32(depth)
    pit = np.exp(-np.square(distance / np.float32(0.075))) * np.float32(depth)
    absorb(canvas, broad, (0.16, 0.30, 0.26))
    absorb(canvas, pit, (0.18, 0.30, 0.25))
    reflex = np.exp(-np.square(distance / np.float32(0.018))) * np.float32(rng.uniform(0, 0.12))
    canvas += reflex
