"""Brightest, darkest and middle channel of a picture, by planes: a reduction over three values is ten times slower."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Planes = NDArray[Any]


def brightest(image: Planes) -> Planes:
    """Return the largest channel of ``[H, W, 3]`` per pixel, ``[H, W]``, same type."""
    red, green, blue = cv2.split(image)
    return np.asarray(cv2.max(cv2.max(red, green), blue))


def darkest(image: Planes) -> Planes:
    """Return the smallest channel of ``[H, W, 3]`` per pixel, ``[H, W]``, same type."""
    red, green, blue = cv2.split(image)
    return np.asarray(cv2.min(cv2.min(red, green), blue))


def middle(image: Planes) -> Planes:
    """Return the second largest channel of ``[H, W, 3]`` per pixel, ``[H, W]``, same type."""
    red, green, blue = cv2.split(image)
    return np.asarray(cv2.max(cv2.min(red, green), cv2.min(cv2.max(red, green), blue)))
