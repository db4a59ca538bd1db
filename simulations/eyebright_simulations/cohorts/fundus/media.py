"""What the light passes on its way: a clouded lens scatters, blurs and yellows; a clear one hardly does.

Healthy media are not perfect here: mild haze and blur come in every class, so that only a clear veil means cataract.
"""

from __future__ import annotations

import numpy as np

from eyebright_simulations.cohorts.canvas import Field, blurred, smooth_noise, smooth_step
from eyebright_simulations.cohorts.case import EyeCase
from eyebright_simulations.cohorts.fundus.frame import Grid


def pass_media(grid: Grid, canvas: Field, case: EyeCase, rng: np.random.Generator) -> Field:
    """Return ``canvas`` ``[3, S, S]`` as it looks through the lens of ``case``."""
    pixel = grid.size / 256
    if case.label != "cataract":
        return _veiled(grid, canvas, rng, veil=rng.uniform(0, 0.16), sigma=rng.uniform(0, 0.8) * pixel, yellow=0.0)
    clouded = _veiled(
        grid,
        canvas,
        rng,
        veil=rng.uniform(0.32, 0.40) + 0.20 * case.severity,
        sigma=(rng.uniform(1.5, 2.0) + 1.5 * case.severity) * pixel,
        yellow=rng.uniform(0.05, 0.30),
    )
    if rng.random() < 0.4:
        clouded *= 1 - np.float32(rng.uniform(0.12, 0.30)) * _spokes(grid, rng)
    return clouded


def _veiled(grid: Grid, canvas: Field, rng: np.random.Generator, *, veil: float, sigma: float, yellow: float) -> Field:
    """Mix ``canvas`` with its own mean light, unevenly, and take its detail and its blue."""
    density = np.clip(veil * (1 + 0.22 * smooth_noise(rng, 3, grid.x.shape)), 0, 0.9).astype(np.float32)
    scattered = [np.float32(plane.mean()) * np.float32(rng.uniform(0.92, 1.1)) for plane in canvas]
    grey = np.float32(np.mean(scattered))
    out = np.empty_like(canvas)
    for index, plane in enumerate(canvas):
        # Scattered light is paler than the fundus it comes from.
        light = np.float32(0.65) * scattered[index] + np.float32(0.35) * grey
        clear = blurred(plane, sigma)
        out[index] = clear + density * (light - clear)
    out[2] *= 1 - np.float32(yellow)
    return out


def _spokes(grid: Grid, rng: np.random.Generator) -> Field:
    """Return the soft radial shadows of a cortical cataract, ``[S, S]`` 0–1."""
    bearing = np.arctan2(grid.y, grid.x)
    count = int(rng.integers(4, 9))
    wave = np.cos(bearing * count + np.float32(rng.uniform(0, 6.3)) + smooth_noise(rng, 4, grid.x.shape))
    return smooth_step(wave, 0.3, 1.0) * smooth_step(grid.radius, 0.25, 0.9)
