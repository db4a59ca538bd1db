"""Parts of a data set by what is known about the pictures: where a good average may hide a bad part.

* A part with fewer groups (patients) than ``MIN_GROUPS`` is named, not measured: its figures would be noise that reads
  like a finding, and could describe one person.
* Pictures of which the fact is not known are a part of their own, ``unknown``.
* A fact that no picture carries is no stratification at all and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eyebright_learning.evaluation.cases import Integers, Mask

MIN_GROUPS = 20
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stratum:
    """One part.

    Attributes:
        by: The fact, e.g. ``camera``.
        name: Its value.
        images: Pictures in it.
        groups: Patients (with their near-duplicates) in it.
        measured: Whether there are enough of them.
        where: Which pictures, bool ``[N]``.
    """

    by: str
    name: str
    images: int
    groups: int
    measured: bool
    where: Mask


def strata(
    facts: Mapping[str, Sequence[str]], groups: Integers, *, min_groups: int = MIN_GROUPS
) -> tuple[Stratum, ...]:
    """Return the parts, fact by fact, largest first.

    Args:
        facts: Fact → its value for each picture, empty where unknown.
        groups: Group of each picture, ``[N]``.
        min_groups: Groups that a part needs to be measured.
    """
    found: list[Stratum] = []
    for by, values in facts.items():
        if any(values):
            named = np.asarray([value or UNKNOWN for value in values], dtype=np.str_)
            parts = [_stratum(by, str(name), named == name, groups, min_groups) for name in np.unique(named)]
            found += sorted(parts, key=lambda part: (-part.images, part.name))
    return tuple(found)


def _stratum(by: str, name: str, where: Mask, groups: Integers, min_groups: int) -> Stratum:
    count = len(np.unique(groups[where]))
    return Stratum(by=by, name=name, images=int(where.sum()), groups=count, measured=count >= min_groups, where=where)
