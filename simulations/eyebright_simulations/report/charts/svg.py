"""The smallest SVG writer that is safe: elements, escaped attributes and text, scales and ticks.

Colours, strokes and type sizes are classes, so that the page's style sheet decides them for light, dark and print.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup, escape


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight line from data to pixels: ``domain`` is laid over ``pixels``."""

    domain: tuple[float, float]
    pixels: tuple[float, float]

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; a domain without extent maps to the middle."""
        low, high = self.domain
        start, end = self.pixels
        share = 0.5 if high == low else (value - low) / (high - low)
        return start + share * (end - start)


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Return ``<name …>children</name>``; text is escaped, Markup is kept, an attribute that is None is left out.

    Args:
        name: The element's name.
        children: Text, numbers or Markup.
        attributes: ``stroke_width`` is written ``stroke-width``, ``class_`` is ``class``; floats get two decimals.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _number(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, Markup("").join(escape(c) for c in children))


def drawing(width: float, height: float, label: str, *children: object, class_: str = "chart") -> Markup:
    """Return an ``<svg>`` that scales with its column and is one picture, ``label``, to a screen reader."""
    return element(
        "svg",
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_number(width)} {_number(height)}",
        role="img",
        aria_label=label,
        class_=class_,
    )


def text(x: float, y: float, words: object, class_: str = "tick", anchor: str = "start") -> Markup:
    """Return a line of text whose baseline is at ``y``."""
    return element("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


def share_grid(x: Scale, top: float, bottom: float) -> list[Markup]:
    """Return upright lines at every quarter of 0–100 %, each named below the drawing's rows."""
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(element("line", x1=x(share), x2=x(share), y1=top, y2=bottom, class_="grid"))
        parts.append(text(x(share), bottom + 17, f"{share:.0%}", anchor="middle"))
    return parts


def path(points: list[tuple[float, float]], class_: str) -> Markup:
    """Return a line through points."""
    steps = " ".join(f"{'M' if i == 0 else 'L'}{_number(x)} {_number(y)}" for i, (x, y) in enumerate(points))
    return element("path", d=steps, class_=class_)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return about ``wanted`` round numbers within ``[low, high]``: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, wanted - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next((m for m in (1, 2, 5) if m * power >= rough * 0.999), 10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def apart(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions near ``wanted`` (any order, same order back) at least ``gap`` apart and, if they fit, inside."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed: list[float] = []
    for i in order:
        placed.append(max(wanted[i], low, placed[-1] + gap if placed else low))
    ceiling = high
    for k in range(len(placed) - 1, -1, -1):
        placed[k] = min(placed[k], ceiling)
        ceiling = placed[k] - gap
    result = [0.0] * len(wanted)
    for i, place in zip(order, placed, strict=True):
        result[i] = place
    return result


def _number(value: object) -> str:
    # Adding zero turns -0.0 into 0.0; six digits are more than a drawing of a thousand pixels needs.
    return f"{round(value, 2) + 0.0:g}" if isinstance(value, float) else str(value)
