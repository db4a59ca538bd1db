"""Reliability diagram: how often the student is right, against how sure it said it was.

The area of a dot grows with the pictures in its bin, and bars below count them, so that a bin of two pictures does not
look like a fact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from eyebright_learning.evaluation.calibration import ReliabilityBin
from eyebright_simulations.report.charts.marks import unit_square
from eyebright_simulations.report.charts.svg import Scale, drawing, element, path, text
from eyebright_simulations.report.words import counted, percent

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT = 440.0, 440.0, 50.0, 30.0, 14.0
_PLOT_BOTTOM, _BARS_BOTTOM, _BARS_TALL = 330.0, 432.0, 46.0


def reliability_diagram(bins: Sequence[ReliabilityBin], *, label: str) -> Markup:
    """Return the diagram; empty when no bin has a picture."""
    filled = [
        _Filled(found=b, x=b.confidence, y=b.accuracy)
        for b in bins
        if b.count and b.confidence is not None and b.accuracy is not None
    ]
    if not filled:
        return Markup("")
    x = Scale((0.0, 1.0), (_LEFT, _WIDTH - _RIGHT))
    y = Scale((0.0, 1.0), (_PLOT_BOTTOM, _TOP))
    most = max(b.found.count for b in filled)
    return drawing(
        _WIDTH,
        _HEIGHT,
        label,
        unit_square(x, y, horizontal="How sure the student said it was", vertical="How often it was right"),
        path([(x(0.0), y(0.0)), (x(1.0), y(1.0))], class_="chance"),
        *(element("line", x1=x(b.x), x2=x(b.x), y1=y(b.y), y2=y(b.x), class_="gap") for b in filled),
        *(_dot(b, x(b.x), y(b.y), most) for b in filled),
        *(_column(b.found, x, most) for b in filled),
        text(_LEFT, _BARS_BOTTOM - _BARS_TALL - 5, "Pictures", class_="axis"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    found: ReliabilityBin
    x: float
    y: float


def _dot(filled: _Filled, x: float, y: float, most: int) -> Markup:
    pictures = filled.found.count
    shown = f"said {percent(filled.x)}, right {percent(filled.y)}, {counted(pictures, 'picture')}"
    return element("circle", element("title", shown), cx=x, cy=y, r=3 + 6 * math.sqrt(pictures / most), class_="dot")


def _column(found: ReliabilityBin, x: Scale, most: int) -> Markup:
    tall = _BARS_TALL * found.count / most
    left, right = x(found.lower), x(found.upper)
    return element("rect", x=left + 1, y=_BARS_BOTTOM - tall, width=right - left - 2, height=tall, class_="column")
