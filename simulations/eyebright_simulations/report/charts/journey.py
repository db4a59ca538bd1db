"""How it works, in one picture: hospitals, operator, release, unit, and the bytes on every boundary.

Drawn twice, wide for a desk and tall for a telephone; the style sheet shows one. The wall of the hospital is the line
that no picture crosses, and the number of pictures that did is written on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from eyebright_simulations.report.charts.svg import drawing, element, text

Lines = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyFacts:
    """What is written into the picture; each a title and short lines, an arrow may be without words.

    Attributes:
        hospitals: The hospitals' box.
        operator: The operator's box.
        release: The release's box.
        unit: The unit's box.
        to_hospitals: From operator to hospitals.
        from_hospitals: From hospitals to operator.
        into_release: From operator to release.
        to_unit: From release to unit.
        from_unit: From unit to operator.
        wall: What is written on the hospital's wall.
        label: What the picture shows, for a screen reader.
    """

    hospitals: Lines
    operator: Lines
    release: Lines
    unit: Lines
    to_hospitals: Lines
    from_hospitals: Lines
    into_release: Lines
    to_unit: Lines
    from_unit: Lines
    wall: str
    label: str


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2


def journey(facts: JourneyFacts) -> Markup:
    """Return both drawings."""
    return _wide(facts) + _tall(facts)


def _wide(facts: JourneyFacts) -> Markup:
    top, tall = 70.0, 128.0
    hospitals, operator = _Box(2, top, 176, tall), _Box(378, top, 166, tall)
    release, unit = _Box(634, top, 150, tall), _Box(872, top, 156, tall)
    upper, lower = top + 42, top + 92
    wall = (hospitals.right + 26, 38.0, top + tall + 34)
    return_y = top + tall + 52
    return drawing(
        1030,
        300,
        facts.label,
        _heads("wide"),
        _stack(hospitals, facts.hospitals),
        _box(operator, facts.operator),
        _box(release, facts.release, sealed=True),
        _box(unit, facts.unit),
        element("line", x1=wall[0], x2=wall[0], y1=wall[1], y2=wall[2], class_="wall"),
        text(2, 26, facts.wall, class_="wallname"),
        _arrow((operator.x - 4, upper), (hospitals.right + 12, upper), facts.to_hospitals, "wide", words_from=wall[0]),
        _arrow(
            (hospitals.right + 12, lower),
            (operator.x - 4, lower),
            facts.from_hospitals,
            "wide",
            above=False,
            words_from=wall[0],
        ),
        _arrow((operator.right + 4, upper + 24), (release.x - 4, upper + 24), facts.into_release, "wide"),
        _arrow((release.right + 4, upper + 24), (unit.x - 4, upper + 24), facts.to_unit, "wide"),
        element(
            "path",
            d=f"M{unit.middle[0]:.0f} {unit.bottom + 4:.0f} V{return_y:.0f} H{operator.middle[0]:.0f} "
            f"V{operator.bottom + 6:.0f}",
            class_="arrow",
            marker_end="url(#head-wide)",
        ),
        _words((operator.middle[0] + unit.middle[0]) / 2, return_y + 18, facts.from_unit, "middle"),
        class_="chart journey wide",
    )


def _tall(facts: JourneyFacts) -> Markup:
    left, width, tall = 2.0, 346.0, 104.0
    hospitals, operator = _Box(left, 34, width, tall), _Box(left, 254, width, tall)
    release, unit = _Box(left, 424, width, tall), _Box(left, 594, width, tall)
    wall_y = hospitals.bottom + 24
    return drawing(
        360,
        770,
        facts.label,
        _heads("tall"),
        _stack(hospitals, facts.hospitals),
        _box(operator, facts.operator),
        _box(release, facts.release, sealed=True),
        _box(unit, facts.unit),
        element("line", x1=0, x2=360, y1=wall_y, y2=wall_y, class_="wall"),
        text(left, 20, facts.wall, class_="wallname"),
        _upright(36, hospitals.bottom + 12, operator.y - 4, facts.from_hospitals, "tall"),
        _upright(210, operator.y - 4, hospitals.bottom + 12, facts.to_hospitals, "tall"),
        _upright(36, operator.bottom + 4, release.y - 4, facts.into_release, "tall"),
        _upright(36, release.bottom + 4, unit.y - 4, facts.to_unit, "tall"),
        _words(left, unit.bottom + 28, ("Back from the unit: " + ", ".join(facts.from_unit),), "start"),
        class_="chart journey tall",
    )


def _heads(name: str) -> Markup:
    head = element("path", d="M0 0 L8 4 L0 8 z", class_="head")
    marker = element(
        "marker",
        head,
        id=f"head-{name}",
        viewBox="0 0 8 8",
        refX=7,
        refY=4,
        markerWidth=8,
        markerHeight=8,
        orient="auto",
    )
    return element("defs", marker)


def _box(box: _Box, lines: Lines, *, sealed: bool = False) -> Markup:
    kind = "box sealed" if sealed else "box"
    frame = element("rect", x=box.x, y=box.y, width=box.width, height=box.height, rx=8, class_=kind)
    title, *rest = lines
    return Markup("").join(
        (
            frame,
            text(box.x + 16, box.y + 30, title, class_="boxname"),
            *(text(box.x + 16, box.y + 53 + 19 * row, line, class_="boxline") for row, line in enumerate(rest)),
        )
    )


def _stack(box: _Box, lines: Lines) -> Markup:
    behind = (
        element("rect", x=box.x + d, y=box.y + d, width=box.width, height=box.height, rx=8, class_="box behind")
        for d in (8, 4)
    )
    return Markup("").join((*behind, _box(box, lines)))


def _arrow(
    start: tuple[float, float],
    end: tuple[float, float],
    lines: Lines,
    name: str,
    *,
    above: bool = True,
    words_from: float | None = None,
) -> Markup:
    line = element(
        "line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_="arrow", marker_end=f"url(#head-{name})"
    )
    first = start[1] - 8 - 15 * (len(lines) - 1) if above else start[1] + 18
    # Words keep clear of the wall, so they stand in the middle of what is right of it.
    left = min(start[0], end[0]) if words_from is None else words_from
    return line + _words((left + max(start[0], end[0])) / 2, first, lines, "middle")


def _upright(x: float, start: float, end: float, lines: Lines, name: str) -> Markup:
    line = element("line", x1=x, x2=x, y1=start, y2=end, class_="arrow", marker_end=f"url(#head-{name})")
    middle = (start + end) / 2 + (14 if len(lines) > 1 else 4)
    return line + _words(x + 12, middle - 7 * (len(lines) - 1), lines, "start")


def _words(x: float, y: float, lines: Lines, anchor: str) -> Markup:
    return Markup("").join(
        text(x, y + 15 * row, line, class_="crossing", anchor=anchor) for row, line in enumerate(lines)
    )
