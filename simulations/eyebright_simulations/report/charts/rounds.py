"""A number over the rounds: all hospitals together in bold, every hospital thin behind it.

Up to six hospitals are named where their lines end; with more, only the highest and the lowest are, so that forty
hospitals still make one readable picture. A round without a number leaves a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from eyebright_simulations.report.charts.svg import Scale, apart, drawing, element, path, text, ticks

_WIDTH, _HEIGHT = 340.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 42.0, 92.0, 16.0, 34.0
_NAMED = 6
_LONGEST_NAME = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line; ``bold`` is the one that counts."""

    name: str
    values: Sequence[float | None]
    bold: bool = False


def round_chart(
    lines: Sequence[Line], *, label: str, show: Callable[[float], str], best_round: int | None = None, share: bool
) -> Markup:
    """Return the chart; empty when no line has a number.

    Args:
        lines: Values per round, the first of round 1.
        label: What the picture shows, for a screen reader.
        show: How a value is written at the axis.
        best_round: The released round, marked.
        share: Whether values are shares, which end at 1.
    """
    known = [value for line in lines for value in line.values if value is not None]
    if not known:
        return Markup("")
    rounds = max(len(line.values) for line in lines)
    y = Scale(_domain(known, share), (_HEIGHT - _BOTTOM, _TOP))
    x = Scale((1.0, float(max(rounds, 2))), (_LEFT, _WIDTH - _RIGHT))
    back = sorted(lines, key=lambda line: line.bold)
    return drawing(
        _WIDTH,
        _HEIGHT,
        label,
        _frame(x, y, rounds, show, best_round),
        *(_drawn(line, x, y, show) for line in back),
        _names(_named(lines), y),
    )


def _domain(known: Sequence[float], share: bool) -> tuple[float, float]:
    low, high = min(known), max(known)
    if share:
        return max(0.0, int(low * 10) / 10), min(1.0, max(int(high * 10 + 1) / 10, int(low * 10) / 10 + 0.1))
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return min(0.0, low) if low < 0 else max(0.0, low - room), high + room


def _frame(x: Scale, y: Scale, rounds: int, show: Callable[[float], str], best_round: int | None) -> Markup:
    bottom, top = y.pixels
    parts = [
        Markup("").join(
            (
                element("line", x1=_LEFT, x2=x.pixels[1], y1=y(value), y2=y(value), class_="grid"),
                text(_LEFT - 7, y(value) + 4, show(value), anchor="end"),
            )
        )
        for value in ticks(*y.domain)
    ]
    whole = [t for t in ticks(1, rounds, 6) if t == int(t)] if rounds > 6 else list(range(1, rounds + 1))
    parts += [text(x(float(t)), bottom + 17, int(t), anchor="middle") for t in whole]
    parts.append(text((_LEFT + x.pixels[1]) / 2, bottom + 32, "round", class_="axis", anchor="middle"))
    if best_round is not None and best_round <= rounds:
        at = x(float(best_round))
        parts += [
            element("line", x1=at, x2=at, y1=bottom, y2=top, class_="chosen"),
            text(at, top - 5, "released", class_="note", anchor="middle"),
        ]
    return Markup("").join(parts)


def _drawn(line: Line, x: Scale, y: Scale, show: Callable[[float], str]) -> Markup:
    kind = "bold" if line.bold else "thin"
    runs: list[list[tuple[float, float]]] = [[]]
    for number, value in enumerate(line.values, start=1):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((x(float(number)), y(value)))
    parts = [path(run, class_=f"line {kind}") for run in runs if len(run) > 1]
    if line.bold or len(line.values) == 1:
        parts += [
            element("circle", element("title", f"round {n}: {show(v)}"), cx=x(float(n)), cy=y(v), r=3.2, class_="dot")
            for n, v in enumerate(line.values, start=1)
            if v is not None and len(line.values) <= 40
        ]
    return Markup("").join(parts)


def _named(lines: Sequence[Line]) -> list[tuple[Line, float]]:
    ended = [(line, next(v for v in reversed(line.values) if v is not None)) for line in lines if any(_known(line))]
    thin = sorted((pair for pair in ended if not pair[0].bold), key=lambda pair: pair[1])
    if len(thin) > _NAMED:
        thin = [thin[0], thin[-1]]
    return [pair for pair in ended if pair[0].bold] + thin


def _known(line: Line) -> list[bool]:
    return [value is not None for value in line.values]


def _names(named: list[tuple[Line, float]], y: Scale) -> Markup:
    places = apart([y(value) for _, value in named], 13.0, _TOP, _HEIGHT - _BOTTOM)
    right = _WIDTH - _RIGHT
    return Markup("").join(
        Markup("").join(
            (
                path([(right + 1, y(value)), (right + 8, place)], class_="lead"),
                text(right + 11, place + 4, _short(line.name), class_="name bold" if line.bold else "name"),
            )
        )
        for (line, value), place in zip(named, places, strict=True)
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
