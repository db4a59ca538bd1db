"""Who labelled the drawn pictures: a panel for the operator and for every test patient, one reader at a hospital.

A drawn label is the truth. A hospital whose training labels were all true would have little to learn from a teacher
that is right nine times in ten; no hospital is like that. So one picture in eight of a hospital's training and
validation parts carries the label of a reader who missed a disease, or saw one that is not there (docs/adr/0021). Test
patients keep the truth: what is measured is whether a student learned the disease or its readers' mistakes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MISREAD_SHARE = 0.125


def misread(
    labels: NDArray[np.int64], readable: NDArray[np.bool_], *, classes: int, seed: int
) -> tuple[NDArray[np.int64], int]:
    """Return what single readers wrote, and how many times they were wrong.

    Args:
        labels: The truth, class indices ``[N]``; class 0 is the healthy one.
        readable: ``[N]``, which pictures had one reader only.
        classes: Number of classes.
        seed: Of the mistakes.
    """
    rng = np.random.default_rng((seed, 0x5EAD))
    wrong = (rng.random(len(labels)) < MISREAD_SHARE) & readable
    imagined = rng.integers(1, classes, len(labels))
    return np.where(wrong, np.where(labels == 0, imagined, 0), labels).astype(np.int64), int(wrong.sum())
