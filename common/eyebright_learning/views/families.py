"""Families of views, by the name that a training, a plan and a teacher cache know them by.

* A name stands for pixels, for ever: whoever changes what a view of a family looks like gives the family a new name.
* ``views-1`` are the mild views. The others put RandAugment's operations on top of the mild view of the same number:
  N = 2 at magnitude 9 for teachers and 7 for students, as the OCT recipe has them.
"""

from __future__ import annotations

from eyebright_common.errors import InputError
from eyebright_learning.views.rand_augment import RandAugment

AUGMENTATION_ID = "views-1"
STRONG_TEACHER = "rand-augment-2-9-1"
STRONG_STUDENT = "rand-augment-2-7-1"

FAMILIES: dict[str, RandAugment | None] = {
    AUGMENTATION_ID: None,
    STRONG_TEACHER: RandAugment(count=2, magnitude=9),
    STRONG_STUDENT: RandAugment(count=2, magnitude=7),
}


def get_family(name: str) -> RandAugment | None:
    """Return what a family puts on top of its mild views; None for nothing.

    Raises:
        InputError: no family has that name.
    """
    if name not in FAMILIES:
        raise InputError("unknown family of views", value=name, fix=f"Choose one of: {', '.join(FAMILIES)}.")
    return FAMILIES[name]
