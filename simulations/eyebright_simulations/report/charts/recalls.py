"""Recall of each class, every arm a shape of its own on the class's line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from eyebright_simulations.report.charts.marks import mark
from eyebright_simulations.report.charts.svg import Scale, drawing, element, share_grid, text
from eyebright_simulations.report.evidence import ArmName
from eyebright_simulations.report.words import ARM_TITLES, MISSING, percent, plain

_WIDTH, _ROW, _TOP, _LEFT, _RIGHT = 480.0, 40.0, 10.0, 142.0, 26.0


def recall_dots(classes: Sequence[str], recall: Mapping[ArmName, Mapping[str, float | None]], *, label: str) -> Markup:
    """Return the picture.

    Args:
        classes: Class names in logit order.
        recall: For each arm, recall by class; None where the class has no pictures.
        label: What the picture shows, for a screen reader.
    """
    bottom = _TOP + _ROW * len(classes)
    x = Scale((0.0, 1.0), (_LEFT, _WIDTH - _RIGHT))
    parts = share_grid(x, _TOP, bottom)
    parts += [_row(name, recall, x, _TOP + _ROW * (row + 0.5)) for row, name in enumerate(classes)]
    return drawing(_WIDTH, bottom + 40, label, *parts)


def _row(name: str, recall: Mapping[ArmName, Mapping[str, float | None]], x: Scale, y: float) -> Markup:
    known = {arm: value for arm, by_class in recall.items() if (value := by_class.get(name)) is not None}
    parts = [text(_LEFT - 10, y + 4, plain(name), class_="name", anchor="end")]
    if not known:
        return parts[0] + text(_LEFT + 6, y + 4, f"{MISSING} no such pictures", class_="note")
    ends = x(min(known.values())), x(max(known.values()))
    parts.append(element("line", x1=ends[0], x2=ends[1], y1=y, y2=y, class_="span"))
    # The student last, so that it lies on top where arms agree.
    parts += [
        mark(arm, x(known[arm]), y, f"{ARM_TITLES[arm]}, {plain(name)}: {percent(known[arm])}")
        for arm in sorted(known, key=lambda a: a is ArmName.STUDENT)
    ]
    return Markup("").join(parts)
