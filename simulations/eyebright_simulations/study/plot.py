"""``plot.svg``: balanced accuracy of every row, and its difference to the control, with intervals.

Two panels share their rows, and the verdict stands beside them in words. The zero line of the right panel is the
control: what does not cross it is settled.
"""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from eyebright_simulations.report.charts.svg import Scale, drawing, element, text, ticks
from eyebright_simulations.report.words import percent
from eyebright_simulations.report.words import points as in_points
from eyebright_simulations.study.result_schema import Estimate, Row, StudyResult

_WIDTH, _ROW, _TOP, _BOTTOM = 940.0, 30.0, 44.0, 34.0
_LEFT_PANEL, _RIGHT_PANEL = (250.0, 520.0), (560.0, 830.0)
# The file stands alone, so it brings the few rules it needs; both lights are readable on white.
_STYLE = """
svg { background: #ffffff; font: 13px system-ui, "Liberation Sans", sans-serif; }
text { fill: #1c2530; } .tick, .note { fill: #56616d; font-size: 12px; } .axis { font-weight: 600; }
.grid { stroke: #ddd8cd; } .zero { stroke: #1c2530; stroke-dasharray: 4 3; }
.whisker { stroke-width: 2; } .control { stroke: #56616d; fill: #56616d; } .helped { stroke: #1d6a45; fill: #1d6a45; }
.hurt { stroke: #a3232b; fill: #a3232b; } .open { stroke: #8f4a08; fill: #8f4a08; }
"""
_CLASSES = {"control": "control", "helped": "helped", "hurt": "hurt", "not settled": "open"}


def study_plot(result: StudyResult) -> str:
    """Return the SVG file."""
    rows = result.rows
    bottom = _TOP + _ROW * len(rows)
    value = _scale([row.metrics["balanced_accuracy"] for row in rows], _LEFT_PANEL)
    gap = _scale([*(row.difference for row in rows), Estimate(value=0.0, lower=0.0, upper=0.0)], _RIGHT_PANEL)
    parts = [
        element("style", Markup(_STYLE)),
        *_frame(value, bottom, "Balanced accuracy", lambda share: f"{share:.0%}"),
        *_frame(gap, bottom, "Difference to ce, points", _points),
        element("line", x1=gap(0.0), x2=gap(0.0), y1=_TOP, y2=bottom, class_="zero"),
    ]
    for number, row in enumerate(rows):
        parts += _row(row, value, gap, _TOP + _ROW * (number + 0.5))
    return str(drawing(_WIDTH, bottom + _BOTTOM, _label(result), *parts)) + "\n"


def _row(row: Row, value: Scale, gap: Scale, y: float) -> list[Markup]:
    class_ = _CLASSES[row.verdict]
    name = f"{row.name} (teacher)" if row.role == "teacher" else row.name
    shown = [text(value.pixels[0] - 12, y + 4, _short(name), anchor="end")]
    shown += _whisker(row.metrics["balanced_accuracy"], value, y, class_, f"{name}: {{}}", percent)
    shown.append(text(gap.pixels[1] + 14, y + 4, row.verdict, class_="note"))
    if row.role != "control":
        shown += _whisker(row.difference, gap, y, class_, f"{name}: {{}}, {row.verdict}", in_points)
    return shown


def _whisker(
    found: Estimate, x: Scale, y: float, class_: str, title: str, spelled: Callable[[float], str]
) -> list[Markup]:
    if found.value is None:
        return [text(x.pixels[0] + 6, y + 4, "not defined", class_="note")]
    parts = []
    if found.lower is not None and found.upper is not None:
        parts.append(element("line", x1=x(found.lower), x2=x(found.upper), y1=y, y2=y, class_=f"whisker {class_}"))
    hover = element("title", title.format(spelled(found.value)))
    return [*parts, element("circle", hover, cx=x(found.value), cy=y, r=5, class_=class_)]


def _frame(x: Scale, bottom: float, title: str, spelled: Callable[[float], str]) -> list[Markup]:
    parts = [text(x.pixels[0], _TOP - 18, title, class_="axis")]
    for tick in ticks(*x.domain):
        parts.append(element("line", x1=x(tick), x2=x(tick), y1=_TOP, y2=bottom, class_="grid"))
        parts.append(text(x(tick), bottom + 18, spelled(tick), anchor="middle"))
    return parts


def _scale(found: list[Estimate], pixels: tuple[float, float]) -> Scale:
    """Return a scale with room for every value and interval."""
    numbers = [n for one in found for n in (one.value, one.lower, one.upper) if n is not None] or [0.0]
    room = max(0.005, 0.06 * (max(numbers) - min(numbers)))
    return Scale((min(numbers) - room, max(numbers) + room), pixels)


def _points(share: float) -> str:
    return f"{100 * share:+.3g}".replace("-", "\u2212") if share else "0"


def _short(name: str) -> str:
    return name if len(name) <= 34 else f"{name[:20]}…{name[-13:]}"


def _label(result: StudyResult) -> str:
    return f"Balanced accuracy and difference to the CE-only control of {len(result.rows)} models, with intervals"
