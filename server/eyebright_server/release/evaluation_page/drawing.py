"""The smallest SVG writer that is safe: escaped attributes and text; colours and strokes are classes of the page."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight line from shares in [0, 1] to pixels."""

    start: float
    end: float

    def __call__(self, share: float) -> float:
        """Return the pixel of a share."""
        return self.start + share * (self.end - self.start)


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Return ``<name …>children</name>``; text is escaped, Markup is kept; ``class_`` is written ``class``."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _number(value))
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, Markup("").join(escape(c) for c in children))


def drawing(width: float, height: float, label: str, *children: object) -> Markup:
    """Return an ``<svg>`` that scales with its column and is one picture, ``label``, to a screen reader."""
    return element("svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, class_="chart")


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def words(x: float, y: float, text: object, class_: str = "tick", anchor: str = "start") -> Markup:
    """Return a line of text whose baseline is at ``y``."""
    return element("text", text, x=x, y=y, class_=class_, text_anchor=anchor)


def path(points: list[tuple[float, float]], class_: str) -> Markup:
    """Return a line through points."""
    steps = " ".join(f"{'M' if i == 0 else 'L'}{_number(x)} {_number(y)}" for i, (x, y) in enumerate(points))
    return element("path", d=steps, class_=class_)


def _number(value: object) -> str:
    return f"{round(value, 2) + 0.0:g}" if isinstance(value, float) else str(value)
