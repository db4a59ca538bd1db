"""What a unit tells of its days beside its state: counts with the small ones left out, and how the machine does.

* A cell is a count of zero, of ``suppressed_below`` or more, or None: more than zero and too few to tell, or left out
  to protect another. Reasons, cameras and answers are fixed words; anything else was counted as ``other``.
* No totals are sent: with one, a cell left out could be computed from the others. Where a single cell of a table would
  be left out, the next smallest is too, because another table of that day adds up to the same number of visits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from eyebright_common.documents import Document

MOST_DAYS = 14
Cell = Annotated[int, Field(ge=0, le=10**6)] | None
Cells = Annotated[dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,40}$")], Cell], Field(max_length=40)]


class DayCounts(Document):
    """One day of one unit.

    Attributes:
        day: Which, UTC.
        results: Visits by answer.
        reasons: Pictures by reason of their quality.
        cameras: Visits by camera: one the release was measured on by its name, ``other`` or ``unknown``.
        milliseconds: Pictures by how long the answer took; a bin is named by its upper bound.
    """

    day: date
    results: Cells
    reasons: Cells
    cameras: Cells
    milliseconds: Cells


class Telemetry(Document):
    """Days that the server has not acknowledged yet, oldest first.

    Attributes:
        suppressed_below: The smallest count that is told.
        golden_cases: On how many cases the active release was proven here.
        golden_flips: How many decisions changed in that proof.
        temperature_c: The warmest part of the machine now, whole degrees.
        days: At most two weeks; the rest comes with the next report.
    """

    format: Literal[1] = 1
    suppressed_below: Annotated[int, Field(ge=2, le=1000)]
    golden_cases: Annotated[int, Field(ge=0, le=10**6)] | None = None
    golden_flips: Annotated[int, Field(ge=0, le=10**6)] | None = None
    temperature_c: Annotated[int, Field(ge=-60, le=200)] | None = None
    days: Annotated[tuple[DayCounts, ...], Field(max_length=MOST_DAYS)] = ()


def suppressed(counts: Mapping[str, int], *, below: int) -> dict[str, int | None]:
    """Return counts as cells: those above zero and below ``below`` as None, and never one of them alone."""
    cells: dict[str, int | None] = {word: None if 0 < n < below else n for word, n in sorted(counts.items())}
    hidden = [word for word, cell in cells.items() if cell is None]
    told = sorted((cell, word) for word, cell in cells.items() if cell)
    if len(hidden) == 1 and told:
        cells[told[0][1]] = None
    return cells
