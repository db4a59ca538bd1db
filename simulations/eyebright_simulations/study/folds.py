"""Who is held out, a fold or a site: whole groups, and validation taken from the training part.

* A group is a patient with every near-duplicate of his pictures. It is in one fold, and within a fold in one part.
* Folds are drawn from the groups, labels and seed alone. ``pictures`` puts the pictures in an order of their own first,
  so the same pictures in a shuffled manifest fall into the same folds.
* The test part of a fold is what nothing of that fold may learn from: not its teacher, not its students, not the
  temperatures. ``FoldParts`` cannot be made otherwise.
* The test part of a site is its pictures. A group that was at the site with even one picture is not learned from: its
  pictures elsewhere may show the same eye. They are in no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eyebright_common.errors import InputError
from eyebright_common.manifest import split_groups

VALIDATION_SHARE = 0.15

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What one student is tested on and did not learn from.

    Attributes:
        by: Whether a fold or a site is held out.
        number: Which one, counted from 0.
    """

    by: Literal["fold", "site"]
    number: int

    def __str__(self) -> str:
        return f"{self.by} {self.number + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldParts:
    """Positions of the pictures of one fold, or of one site against the others.

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
    train, validation = _learned_from(groups, labels, np.flatnonzero(fold_of != fold), entropy=[seed, fold])
    parts = FoldParts(groups=groups, train=train, validation=validation, test=np.flatnonzero(fold_of == fold))
    _check_sizes(parts, f"fold {fold + 1} would have", fix="Use more patients, or fewer --folds.")
    return parts


def site_parts(groups: Integers, labels: Integers, site_of: Integers, site: int, *, seed: int) -> FoldParts:
    """Return the parts when a site is held out; validation is a stratified share of the groups that were never there.

    Args:
        groups: Group of each picture, ``[N]``.
        labels: Class index of each picture, ``[N]``.
        site_of: Number of each picture's site, ``[N]``.
        site: The one held out.
        seed: Of the validation share.

    Raises:
        InputError: a part would have no picture.
    """
    there = site_of == site
    elsewhere = np.flatnonzero(~np.isin(groups, groups[there]))
    # A third number: site 0 must not share its draw with fold 0.
    train, validation = _learned_from(groups, labels, elsewhere, entropy=[seed, site, 1])
    parts = FoldParts(groups=groups, train=train, validation=validation, test=np.flatnonzero(there))
    _check_sizes(
        parts,
        f"with site {site + 1} (by name) held out there would be",
        fix="Use more patients of other sites; one with near-duplicates at several sites is not learned from.",
    )
    return parts


def spanning_groups(groups: Integers, site_of: Integers) -> Integers:
    """Return the groups that have pictures at more than one site."""
    pairs = np.unique(np.stack([groups, site_of]), axis=1)
    names, sites = np.unique(pairs[0], return_counts=True)
    return names[sites > 1]


def _learned_from(
    groups: Integers, labels: Integers, rest: Integers, *, entropy: Sequence[int]
) -> tuple[Integers, Integers]:
    """Divide what is not tested into positions for training and for validation."""
    part = split_groups(
        groups[rest],
        labels[rest],
        {"train": 1.0 - VALIDATION_SHARE, "validation": VALIDATION_SHARE},
        int(np.random.SeedSequence(entropy).generate_state(1)[0]),
    )
    return rest[part == "train"], rest[part == "validation"]


def _check_sizes(parts: FoldParts, start: str, *, fix: str) -> None:
    for name, least in (("train", 2), ("validation", 1), ("test", 1)):
        count = len(getattr(parts, name))
        if count < least:
            kind = "training" if name == "train" else name
            raise InputError(f"{start} {count} {kind} pictures; it needs at least {least}", fix=fix)
