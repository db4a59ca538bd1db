"""Pictures that went wrong: too dark, out of focus, overexposed, or half of a lid. They come in every class."""

from __future__ import annotations

import numpy as np

from eyebright_simulations.cohorts.canvas import Field, blurred, cover, smooth_noise, smooth_step
from eyebright_simulations.cohorts.fundus.frame import Grid


def spoil(grid: Grid, canvas: Field, fault: str, rng: np.random.Generator) -> None:
    """Make ``canvas`` ``[3, S, S]`` ungradable in place, in the way that ``fault`` names; nothing for no fault."""
    if fault == "dark":
        canvas *= np.float32(rng.uniform(0.05, 0.13))
    elif fault == "overexposed":
        canvas *= np.float32(rng.uniform(2.2, 3.2))
        canvas += np.float32(rng.uniform(0.25, 0.5))
    elif fault == "blurred":
        sigma = rng.uniform(11, 16) * grid.size / 256
        for plane in canvas:
            plane[...] = blurred(plane, sigma)
    elif fault == "eyelid":
        _close_lid(grid, canvas, rng)


def _close_lid(grid: Grid, canvas: Field, rng: np.random.Generator) -> None:
    lid_above = 1 if rng.random() < 0.7 else -1
    edge = grid.y * np.float32(lid_above) + np.float32(0.25) * np.square(grid.x)
    edge += 0.05 * smooth_noise(rng, 6, grid.x.shape)
    closed = rng.uniform(0.0, 0.35)
    lid = smooth_step(edge, closed + 0.22, closed - 0.12)
    skin = rng.uniform([0.30, 0.16, 0.12], [0.62, 0.42, 0.34])
    cover(canvas, lid * np.float32(0.97), (skin[0], skin[1], skin[2]))
    for plane in canvas:
        plane[...] = blurred(plane, 3.0 * grid.size / 256)
