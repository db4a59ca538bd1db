"""Trained students to compare, all through the same engine with the same budget (ADR 0005).

An *arm* is a federation: which hospitals, with which recipe. Pooled training is a federation of one hospital that
holds everybody's pictures; a single hospital is a federation of one. So rounds, passes, schedule, initial weights and
the choice of the best round on validation pictures are the same in every arm, and one thing differs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FEDERATED, NO_DISTILLATION, POOLED = "federated", "no_distillation", "pooled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One federation to run.

    Attributes:
        name: Folder name, e.g. ``federated`` or ``local-2``.
        holders: For each site of this federation, the hospitals whose pictures it holds.
        distilled: Whether the teacher's terms are in the loss.
    """

    name: str
    holders: tuple[tuple[int, ...], ...]
    distilled: bool = True


def federated(hospitals: int) -> Arm:
    """The federation that this is all about."""
    return Arm(name=FEDERATED, holders=tuple((index,) for index in range(hospitals)))


def without_distillation(hospitals: int) -> Arm:
    """The same federation, on labels alone."""
    return replace(federated(hospitals), name=NO_DISTILLATION, distilled=False)


def pooled(hospitals: int) -> Arm:
    """What no hospital would allow: everybody's pictures in one place."""
    return Arm(name=POOLED, holders=(tuple(range(hospitals)),))


def single_hospitals(hospitals: int) -> tuple[Arm, ...]:
    """Every hospital alone."""
    return tuple(Arm(name=f"local-{index + 1}", holders=((index,),)) for index in range(hospitals))
