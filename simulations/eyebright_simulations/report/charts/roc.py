"""ROC curves of referral, the student's in bold with its operating point."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from eyebright_learning.evaluation.curves import RocPoints
from eyebright_simulations.report.charts.marks import unit_square
from eyebright_simulations.report.charts.svg import Scale, drawing, element, path, text
from eyebright_simulations.report.evidence import ArmName
from eyebright_simulations.report.words import ARM_TITLES, percent

_SIZE, _LEFT, _TOP, _BOTTOM, _RIGHT = 440.0, 50.0, 30.0, 46.0, 14.0
_MOST_POINTS = 200


def roc_chart(
    curves: Mapping[ArmName, RocPoints], *, sensitivity: float | None, specificity: float | None, label: str
) -> Markup:
    """Return the curves; empty when there are none.

    Args:
        curves: By arm.
        sensitivity: Of the student at its threshold.
        specificity: Of the student at its threshold.
        label: What the picture shows, for a screen reader.
    """
    if not curves:
        return Markup("")
    x = Scale((0.0, 1.0), (_LEFT, _SIZE - _RIGHT))
    y = Scale((0.0, 1.0), (_SIZE - _BOTTOM, _TOP))
    parts = [
        unit_square(x, y, horizontal="Referred although healthy (1 minus specificity)", vertical="Sensitivity"),
        path([(x(0.0), y(0.0)), (x(1.0), y(1.0))], class_="chance"),
    ]
    parts += [
        _curve(curves[arm], x, y, f"roc {arm}", ARM_TITLES[arm])
        for arm in sorted(curves, key=lambda a: a is ArmName.STUDENT)
    ]
    if sensitivity is not None and specificity is not None:
        parts.append(_operating_point(x(1.0 - specificity), y(sensitivity), sensitivity, specificity))
    return drawing(_SIZE, _SIZE, label, *parts)


def _curve(points: RocPoints, x: Scale, y: Scale, class_: str, name: str) -> Markup:
    corners = list(zip(points.false_positive_rate, points.sensitivity, strict=True))
    # A curve of thousands of pictures has more corners than pixels.
    step = max(1, len(corners) // _MOST_POINTS)
    kept = corners[::step] + ([corners[-1]] if (len(corners) - 1) % step else [])
    line = path([(x(rate), y(found)) for rate, found in kept], class_=class_)
    return element("g", element("title", name), line)


def _operating_point(x: float, y: float, sensitivity: float, specificity: float) -> Markup:
    down = y + 30
    return Markup("").join(
        (
            element("circle", cx=x, cy=y, r=7, class_="operating"),
            path([(x + 7, y + 7), (x + 22, down - 3)], class_="lead"),
            text(x + 24, down + 8, "operating point", class_="name bold"),
            text(x + 24, down + 24, f"sensitivity {percent(sensitivity)}", class_="name"),
            text(x + 24, down + 40, f"specificity {percent(specificity)}", class_="name"),
        )
    )
