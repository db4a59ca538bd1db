"""Cross-validation folds: whole groups, labels in proportion, and validation taken from the training part.

* A group is a patient with every near-duplicate of his pictures. It is in one fold, and within a fold in one part.
* Folds are drawn from the groups, labels and seed alone. ``pictures`` puts the pictures in an order of their own first,
  so the same pictures in a shuffled manifest fall into the same folds.
* The test part of a fold is what nothing of that fold may learn from: not its teacher, not its students, not the
  temperatures. ``FoldParts`` cannot be made otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyebright_common.errors import InputError
from eyebright_common.manifest import split_groups

VALIDATION_SHARE = 0.15

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldParts:
    """Positions of the pictures of one fold.

    Attributes:
        groups: Group of every picture of the study, ``[N]``.
        train: Positions to learn from.
        validation: Positions for temperatures.
        test: Positions to be predicted.
    """

    groups: Integers
    train: Integers
    validation: Integers
    test: Integers

    def __post_init__(self) -> None:
        parts = [set(self.groups[part].tolist()) for part in (self.train, self.validation, self.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)), "a group is in two parts of a fold"


def assign_folds(groups: Integers, labels: Integers, *, folds: int, seed: int) -> Integers:
    """Return the fold of every picture, ``[N]``, counted from 0.

    Args:
        groups: Group of each picture.
        labels: Class index of each picture.
        folds: How many.
        seed: Same seed, groups and labels: same folds.

    Raises:
        InputError: fewer than two folds, or fewer groups than folds.
    """
    if folds < 2:
        raise InputError("--folds must be at least 2", value=folds, fix="Five is usual.")
    count = len(np.unique(groups))
    if count < folds:
        raise InputError(
            f"{count} groups of patients cannot fill {folds} folds", fix="Use fewer --folds, or more patients."
        )
    shares = {str(fold): 1.0 for fold in range(folds)}
    return split_groups(groups, labels, shares, seed).astype(np.int64)


def fold_parts(groups: Integers, labels: Integers, fold_of: Integers, fold: int, *, seed: int) -> FoldParts:
    """Return the parts of one fold; validation is a stratified share of the groups that are not tested.

    Raises:
        InputError: a part would have no picture.
    """
    rest = np.flatnonzero(fold_of != fold)
    part = split_groups(
        groups[rest],
        labels[rest],
        {"train": 1.0 - VALIDATION_SHARE, "validation": VALIDATION_SHARE},
        int(np.random.SeedSequence([seed, fold]).generate_state(1)[0]),
    )
    train, validation, test = rest[part == "train"], rest[part == "validation"], np.flatnonzero(fold_of == fold)
    for name, positions, least in (("training", train, 2), ("validation", validation, 1), ("test", test, 1)):
        if len(positions) < least:
            raise InputError(
                f"fold {fold + 1} would have {len(positions)} {name} pictures; it needs at least {least}",
                fix="Use more patients, or fewer --folds.",
            )
    return FoldParts(groups=groups, train=train, validation=validation, test=test)
