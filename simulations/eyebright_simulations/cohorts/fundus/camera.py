"""Cameras: each site's style, and how a camera turns an eye into a JPEG-ready picture.

The style (field shape, colour cast, resolution, noise) belongs to the site; light, focus and colour balance vary from
picture to picture and owe nothing to the disease.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from eyebright_simulations.cohorts.canvas import Bytes, Field, as_field, blurred, smooth_noise, smooth_step, to_bytes
from eyebright_simulations.cohorts.fundus.frame import Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraStyle:
    """How one fundus camera pictures the world.

    Attributes:
        name: As it stands in the manifest's ``camera`` column.
        aspect: Width of the picture over its height.
        fill: Diameter of the field of view over the height of the picture; above one it is clipped top and bottom.
        zoom: Magnification against the standard field.
        resolution: Height of the picture over the cohort's nominal size.
        cast: Gain of red, green and blue.
        gamma: Exponent of the tone curve.
        noise: Standard deviation of the sensor noise, 1.0 is white.
        defocus: Blur of the optics, in pixels at 256.
        vignette: Loss of light at the edge of the field, 0–1.
        border: Grey level of the surround, 0–1.
        jpeg_quality: 1–100.
    """

    name: str
    aspect: float = 1.0
    fill: float = 0.97
    zoom: float = 1.0
    resolution: float = 1.0
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    noise: float = 0.008
    defocus: float = 0.3
    vignette: float = 0.25
    border: float = 0.0
    jpeg_quality: int = 92


_STYLES = (
    CameraStyle(name="tabletop-45"),
    CameraStyle(
        name="wide-clipped", aspect=1.2, fill=1.13, cast=(0.92, 1.06, 0.85), gamma=1.1, noise=0.014, jpeg_quality=80
    ),
    CameraStyle(
        name="handheld", aspect=1.33, fill=0.9, zoom=0.94, resolution=0.86, cast=(1.08, 0.88, 0.78), gamma=1.2,
        noise=0.016, defocus=0.7, vignette=0.5, border=0.02, jpeg_quality=72,
    ),
    CameraStyle(
        name="pale-50", aspect=1.5, fill=0.94, zoom=1.08, resolution=1.12, cast=(0.96, 1.02, 1.28), gamma=0.84,
        noise=0.012, defocus=0.4, vignette=0.15, border=0.012, jpeg_quality=86,
    ),
)  # fmt: skip


def camera_style(index: int) -> CameraStyle:
    """Return the camera of the ``index``-th site; the operator's is 0. Any number of sites has a camera of its own."""
    if index < len(_STYLES):
        return _STYLES[index]
    rng = np.random.default_rng((4501, index))
    red, green, blue = rng.uniform([0.9, 0.88, 0.78], [1.08, 1.08, 1.25])
    return CameraStyle(
        name=f"camera-{index}",
        aspect=float(rng.uniform(1, 1.5)),
        fill=float(rng.uniform(0.9, 1.12)),
        zoom=float(rng.uniform(0.94, 1.08)),
        resolution=float(rng.uniform(0.86, 1.12)),
        cast=(float(red), float(green), float(blue)),
        gamma=float(rng.uniform(0.85, 1.2)),
        noise=float(rng.uniform(0.006, 0.016)),
        defocus=float(rng.uniform(0.2, 0.7)),
        vignette=float(rng.uniform(0.15, 0.5)),
        border=float(rng.uniform(0, 0.02)),
        jpeg_quality=int(rng.integers(70, 95)),
    )


def expose(grid: Grid, canvas: Field, style: CameraStyle, rng: np.random.Generator) -> None:
    """Light ``canvas`` ``[3, S, S]`` in place: flash, vignetting, uneven light, colour balance, edge glare."""
    shape = grid.x.shape
    fall_off = 1 - np.float32(style.vignette * rng.uniform(0.6, 1.4)) * np.square(grid.radius)
    tilt = rng.normal(0, 0.13, 2).astype(np.float32)
    light = fall_off * (1 + tilt[0] * grid.x + tilt[1] * grid.y + 0.07 * smooth_noise(rng, 3, shape))
    exposure = np.exp(rng.normal(0, 0.20))
    balance = np.exp(rng.normal(0, 0.07, 3))
    contrast = np.float32(np.exp(rng.normal(0, 0.12)))
    for plane, gain in zip(canvas, balance * style.cast, strict=True):
        middle = plane.mean()
        plane -= middle
        plane *= contrast
        plane += middle
        plane *= light * np.float32(gain * exposure)
    if rng.random() < 0.3:
        _add_glare(grid, canvas, rng)


def _add_glare(grid: Grid, canvas: Field, rng: np.random.Generator) -> None:
    """Add a pale crescent of stray light at one side of the field."""
    bearing = rng.uniform(0, 2 * np.pi)
    along = grid.x * np.float32(np.cos(bearing)) + grid.y * np.float32(np.sin(bearing))
    crescent = smooth_step(along + 0.25 * grid.radius, 0.75, 1.3) * np.float32(rng.uniform(0.15, 0.5))
    for index, tint in enumerate(rng.uniform([0.6, 0.75, 0.6], [1.0, 1.0, 1.0])):
        canvas[index] += crescent * np.float32(tint)


def photograph(grid: Grid, canvas: Field, style: CameraStyle, rng: np.random.Generator, *, left: bool) -> Bytes:
    """Return the picture ``[H, W, 3]`` RGB that ``style`` takes of ``canvas`` ``[3, S, S]``; ``left`` mirrors it."""
    height = round(grid.size * style.resolution)
    width = round(height * style.aspect)
    radius = style.fill * height / 2
    scale = radius / grid.unit * style.zoom
    centre = np.array([width / 2, height / 2]) + rng.normal(0, 0.006, 2) * height
    middle = (grid.size / 2 - 0.5, grid.size / 2 - 0.5)
    turn = np.array(cv2.getRotationMatrix2D(middle, rng.normal(0, 3.0), scale), dtype=np.float64)
    turn[:, 2] += centre - grid.size / 2
    planes = np.stack([_seen(plane[:, ::-1] if left else plane, turn, (width, height), style) for plane in canvas])
    _frame(planes, style, centre, radius, rng)
    return to_bytes(np.ascontiguousarray(np.moveaxis(planes, 0, -1)))


def _seen(plane: Field, turn: NDArray[np.float64], size: tuple[int, int], style: CameraStyle) -> Field:
    """Return one colour plane as optics and tone curve render it, ``[H, W]``."""
    moved = cv2.warpAffine(plane, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    soft = np.maximum(blurred(as_field(moved), style.defocus * plane.shape[0] / 256), 0)
    return as_field(cv2.pow(soft, style.gamma))


def _frame(
    planes: Field, style: CameraStyle, centre: NDArray[np.float64], radius: float, rng: np.random.Generator
) -> None:
    """Mask the field of view of ``planes`` ``[3, H, W]`` in place, and add the sensor's noise."""
    height, width = planes.shape[1:]
    x = np.arange(width, dtype=np.float32)[None, :] - np.float32(centre[0])
    y = np.arange(height, dtype=np.float32)[:, None] - np.float32(centre[1])
    aperture = np.clip(np.float32(radius) - np.sqrt(x * x + y * y), 0, 1)
    grain = rng.standard_normal((height, width), dtype=np.float32) * np.float32(style.noise)
    surround = np.float32(style.border) * (1 - aperture) + grain * (0.3 + 0.7 * aperture)
    gain = aperture * (1 + 2 * grain)
    for plane in planes:
        plane *= gain
        plane += surround
