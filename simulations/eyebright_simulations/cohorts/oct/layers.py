"""The layers of the retina in one B-scan, as curves over the width, and how bright each shows.

From the vitreous down: nerve fibres, ganglion cells with inner plexiform, inner nuclear, outer plexiform, outer
nuclear, photoreceptors (the bright ellipsoid line), a dark gap, pigment epithelium, choroid, sclera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyebright_simulations.cohorts.canvas import Field, as_field, smooth_noise, smooth_step

# Share of the retina's thickness at which each layer begins, counted up from the pigment epithelium, with and
# without the pull of the foveal pit; and the brightness of what lies below that boundary.
_STACK = (
    (1.00, 0.80),  # nerve fibre layer
    (0.86, 0.50),  # ganglion cells and inner plexiform
    (0.62, 0.27),  # inner nuclear
    (0.50, 0.46),  # outer plexiform
    (0.43, 0.22),  # outer nuclear
    (0.115, 0.72),  # ellipsoid
    (0.06, 0.35),  # interdigitation
)
_OUTER_NUCLEAR = 4
_PIGMENT_EPITHELIUM = 0.95
_EPITHELIUM_THICKNESS = 0.026


@dataclass(slots=True, kw_only=True)
class Layers:
    """One B-scan under construction; disease changes it in place.

    Attributes:
        rows: Depth of every pixel row, ``[H, 1]``.
        columns: Position of every pixel column, ``[1, W]``.
        fovea: Column of the foveal pit.
        bruch: Depth of Bruch's membrane, ``[W]``.
        epithelium: Height of the pigment epithelium above Bruch's membrane, ``[W]``.
        surface: Height of the inner surface above Bruch's membrane, ``[W]``.
        pit: Depth of the foveal pit as a share of the inner layers, ``[W]``.
        lift: Height of subretinal fluid above the epithelium, ``[W]``.
        choroid: Thickness of the choroid.
        marks: Painted last, in order: (mask ``[H, W]`` 0–1, brightness).
        shadow: Light that passes to what lies below the retina, ``[W]``, 1 is all.
    """

    rows: Field
    columns: Field
    fovea: float
    bruch: Field
    epithelium: Field
    surface: Field
    pit: Field
    lift: Field
    choroid: float
    marks: list[tuple[Field, float]]
    shadow: Field


def healthy_layers(height: int, width: int, rng: np.random.Generator) -> Layers:
    """Return a healthy retina, its position, tilt, thickness and pit drawn from ``rng``."""
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None, :]
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    fovea = rng.uniform(0.35, 0.65)
    across = x[0] - np.float32(0.5)
    bow = rng.uniform(-0.35, 0.15) * np.square(across) + rng.normal(0, 0.11) * across
    bruch = np.float32(rng.uniform(0.52, 0.72)) + bow + 0.004 * smooth_noise(rng, 6, (1, width))[0]
    thickness = rng.uniform(0.20, 0.27)
    pit = np.exp(-np.square((x[0] - np.float32(fovea)) / np.float32(rng.uniform(0.06, 0.11))))
    shoulder = np.exp(-np.square((x[0] - np.float32(fovea)) / np.float32(0.25)))
    pit = pit * np.float32(rng.uniform(0.55, 0.95))
    return Layers(
        rows=as_field(y),
        columns=as_field(x),
        fovea=fovea,
        bruch=bruch.astype(np.float32),
        epithelium=np.full(width, 0.004, np.float32),
        surface=(thickness * (0.88 + 0.12 * shoulder)).astype(np.float32),
        pit=pit.astype(np.float32),
        lift=np.zeros(width, np.float32),
        choroid=rng.uniform(0.10, 0.24),
        marks=[],
        shadow=_vessel_shadows(x[0], rng),
    )


def _vessel_shadows(x: Field, rng: np.random.Generator) -> Field:
    light = np.ones_like(x)
    for centre in rng.uniform(0, 1, rng.integers(1, 6)):
        width = rng.uniform(0.004, 0.012)
        light *= 1 - np.float32(rng.uniform(0.2, 0.6)) * np.exp(-np.square((x - np.float32(centre)) / width))
    return light


def render(layers: Layers, rng: np.random.Generator) -> Field:
    """Return the reflectivity of a B-scan before speckle, ``[H, W]``, 0–1."""
    height, width = layers.rows.shape[0], layers.columns.shape[1]
    soft = 1.2 / height
    base = layers.bruch - layers.epithelium - layers.lift
    image = np.full((height, width), 0.035, np.float32)
    thickness = np.maximum(layers.surface - layers.epithelium - layers.lift, 0.05)
    before = 0.035
    for index, (share, brightness) in enumerate(_STACK):
        inner = max(0.0, share - 0.40) / 0.60
        # The pit pushes the inner layers aside down to the outer nuclear layer, which keeps its place.
        top = thickness * (share - layers.pit * inner * 0.62)
        if index < _OUTER_NUCLEAR:
            top = np.maximum(top, thickness * (0.40 + 0.012 * (_OUTER_NUCLEAR - index)))
        image += np.float32(brightness - before) * smooth_step(layers.rows, base - top - soft, base - top + soft)
        before = brightness
    # Subretinal fluid is dark; the epithelium below it is the brightest band of all.
    image += np.float32(0.05 - before) * smooth_step(layers.rows, base - soft, base + soft) * (layers.lift > soft)
    _paint_epithelium(image, layers, soft)
    _paint_choroid(image, layers, rng)
    for mask, brightness in layers.marks:
        image += mask * (np.float32(brightness) - image)
    return image


def _paint_epithelium(image: Field, layers: Layers, soft: float) -> None:
    top = layers.bruch - layers.epithelium
    raised = smooth_step(layers.rows, top - soft, top + soft)
    # What fills a raised epithelium is grey; the band itself lies on top of it.
    image += raised * (np.float32(0.42) - image)
    band = raised * smooth_step(layers.rows, top + _EPITHELIUM_THICKNESS + soft, top + _EPITHELIUM_THICKNESS - soft)
    image += band * (np.float32(_PIGMENT_EPITHELIUM) - image)


def _paint_choroid(image: Field, layers: Layers, rng: np.random.Generator) -> None:
    top = layers.bruch + np.float32(_EPITHELIUM_THICKNESS)
    depth = np.maximum(layers.rows - top, 0)
    lumps = smooth_noise(rng, 26, image.shape)
    choroid = np.exp(-depth / np.float32(layers.choroid)) * (0.44 + 0.10 * lumps) + 0.03
    below = smooth_step(layers.rows, top, top + np.float32(0.012))
    image += below * (choroid * layers.shadow[None, :] - image)
