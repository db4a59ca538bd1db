"""Where the retina is: the lit field of a fundus camera, as an ellipse in the picture.

* Scale-free: everything is measured on a copy of at most 256 px, and answered in the picture's own pixels.
* The field is a disc in the camera. A picture file may have been squeezed, so an axis-aligned ellipse is fitted; a
  field cut by the picture's edges is fitted from the arcs that remain.
* White paper around the field (scans, slides) counts as background when it owns whole edges of the picture.
* A picture without dark surround (cropped inside the disc, or no fundus photograph at all) has the whole frame as its
  field, ``bounded`` is False, and it is the quality gate's business to say what it is.
* Not handled: two fields in one picture, montages, ultra-wide fields with eyelid-shaped borders.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from eyebright_common.imaging.channels import brightest, darkest
from eyebright_common.imaging.quantiles import quantiles
from eyebright_common.imaging.refusals import Pixels

_WORK_SIDE = 256
_WHITE = 235
_EDGE_SHARE = 0.9
_MIN_CONTRAST = 5.0
_ROUND_TOLERANCE = 0.04
_MIN_CONFIDENCE = 0.3
_MOST_POINTS = 240

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOfView:
    """The lit field, in pixels of the picture it was found in.

    Attributes:
        center: ``(x, y)``.
        radius_x: Half the width.
        radius_y: Half the height.
        bounded: Whether a dark surround was found; False means the field is the whole frame.
        confidence: 0 (a guess) to 1 (the border follows the ellipse everywhere it can be seen).
        coverage: Share of the ellipse that is inside the picture and lit.
        clipped: Share of the ellipse's border that lies outside the picture.
    """

    center: tuple[float, float]
    radius_x: float
    radius_y: float
    bounded: bool
    confidence: float
    coverage: float
    clipped: float


def field_of_view(image: Pixels) -> FieldOfView:
    """Return the lit field of a colour fundus photograph, uint8 ``[H, W, 3]``."""
    scale = min(1.0, _WORK_SIDE / max(image.shape[:2]))
    small = _shrunk(image, scale)
    lit = _lit_mask(small)
    if lit is None:
        return _whole_frame(image)
    border = _border_points(lit)
    if len(border) < 16:
        return _whole_frame(image)
    ellipse, inliers = _fit(border, lit)
    found = _described(ellipse, inliers, lit, scale)
    # A border that follows no ellipse is a shadow inside a picture that has no border of its own.
    stray = found.clipped > 0.6 and found.coverage < 0.5
    return found if found.confidence >= _MIN_CONFIDENCE and not stray else _whole_frame(image)


def _shrunk(image: Pixels, scale: float) -> Pixels:
    if scale >= 1.0:
        return image
    H, W = image.shape[:2]
    size = (max(8, round(W * scale)), max(8, round(H * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _whole_frame(image: Pixels) -> FieldOfView:
    H, W = image.shape[:2]
    return FieldOfView(
        center=(W / 2, H / 2), radius_x=W / 2, radius_y=H / 2, bounded=False, confidence=0.0, coverage=1.0, clipped=0.0
    )


def _lit_mask(small: Pixels) -> Mask | None:
    """Return the lit region, or None when nothing dark surrounds it."""
    value = cv2.GaussianBlur(brightest(small), (0, 0), 1.2)
    value[white_surround(small)] = 0
    H, W = value.shape
    k = max(2, min(H, W) // 24)
    corners = (value[:k, :k], value[:k, -k:], value[-k:, :k], value[-k:, -k:])
    darkest_two = sorted(quantiles(corner, 0.5)[0] for corner in corners)[:2]
    dark = sum(darkest_two) / 2
    bright = quantiles(value, 0.95)[0]
    if bright - dark < _MIN_CONTRAST:
        return None
    lit = value > dark + max(_MIN_CONTRAST * 0.6, 0.10 * (bright - dark))
    lit = _largest_region(lit)
    share = float(lit.mean())
    touching = sum(bool(lit[y, x]) for y in (1, H - 2) for x in (1, W - 2))
    return None if share < 0.02 or touching >= 3 else lit


def white_surround(small: Pixels) -> Mask:
    """Return where white paper surrounds the field: white that owns a whole edge and reaches a corner, ``[H, W]``."""
    edges = (small[0], small[-1], small[:, 0], small[:, -1])
    if not any(float((edge >= _WHITE).all(axis=1).mean()) >= _EDGE_SHARE for edge in edges):
        return np.zeros(small.shape[:2], dtype=np.bool_)
    white = darkest(small) >= _WHITE
    labels = cv2.connectedComponents(white.astype(np.uint8))[1]
    H, W = white.shape
    seeds = {int(labels[y, x]) for y in (0, H - 1) for x in (0, W - 1)} - {0}
    grown = np.isin(labels, sorted(seeds)).astype(np.uint8)
    return np.asarray(cv2.dilate(grown, np.ones((5, 5), np.uint8)), dtype=bool)


def _largest_region(lit: Mask) -> Mask:
    opened = cv2.morphologyEx(lit.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    if len(cv2.findContours(opened, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)[0]) == 1:
        return opened.view(np.bool_)  # One region without holes, as in most pictures: nothing to choose.
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        return np.zeros_like(lit)
    return np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def _border_points(lit: Mask) -> Points:
    """Return points ``[N, 2]`` of the lit region's convex outline that are not the picture's own edge."""
    contours = cv2.findContours(lit.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    outline = max(contours, key=len)[:, 0, :].astype(np.float64)
    H, W = lit.shape
    margin = 1.5
    x, y = outline[:, 0], outline[:, 1]
    inside = (x > margin) & (x < W - 1 - margin) & (y > margin) & (y < H - 1 - margin)
    hull = cv2.convexHull(outline.astype(np.int32))
    filled = cv2.fillConvexPoly(np.zeros((H + 2, W + 2), np.uint8), hull + 1, 1)
    depth = cv2.distanceTransform(filled, cv2.DIST_L2, 3)[outline[:, 1].astype(int) + 1, outline[:, 0].astype(int) + 1]
    # What lies well inside the hull is a shadow or an eyelid, not the camera's border.
    border = outline[inside & (depth < 0.02 * max(H, W) + 1)]
    return np.asarray(border[:: max(1, len(border) // _MOST_POINTS)])


def _fit(border: Points, lit: Mask) -> tuple[tuple[float, float, float, float], Points]:
    """Return ``(x, y, radius_x, radius_y)`` and the border points that lie on it."""
    circle, on_circle = _refined(border, squeezed=False)
    if len(on_circle) >= 0.9 * len(border) and _angular_cover(circle, on_circle) > 0.3:
        oval, on_oval = _refined(border, squeezed=True)
        rounder = abs(oval[2] / oval[3] - 1) < _ROUND_TOLERANCE if oval[3] > 0 else True
        better = _spread(oval, on_oval) < 0.5 * _spread(circle, on_circle)
        return (circle, on_circle) if rounder or not better else (oval, on_oval)
    oval, on_oval = _refined(border, squeezed=True)
    plausible = oval[2] > 0 and oval[3] > 0 and 0.4 < oval[2] / oval[3] < 2.5
    if plausible and len(on_oval) > len(on_circle) and _angular_cover(oval, on_oval) > 0.5:
        return oval, on_oval
    if len(on_circle) >= 0.5 * len(border):
        return circle, on_circle
    return _box_of(lit), np.empty((0, 2))


def _box_of(lit: Mask) -> tuple[float, float, float, float]:
    x, y, w, h = cv2.boundingRect(lit.astype(np.uint8))
    return x + w / 2, y + h / 2, w / 2, h / 2


def _refined(points: Points, *, squeezed: bool) -> tuple[tuple[float, float, float, float], Points]:
    chosen = np.ones(len(points), dtype=np.bool_)
    ellipse = _least_squares(points, squeezed=squeezed)
    for _ in range(4):
        off = np.abs(_radial(ellipse, points) - 1)
        tolerance = max(0.015, 1.5 * float(np.median(off)))
        close = off < tolerance
        if np.array_equal(close, chosen):
            break
        chosen = close
        if np.count_nonzero(chosen) < 12:
            return ellipse, np.empty((0, 2))
        ellipse = _least_squares(points[chosen], squeezed=squeezed)
    return ellipse, points[np.abs(_radial(ellipse, points) - 1) < 0.02]


def _least_squares(points: Points, *, squeezed: bool) -> tuple[float, float, float, float]:
    """Fit ``x² + q·y² = 2ax + 2by + c`` (Kåsa's fit; ``q`` is 1 for a circle), in centred coordinates."""
    origin = points.mean(axis=0)
    x, y = (points - origin).T
    columns = [2 * x, 2 * y, np.ones_like(x)]
    target = x * x
    if squeezed:
        columns.append(-y * y)
    else:
        target = target + y * y
    solution = np.linalg.lstsq(np.stack(columns, axis=1), target, rcond=None)[0]
    a, b, c = solution[:3]
    q = float(solution[3]) if squeezed else 1.0
    if q <= 0:
        return 0.0, 0.0, 0.0, 0.0
    center_x, center_y = a, b / q
    square = c + a * a + b * b / q
    if square <= 0:
        return 0.0, 0.0, 0.0, 0.0
    return float(center_x + origin[0]), float(center_y + origin[1]), float(square**0.5), float((square / q) ** 0.5)


def _radial(ellipse: tuple[float, float, float, float], points: Points) -> NDArray[np.float64]:
    x, y, rx, ry = ellipse
    if rx <= 0 or ry <= 0:
        return np.full(len(points), np.inf)
    return np.asarray(np.hypot((points[:, 0] - x) / rx, (points[:, 1] - y) / ry))


def _spread(ellipse: tuple[float, float, float, float], points: Points) -> float:
    return float(np.abs(_radial(ellipse, points) - 1).mean()) if len(points) else np.inf


def _angular_cover(ellipse: tuple[float, float, float, float], points: Points) -> float:
    if not len(points):
        return 0.0
    angle = np.arctan2((points[:, 1] - ellipse[1]) / ellipse[3], (points[:, 0] - ellipse[0]) / ellipse[2])
    return len(np.unique(((angle + np.pi) / (2 * np.pi) * 36).astype(int) % 36)) / 36


def _described(ellipse: tuple[float, float, float, float], inliers: Points, lit: Mask, scale: float) -> FieldOfView:
    x, y, rx, ry = ellipse
    H, W = lit.shape
    rows, columns = np.ogrid[0:H, 0:W]
    inside = ((columns - x) / rx) ** 2 + ((rows - y) / ry) ** 2 <= 1.0
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    rim_x, rim_y = x + rx * np.cos(angles), y + ry * np.sin(angles)
    outside = (rim_x < -0.5) | (rim_x > W - 0.5) | (rim_y < -0.5) | (rim_y > H - 0.5)
    clipped = float(outside.mean())
    seen = _angular_cover(ellipse, inliers) / max(1e-6, 1 - clipped)
    return FieldOfView(
        center=((x + 0.5) / scale, (y + 0.5) / scale),
        radius_x=rx / scale,
        radius_y=ry / scale,
        bounded=True,
        confidence=float(np.clip(seen, 0.0, 1.0)),
        coverage=float((inside & lit).sum() / max(1.0, np.pi * rx * ry)),
        clipped=clipped,
    )
