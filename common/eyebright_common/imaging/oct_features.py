"""What can be measured on a B-scan to tell whether it can be graded.

Everything is measured on a copy 256 px wide, white margins removed. Brightness is 0–255; shares are 0–1.

==============  ======================================================================================================
``colour``      mean difference between the brightest and the darkest channel: a B-scan is grey
``layering``    vertical over horizontal gradient strength of the smoothed scan: tissue lies in layers
``background``  brightness of the darker half
``signal``      how far the layers stand above the background
``separation``  the same, in units of the background's own variation
``band``        share of columns in which a band of tissue stands out
``thickness``   share of the scan that is as bright as its layers
``whitest``     brightness of the brightest twentieth
``cut``         share of columns whose band touches the upper or lower edge
``gap``         width of the widest stretch without tissue, as a share of the scan: a blink, or a retina out of reach
==============  ======================================================================================================
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from eyebright_common.imaging.channels import brightest, darkest
from eyebright_common.imaging.preparation import without_white_margins
from eyebright_common.imaging.refusals import Pixels

_WIDTH = 256
_TISSUE_FROM = 0.25
Plane = NDArray[Any]


def oct_features(image: Pixels) -> dict[str, float]:
    """Return the measurements of a B-scan, RGB uint8 ``[H, W, 3]``."""
    scan = without_white_margins(image)
    H, W = scan.shape[:2]
    small = np.asarray(cv2.resize(scan, (_WIDTH, max(32, round(H * _WIDTH / W))), interpolation=cv2.INTER_AREA))
    grey: Plane = cv2.GaussianBlur(np.asarray(brightest(small), dtype=np.float32), (0, 0), 2.0)
    return {
        "colour": float(np.mean(brightest(small).astype(np.float32) - darkest(small))),
        "layering": _layering(grey),
        **_tissue(grey),
    }


def _layering(grey: Plane) -> float:
    down = np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3))
    across = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3))
    return float(np.mean(down) / (np.mean(across) + 0.25))


def _tissue(grey: Plane) -> dict[str, float]:
    background = float(np.percentile(grey, 30))
    dark = grey[grey <= np.percentile(grey, 50)]
    peaks = grey.max(axis=0)
    signal = float(np.median(peaks)) - background
    bright = grey > background + 0.5 * max(signal, 1.0)
    edge = max(2, grey.shape[0] // 50)
    cut = bright[:edge].any(axis=0) | bright[-edge:].any(axis=0)
    return {
        "background": background,
        "signal": signal,
        "separation": signal / (float(dark.std()) + 2.0),
        "band": float((peaks > background + 0.5 * max(signal, 1.0)).mean()),
        "thickness": float(bright.mean()),
        "cut": float(cut.mean()),
        "whitest": float(np.percentile(grey, 95)),
        "gap": _widest_gap(peaks - background),
    }


def _widest_gap(heights: Plane) -> float:
    """Return the longest run of columns far below what most reach, as a share of the width, from ``[W]``."""
    # Not the median: a blink may take most of the scan.
    empty = heights < _TISSUE_FROM * np.percentile(heights, 90)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], empty, [False]]).astype(np.int8)))
    return float((edges[1::2] - edges[::2]).max(initial=0) / len(heights))
