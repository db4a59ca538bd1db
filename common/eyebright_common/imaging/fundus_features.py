"""What can be measured on a colour fundus photograph to tell whether it can be graded.

Everything is measured inside the field of view, on a copy whose field is 160 px wide, so that a camera's resolution and
framing do not matter; a field of 480 px or more is halved on the way there, which takes a third of the time. Brightness
is 0–255; shares are 0–1.

===============  =====================================================================================================
``bounded``      1 where a dark surround was found
``confidence``   of the field of view's border
``lit``          share of the field that is inside the picture and lit
``brightness``   median of the brightest channel, smoothed
``green``        median of green
``dark``         share of the field where even the brightest channel is below 30
``burnt``        share of the field where two channels are saturated
``evenness``     brightness of the darkest tenth over the median
``glare``        brightness of the brightest fiftieth over the median, second brightest channel
``spread``       range of green over its median
``contrast``     strength of the strongest vessel-scale structure, relative to brightness
``relief``       the same for a wider scale and the upper quarter: survives noise
``blind``        share of blocks without vessel-scale structure
``sharpness``    fine detail over vessel-scale detail: low in blur, high where noise is all there is
``focus``        vessel-scale detail over coarse detail
``noise``        what is left at the finest scale
``edges``        share of pixels on an edge: vessels, in a photograph that is in focus
``redness``      how far red exceeds blue, relative to brightness
``red_green``    how far red exceeds green, relative to brightness
``blueness``     share of the field that is bluer than anything else
``hue_spread``   range of ``redness`` over the field: shadows and flare are coloured
``lid``          how much one side of the field is flat, without structure and of another colour
``reflection``   share of the field under near-white light that comes in from its rim
``veil``         median of the darkest channel, smoothed: how milky the whole is, 0–255
===============  =====================================================================================================
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from eyebright_common.imaging.channels import brightest, middle
from eyebright_common.imaging.eyelid import lid_likeness
from eyebright_common.imaging.field import FieldOfView
from eyebright_common.imaging.preparation import field_square, inscribed_disc
from eyebright_common.imaging.quantiles import quantiles
from eyebright_common.imaging.reflection import reflection_features
from eyebright_common.imaging.refusals import Pixels

_SIDE = 160
_BLOCK = 12
_EPSILON = 1e-6

Plane = NDArray[Any]
Mask = NDArray[np.bool_]


def fundus_features(image: Pixels, field: FieldOfView) -> dict[str, float]:
    """Return the measurements of a picture, RGB uint8 ``[H, W, 3]``, in its field of view."""
    square = field_square(image, field, _SIDE, halve=True)
    inside = inscribed_disc(_SIDE, 0.94) & _covered(image, field)
    if inside.sum() < 500:
        inside = inscribed_disc(_SIDE, 0.94)
    smooth: Pixels = np.asarray(cv2.blur(square, (7, 7)), dtype=np.uint8)
    value = brightest(smooth)[inside]
    return {
        "bounded": float(field.bounded),
        "confidence": field.confidence,
        "lit": field.coverage,
        **_light(smooth, value, inside),
        **_structure(square, inside),
        **_colour(smooth, value, inside),
        "edges": float((cv2.Canny(square[:, :, 1], 60, 160)[inside] > 0).mean()),
        "lid": lid_likeness(square, inside & inscribed_disc(_SIDE, 0.9)),
        **reflection_features(smooth, inside),
    }


def _covered(image: Pixels, field: FieldOfView) -> Mask:
    """Return which pixels of the field square come from the picture rather than from padding."""
    H, W = image.shape[:2]
    steps = (np.arange(_SIDE) + 0.5) / _SIDE * 2 - 1
    x = field.center[0] + steps * field.radius_x
    y = field.center[1] + steps * field.radius_y
    rim = 0.015 * (field.radius_x + field.radius_y)
    return np.asarray(((y > rim) & (y < H - rim))[:, None] & ((x > rim) & (x < W - rim))[None, :])


def _light(smooth: Pixels, value: Plane, inside: Mask) -> dict[str, float]:
    second = middle(smooth)[inside]
    dim, typical = quantiles(value, 0.1, 0.5)
    low, green, high = quantiles(smooth[:, :, 1][inside], 0.1, 0.5, 0.9)
    second_typical, glare = quantiles(second, 0.5, 0.98)
    return {
        "brightness": typical,
        "green": green,
        "dark": float((value < 30).mean()),
        "burnt": float((second > 245).mean()),
        "evenness": dim / (typical + 1.0),
        "glare": glare / (second_typical + 8.0),
        "spread": (high - low) / (green + 8.0),
    }


def _structure(square: Pixels, inside: Mask) -> dict[str, float]:
    # Red carries vessels in dark fundi, green in all others; their mean survives both and halves the noise.
    plane = (square[:, :, 0].astype(np.float32) + square[:, :, 1]) / 2
    grain, fine, vessel, broad, level = (cv2.GaussianBlur(plane, (0, 0), sigma) for sigma in (0.8, 1.6, 2.2, 4.0, 6.0))
    relative = (grain - vessel) / (level + 8.0)
    seen_level = level[inside]
    of_grain, of_vessel, of_coarse = (plane - grain)[inside], (grain - vessel)[inside], (vessel - level)[inside]
    return {
        "relief": quantiles(np.abs(fine - broad)[inside] / (seen_level + 8.0), 0.75)[0],
        "blind": float((_block_spread(relative, inside) < 0.008).mean()),
        "contrast": quantiles(np.abs(relative[inside]), 0.95)[0],
        "sharpness": _energy(of_grain) / (_energy(of_vessel) + 0.05),
        "focus": _energy(of_vessel) / (_energy(of_coarse) + 0.25),
        "noise": quantiles(np.abs(of_grain), 0.5)[0] / (quantiles(seen_level, 0.5)[0] + 8.0),
    }


def _energy(values: Plane) -> float:
    return float(np.sqrt(np.mean(np.square(values)) + _EPSILON))


def _block_spread(plane: Plane, inside: Mask) -> NDArray[np.float32]:
    """Return the standard deviation of each block that lies inside."""
    masked = cv2.copyTo(plane, inside.view(np.uint8))
    full = _block_means(inside.view(np.uint8) * np.float32(1)) > 0.95
    if not full.any():
        return np.zeros(1, dtype=np.float32)
    variance = _block_means(masked * masked)[full] - np.square(_block_means(masked)[full])
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)), dtype=np.float32)


def _block_means(plane: Plane) -> Plane:
    blocks = _SIDE // _BLOCK
    whole = plane[: blocks * _BLOCK, : blocks * _BLOCK]
    return np.asarray(cv2.resize(whole, (blocks, blocks), interpolation=cv2.INTER_AREA))


def _colour(smooth: Pixels, value: Plane, inside: Mask) -> dict[str, float]:
    red, green, blue = (plane[inside].astype(np.float32) for plane in cv2.split(smooth))
    brightness = value.astype(np.float32) + 4.0
    low, redness, high = quantiles((red - blue) / brightness, 0.1, 0.5, 0.9)
    return {
        "redness": redness,
        "red_green": quantiles((red - green) / brightness, 0.5)[0],
        "blueness": float(((blue > 1.05 * red + 4) & (blue > 1.05 * green + 4)).mean()),
        "hue_spread": high - low,
    }
