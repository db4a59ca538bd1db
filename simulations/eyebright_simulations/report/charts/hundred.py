"""A rate as a hundred dots: of a hundred such pictures, so many."""

from __future__ import annotations

from markupsafe import Markup

from eyebright_simulations.report.charts.svg import drawing, element

_STEP, _RADIUS, _COLUMNS = 16.0, 5.4, 20


def hundred(share: float, *, label: str) -> Markup:
    """Return a hundred dots in rows of twenty, ``share`` of them filled, the others hollow."""
    filled = round(100 * share)
    rows = 100 // _COLUMNS
    dots = (
        element(
            "circle",
            cx=_STEP * (i % _COLUMNS + 0.5),
            cy=_STEP * (i // _COLUMNS + 0.5),
            r=_RADIUS,
            class_="full" if i < filled else "hollow",
        )
        for i in range(100)
    )
    return drawing(_STEP * _COLUMNS, _STEP * rows, label, *dots, class_="chart hundred")
