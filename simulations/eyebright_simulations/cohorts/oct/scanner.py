"""OCT devices: each site's style, and how a device turns reflectivity into a speckled grey picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from eyebright_simulations.cohorts.canvas import Bytes, Field, as_field, blurred, smooth_noise, smooth_step, to_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerStyle:
    """How one OCT device pictures the retina.

    Attributes:
        name: As it stands in the manifest's ``camera`` column.
        aspect: Width of the picture over its height.
        resolution: Height of the picture over the cohort's nominal size.
        speckle: Relative standard deviation of the speckle.
        averaging: Blur that averaging frames leaves behind, in pixels at 256, (across, down).
        floor: Grey level of the empty vitreous, 0–1.
        gamma: Exponent of the tone curve.
        decay: How much light is lost towards the bottom of the picture, 0–1.
        margin: Probability that registration leaves a white wedge at an edge.
        jpeg_quality: 1–100.
    """

    name: str
    aspect: float = 1.25
    resolution: float = 0.86
    speckle: float = 0.32
    averaging: tuple[float, float] = (0.6, 0.4)
    floor: float = 0.05
    gamma: float = 1.0
    decay: float = 0.1
    margin: float = 0.3
    jpeg_quality: int = 90


_STYLES = (
    ScannerStyle(name="spectral-a"),
    ScannerStyle(
        name="spectral-b", aspect=1.5, speckle=0.42, averaging=(0.3, 0.3), floor=0.12, gamma=0.85, margin=0.0,
        jpeg_quality=82,
    ),
    ScannerStyle(
        name="portable", aspect=1.2, resolution=0.78, speckle=0.36, averaging=(0.8, 0.7), floor=0.09, gamma=1.15,
        decay=0.4, margin=0.0, jpeg_quality=74,
    ),
    ScannerStyle(
        name="swept-c", aspect=1.35, resolution=0.96, speckle=0.24, averaging=(1.1, 0.5), floor=0.02, gamma=1.3,
        decay=0.0, margin=0.7, jpeg_quality=92,
    ),
)  # fmt: skip


def scanner_style(index: int) -> ScannerStyle:
    """Return the device of the ``index``-th site; the operator's is 0. Any number of sites has one of its own."""
    if index < len(_STYLES):
        return _STYLES[index]
    rng = np.random.default_rng((4502, index))
    return ScannerStyle(
        name=f"scanner-{index}",
        aspect=float(rng.uniform(1.1, 1.5)),
        resolution=float(rng.uniform(0.78, 0.96)),
        speckle=float(rng.uniform(0.22, 0.45)),
        averaging=(float(rng.uniform(0.3, 1.1)), float(rng.uniform(0.3, 0.8))),
        floor=float(rng.uniform(0.02, 0.12)),
        gamma=float(rng.uniform(0.85, 1.3)),
        decay=float(rng.uniform(0, 0.4)),
        margin=float(rng.choice([0.0, 0.5])),
        jpeg_quality=int(rng.integers(74, 93)),
    )


def scan(reflectivity: Field, style: ScannerStyle, rng: np.random.Generator, *, fault: str, left: bool) -> Bytes:
    """Return the picture ``[H, W, 3]`` (three equal planes) of ``reflectivity`` ``[H, W]``."""
    height, width = reflectivity.shape
    signal = reflectivity[:, ::-1] if left else reflectivity
    depth = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    gain = np.exp(rng.normal(0, 0.16)) * (1 - style.decay * depth) * (1 + 0.10 * smooth_noise(rng, 3, (1, width)))
    signal = as_field(signal * gain)
    floor = style.floor * rng.uniform(0.5, 1.5)
    signal = _with_fault(signal, fault, rng)
    grain = rng.standard_normal((height, width), dtype=np.float32)
    across, down = (sigma * height / 220 for sigma in style.averaging)
    # Averaging smooths speckle and detail alike, but leaves the strength of the speckle to the style.
    grain = as_field(cv2.GaussianBlur(grain, (0, 0), max(across, 0.2), sigmaY=max(down, 0.2)))
    grain *= np.float32(style.speckle / max(float(grain.std()), 1e-6))
    signal = blurred(np.ascontiguousarray(signal), max(across, down)) * np.exp(grain - as_field(0.5 * style.speckle**2))
    signal += np.float32(floor) * np.abs(1 + 1.2 * grain / style.speckle) * np.float32(0.6)
    picture = to_bytes(np.power(np.clip(signal, 0, 1), np.float32(style.gamma * np.exp(rng.normal(0, 0.10)))))
    if rng.random() < style.margin:
        _add_margin(picture, rng)
    return cast(Bytes, cv2.merge([picture, picture, picture]))


def _with_fault(signal: Field, fault: str, rng: np.random.Generator) -> Field:
    """Return the signal of a scan that went wrong; unchanged for no fault."""
    height, width = signal.shape
    if fault == "dark":
        return signal * np.float32(rng.uniform(0.06, 0.14))
    if fault == "overexposed":
        return signal * np.float32(3) + np.float32(0.75)
    if fault == "blurred":
        return blurred(np.ascontiguousarray(signal), height / 14)
    if fault == "eyelid":
        # A lid or an iris cuts the beam: most columns carry no signal at all.
        x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
        return signal * smooth_step(x + 0.06 * smooth_noise(rng, 6, signal.shape), 0.66, 0.74)
    return signal


def _add_margin(picture: Bytes, rng: np.random.Generator) -> None:
    """Paint the white wedge that image registration leaves at the top or the bottom edge."""
    height, width = picture.shape
    depth = rng.uniform(0.02, 0.09, 2) * height * np.array([1.0, rng.uniform(0, 1)])
    depth = depth[::-1] if rng.random() < 0.5 else depth
    edge = 0 if rng.random() < 0.6 else height
    sign = 1 if edge == 0 else -1
    corners = [(0, edge), (width, edge), (width, edge + sign * int(depth[1])), (0, edge + sign * int(depth[0]))]
    cv2.fillPoly(picture, [np.array(corners, np.int32)], 255)
