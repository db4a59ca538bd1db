"""Bars from zero for one metric, one per arm, with the bootstrap interval as a whisker and the level of chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from eyebright_learning.evaluation.bootstrap import Interval
from eyebright_simulations.report.charts.svg import Scale, drawing, element, share_grid, text
from eyebright_simulations.report.evidence import ArmName
from eyebright_simulations.report.words import ARM_TITLES, MISSING, interval, percent

_WIDTH, _ROW, _TOP, _LEFT, _RIGHT = 480.0, 40.0, 10.0, 142.0, 58.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One arm's value and how sure it is."""

    arm: ArmName
    value: float | None
    interval: Interval | None = None


def arm_bars(bars: Sequence[Bar], *, label: str, chance: float | None = None) -> Markup:
    """Return the bars.

    Args:
        bars: In reading order.
        label: What the picture shows, for a screen reader.
        chance: What guessing would reach, marked by a dashed line.
    """
    bottom = _TOP + _ROW * len(bars)
    x = Scale((0.0, 1.0), (_LEFT, _WIDTH - _RIGHT))
    parts = share_grid(x, _TOP, bottom)
    parts += [_bar(bar, x, _TOP + _ROW * row) for row, bar in enumerate(bars)]
    if chance is not None:
        parts.append(element("line", x1=x(chance), x2=x(chance), y1=_TOP, y2=bottom, class_="chance"))
        parts.append(text(x(chance), bottom + 33, f"guessing {chance:.0%}", class_="note", anchor="middle"))
    return drawing(_WIDTH, bottom + 40, label, *parts)


def _bar(bar: Bar, x: Scale, top: float) -> Markup:
    middle = top + _ROW / 2
    name = text(_LEFT - 10, middle + 4, ARM_TITLES[bar.arm], class_=_name_class(bar.arm), anchor="end")
    if bar.value is None:
        return name + text(_LEFT + 6, middle + 4, f"{MISSING} not measured", class_="note")
    shown = f"{ARM_TITLES[bar.arm]}: {percent(bar.value)} {interval(bar.interval)}".strip()
    height = _ROW * 0.5
    parts = [
        name,
        element(
            "rect",
            element("title", shown),
            x=_LEFT,
            y=middle - height / 2,
            width=max(0.0, x(bar.value) - _LEFT),
            height=height,
            rx=2,
            class_=f"bar {bar.arm}",
        ),
        text(_WIDTH - _RIGHT + 10, middle + 4, percent(bar.value), class_=_name_class(bar.arm)),
    ]
    if bar.interval is not None:
        low, high = x(bar.interval.lower), x(bar.interval.upper)
        parts += [
            element("line", x1=low, x2=high, y1=middle, y2=middle, class_="whisker"),
            element("line", x1=low, x2=low, y1=middle - 5, y2=middle + 5, class_="whisker"),
            element("line", x1=high, x2=high, y1=middle - 5, y2=middle + 5, class_="whisker"),
        ]
    return Markup("").join(parts)


def _name_class(arm: ArmName) -> str:
    return "name bold" if arm is ArmName.STUDENT else "name"
