"""One shape per arm, so that two arms differ without colour, and the frame that square plots share."""

from __future__ import annotations

from markupsafe import Markup

from eyebright_simulations.report.charts.svg import Scale, element, text
from eyebright_simulations.report.evidence import ArmName


def mark(arm: ArmName, x: float, y: float, title: str = "") -> Markup:
    """Return the arm's shape centred at a point; ``title`` shows when the pointer rests on it."""
    hover = element("title", title) if title else Markup("")
    if arm is ArmName.STUDENT:
        return element("circle", hover, cx=x, cy=y, r=5.5, class_="mark student")
    corners = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in _CORNERS[arm])
    return element("polygon", hover, points=corners, class_=f"mark {arm}")


_CORNERS: dict[ArmName, tuple[tuple[float, float], ...]] = {
    ArmName.TEACHER: ((0, -6), (6, 0), (0, 6), (-6, 0)),
    ArmName.BEST_LOCAL: ((-4.6, -4.6), (4.6, -4.6), (4.6, 4.6), (-4.6, 4.6)),
    ArmName.POOLED: ((0, -5.8), (5.6, 4.4), (-5.6, 4.4)),
    ArmName.NO_DISTILLATION: ((0, 5.8), (5.6, -4.4), (-5.6, -4.4)),
}


def legend_mark(arm: ArmName) -> Markup:
    """Return the arm's shape alone, to stand before its name; the name says it all to a screen reader."""
    return element("svg", mark(arm, 8, 8), viewBox="0 0 16 16", aria_hidden="true", class_="key")


def unit_square(x: Scale, y: Scale, *, horizontal: str, vertical: str) -> Markup:
    """Return grid, ticks and axis titles of a plot of shares against shares."""
    left, right = x.pixels
    bottom, top = y.pixels
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts += [
            element("line", x1=left, x2=right, y1=y(share), y2=y(share), class_="grid"),
            element("line", x1=x(share), x2=x(share), y1=bottom, y2=top, class_="grid"),
            text(left - 8, y(share) + 4, f"{share:.0%}", anchor="end"),
            text(x(share), bottom + 18, f"{share:.0%}", anchor="middle"),
        ]
    parts += [
        text((left + right) / 2, bottom + 36, horizontal, class_="axis", anchor="middle"),
        text(left, top - 10, vertical, class_="axis"),
    ]
    return Markup("").join(parts)
