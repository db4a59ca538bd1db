"""The page's charts: ROC curve with its operating point, reliability diagram, and intervals on a line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from eyebright_server.release.evaluation_page.drawing import Scale, drawing, element, line, path, words
from eyebright_server.release.evaluation_page.wording import percent

_SIZE, _LEFT, _TOP, _BOTTOM, _RIGHT = 440.0, 50.0, 30.0, 46.0, 14.0
_PLOT_BOTTOM, _BARS_BOTTOM, _BARS_TALL = 330.0, 432.0, 46.0
_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


def roc_chart(
    curve: Mapping[str, Sequence[float]] | None, *, sensitivity: float | None, specificity: float | None
) -> Markup:
    """Return the curve with the shipped operating point; empty when there is no curve."""
    if curve is None:
        return Markup("")
    x, y = Scale(_LEFT, _SIZE - _RIGHT), Scale(_SIZE - _BOTTOM, _TOP)
    corners = zip(curve["false_positive_rate"], curve["sensitivity"], strict=True)
    parts = [
        _square(x, y, "Referred although healthy (1 minus specificity)", "Sensitivity"),
        path([(x(0.0), y(0.0)), (x(1.0), y(1.0))], "chance"),
        path([(x(rate), y(found)) for rate, found in corners], "curve"),
    ]
    if sensitivity is not None and specificity is not None:
        parts.append(_operating_point(x(1.0 - specificity), y(sensitivity), sensitivity, specificity))
    return drawing(_SIZE, _SIZE, "ROC curve of referral with the operating point that ships.", *parts)


def _operating_point(x: float, y: float, sensitivity: float, specificity: float) -> Markup:
    # The words stand in the lower right corner, beside the same ring: no curve that is better than chance goes there.
    right, top = _SIZE - _RIGHT - 8, _SIZE - _BOTTOM - 50
    lines = ("operating point", f"sensitivity {percent(sensitivity)}", f"specificity {percent(specificity)}")
    return Markup("").join(
        [
            *(element("circle", cx=cx, cy=cy, r=7, class_="operating") for cx, cy in ((x, y), (right - 122, top + 3))),
            *(
                words(right, top + 8 + 16 * i, text, "name bold" if i == 0 else "name", "end")
                for i, text in enumerate(lines)
            ),
        ]
    )


def reliability_chart(bins: Sequence[Mapping[str, Any]]) -> Markup:
    """Return the reliability diagram; the area of a dot grows with its pictures. Empty without pictures."""
    filled = [one for one in bins if one["count"]]
    if not filled:
        return Markup("")
    x, y = Scale(_LEFT, _SIZE - _RIGHT), Scale(_PLOT_BOTTOM, _TOP)
    most = max(one["count"] for one in filled)
    return drawing(
        _SIZE,
        _SIZE,
        "Reliability diagram: how often the model is right, against how sure it said it was.",
        _square(x, y, "How sure the model said it was", "How often it was right"),
        path([(x(0.0), y(0.0)), (x(1.0), y(1.0))], "chance"),
        *(
            line(x(one["confidence"]), y(one["accuracy"]), x(one["confidence"]), y(one["confidence"]), "gap")
            for one in filled
        ),
        *(_dot(one, x, y, most) for one in filled),
        *(_column(one, x, most) for one in filled),
        words(_LEFT, _BARS_BOTTOM - _BARS_TALL - 5, "Pictures", "axis"),
    )


def _gap(x: float, y: float, wanted: float) -> Markup:
    return line(x, y, x, wanted, "gap")


def _dot(one: Mapping[str, Any], x: Scale, y: Scale, most: int) -> Markup:
    shown = f"said {percent(one['confidence'])}, right {percent(one['accuracy'])}, {one['count']:,} pictures"
    radius = 3 + 6 * math.sqrt(one["count"] / most)
    return element(
        "circle", element("title", shown), cx=x(one["confidence"]), cy=y(one["accuracy"]), r=radius, class_="dot"
    )


def _column(one: Mapping[str, Any], x: Scale, most: int) -> Markup:
    tall, left = _BARS_TALL * one["count"] / most, x(one["lower"])
    return element(
        "rect", x=left + 1, y=_BARS_BOTTOM - tall, width=x(one["upper"]) - left - 2, height=tall, class_="column"
    )


def interval_chart(rows: Sequence[tuple[str, Mapping[str, float | None]]], *, chance: float, label: str) -> Markup:
    """Return one dot with its interval per row on a line from 0 to 1, chance dashed; empty without rows."""
    if not rows:
        return Markup("")
    left, row_tall = 170.0, 34.0
    x, bottom = Scale(left, 700.0), 14 + row_tall * len(rows)
    parts = []
    for share in _QUARTERS:
        parts += [
            line(x(share), 8, x(share), bottom, "grid"),
            words(x(share), bottom + 17, f"{share:.0%}", anchor="middle"),
        ]
    parts.append(line(x(chance), 8, x(chance), bottom, "chance"))
    for number, (name, found) in enumerate(rows):
        parts += _interval_row(name, found, x, 10 + row_tall * (number + 0.5))
    return drawing(720.0, bottom + 24, label, *parts)


def _interval_row(name: str, found: Mapping[str, float | None], x: Scale, y: float) -> list[Markup]:
    value, lower, upper = found["value"], found["lower"], found["upper"]
    parts = [words(158, y + 4, name, "name", "end")]
    if lower is not None and upper is not None:
        parts.append(line(x(lower), y, x(upper), y, "whisker"))
    if value is not None:
        parts.append(element("circle", element("title", percent(value)), cx=x(value), cy=y, r=6.0, class_="dot"))
    return parts


def _square(x: Scale, y: Scale, horizontal: str, vertical: str) -> Markup:
    parts = []
    for share in _QUARTERS:
        parts += [
            line(x.start, y(share), x.end, y(share), "grid"),
            line(x(share), y.start, x(share), y.end, "grid"),
            words(x.start - 8, y(share) + 4, f"{share:.0%}", anchor="end"),
            words(x(share), y.start + 18, f"{share:.0%}", anchor="middle"),
        ]
    parts.append(words((x.start + x.end) / 2, y.start + 36, horizontal, "axis", "middle"))
    parts.append(words(x.start, y.end - 10, vertical, "axis"))
    return Markup("").join(parts)
