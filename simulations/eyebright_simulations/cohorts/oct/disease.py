"""What disease does to the layers: drusen, choroidal neovascularisation, diabetic macular oedema."""

from __future__ import annotations

import numpy as np

from eyebright_simulations.cohorts.canvas import Field, as_field, blurred, smooth_noise, smooth_step
from eyebright_simulations.cohorts.oct.layers import Layers


def _bump(layers: Layers, centre: float, width: float, sharpness: float = 2.0) -> Field:
    """Return a hill of height 1 over the width, ``[W]``."""
    away = np.abs(layers.columns[0] - np.float32(centre)) / np.float32(width)
    return as_field(np.exp(-(away**sharpness)))


def add_drusen(layers: Layers, severity: float, rng: np.random.Generator) -> None:
    """Raise the pigment epithelium in several small domes; the inner surface stays as it is."""
    count = 3 + rng.poisson(1 + 4 * severity)
    for centre in np.clip(rng.normal(layers.fovea, 0.19, count), 0.06, 0.94):
        height = rng.uniform(0.026, 0.038) + 0.030 * severity * rng.random()
        dome = _bump(layers, centre, rng.uniform(0.014, 0.034), 2.6)
        layers.epithelium = np.maximum(layers.epithelium, np.float32(height) * dome)


def add_neovascularisation(layers: Layers, severity: float, rng: np.random.Generator) -> None:
    """Raise the epithelium broadly and raggedly, with a bright lesion upon it and fluid beside and above it."""
    centre = float(np.clip(rng.normal(layers.fovea, 0.09), 0.2, 0.8))
    width = rng.uniform(0.09, 0.14) + 0.07 * severity
    hill = _bump(layers, centre, width, 3)
    ragged = 1 + 0.28 * smooth_noise(rng, 22, (1, layers.bruch.size))[0]
    layers.epithelium += np.float32(rng.uniform(0.035, 0.055) + 0.05 * severity) * hill * ragged
    fluid_at = centre + rng.choice([-1, 1]) * width * rng.uniform(0.5, 1.0)
    fluid = _bump(layers, fluid_at, width * rng.uniform(0.8, 1.2), 4)
    layers.lift += np.float32(rng.uniform(0.018, 0.035) + 0.035 * severity) * fluid
    # The inner surface follows what pushes from below, smoothed by the thickness of the retina in between.
    pushed = (layers.epithelium + layers.lift)[None, :]
    layers.surface += np.float32(0.85) * blurred(pushed, 0.03 * layers.bruch.size)[0]
    layers.pit *= 1 - np.float32(0.7) * hill
    layers.shadow *= 1 - np.float32(0.45) * hill
    _add_scar(layers, centre, width, severity, rng)
    _add_cysts(layers, rng.poisson(0.6 + 1.2 * severity), centre, width, rng, large=0.020)


def _add_scar(layers: Layers, centre: float, width: float, severity: float, rng: np.random.Generator) -> None:
    """Lay hyper-reflective material, cloudy at its edge, on the epithelium."""
    top = layers.bruch - layers.epithelium
    thick = np.float32(rng.uniform(0.025, 0.040) + 0.03 * severity)
    x = layers.columns - np.float32(centre + rng.normal(0, 0.02))
    y = layers.rows - (top - thick * 0.6)[None, :]
    cloud = 0.25 * smooth_noise(rng, 14, (layers.rows.size, layers.columns.size))
    spread = np.hypot(x / np.float32(width * rng.uniform(0.5, 0.85)), y / thick) + cloud
    layers.marks.append((smooth_step(spread, 1.1, 0.7) * np.float32(0.85), rng.uniform(0.66, 0.85)))


def add_macular_oedema(layers: Layers, severity: float, rng: np.random.Generator) -> None:
    """Thicken the retina around the fovea, fill it with cysts and leave bright exudates."""
    centre = float(np.clip(layers.fovea + rng.normal(0, 0.04), 0.2, 0.8))
    width = rng.uniform(0.14, 0.20)
    swollen = _bump(layers, centre, width)
    layers.surface += np.float32(rng.uniform(0.02, 0.04) + 0.07 * severity) * swollen
    layers.pit *= 1 - np.float32(0.55 + 0.4 * severity) * swollen
    _add_cysts(layers, 3 + rng.poisson(2 + 4 * severity), centre, width * 0.7, rng, large=0.026 + 0.016 * severity)
    if rng.random() < 0.25:
        layers.lift += np.float32(rng.uniform(0.015, 0.04)) * _bump(layers, centre, width * 0.6, 3)
        layers.surface += layers.lift
    _add_exudates(layers, rng.poisson(1 + 3 * severity), centre, rng)


def _add_cysts(
    layers: Layers, count: int, centre: float, spread: float, rng: np.random.Generator, *, large: float
) -> None:
    for at in np.clip(rng.normal(centre, spread * 0.6, count), 0.04, 0.96):
        column = int(at * layers.bruch.size)
        thickness = layers.surface[column] - layers.epithelium[column]
        share = rng.uniform(0.36, 0.70)
        depth = layers.bruch[column] - layers.epithelium[column] - thickness * share
        radius = rng.uniform(0.5, 1.0) * large
        tall = min(radius * rng.uniform(0.9, 1.9), 0.24 * thickness)
        across, down = layers.columns - np.float32(at), layers.rows - depth
        away = np.hypot(across / np.float32(radius), down / np.float32(tall))
        layers.marks.append((smooth_step(away, 1.12, 0.88), 0.06))


def _add_exudates(layers: Layers, count: int, centre: float, rng: np.random.Generator) -> None:
    for at in np.clip(rng.normal(centre, 0.14, count), 0.04, 0.96):
        column = int(at * layers.bruch.size)
        depth = layers.bruch[column] - layers.surface[column] * rng.uniform(0.30, 0.60)
        radius = rng.uniform(0.006, 0.013)
        away = np.hypot(layers.columns - np.float32(at), layers.rows - depth) / np.float32(radius)
        layers.marks.append((smooth_step(away, 1.2, 0.7), 0.92))
        layers.shadow *= 1 - np.float32(0.4) * _bump(layers, at, radius)
