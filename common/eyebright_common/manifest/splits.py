"""Splitting pictures into train, validation and test without parting what belongs together.

Groups (a patient with every near-duplicate) go whole. In a seeded random order, larger groups first, each group goes
to the split that lacks most of the group's labels, measured in shares of what that split should get: the label mix of
every split follows the whole as closely as whole groups allow (greedy stratification after Sechidis et al. 2011).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eyebright_common.errors import InputError


def split_groups(
    groups: Sequence[int] | NDArray[np.int64],
    labels: Sequence[object] | NDArray[np.int64],
    fractions: Mapping[str, float],
    seed: int,
) -> NDArray[np.str_]:
    """Return the split of each picture, ``[N]``.

    Args:
        groups: Group of each picture.
        labels: Label of each picture.
        fractions: Split name → share; normalised to one.
        seed: Same seed, groups and labels: same split, in whatever order the groups are numbered within the data.

    Raises:
        InputError: no fraction is above zero, one is negative, or the lengths differ.
    """
    group_of = np.unique(np.asarray(groups), return_inverse=True)[1]
    label_of = np.unique(np.asarray(labels), return_inverse=True)[1]
    shares = _shares(fractions)
    if len(group_of) != len(label_of):
        raise InputError("groups and labels differ in length", value=f"{len(group_of)} and {len(label_of)}")
    if not len(group_of):
        return np.empty(0, dtype=np.str_)
    table = np.zeros((group_of.max() + 1, label_of.max() + 1))
    np.add.at(table, (group_of, label_of), 1.0)
    assigned = _assign(table, shares, np.random.default_rng(seed))
    return np.asarray(list(fractions))[assigned[group_of]]


def _shares(fractions: Mapping[str, float]) -> NDArray[np.float64]:
    values = np.asarray(list(fractions.values()), dtype=np.float64)
    if not len(values) or not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise InputError("split fractions must be positive", value=dict(fractions), fix="Give for example train=0.8.")
    return np.asarray(values / values.sum())


def _assign(
    table: NDArray[np.float64], shares: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.int64]:
    G = len(table)
    shuffled = generator.permutation(G)
    order = shuffled[np.argsort(-table.sum(axis=1)[shuffled], kind="stable")]
    wanted = shares[:, None] * table.sum(axis=0)[None, :]
    lacking = wanted.copy()
    assigned = np.zeros(G, dtype=np.int64)
    for group in order:
        # Per label, what share of its due a split still lacks; a split that is due nothing never asks.
        need = lacking / np.maximum(wanted, 1e-12) @ table[group]
        split = int(np.argmax(np.where(shares > 0, need, -np.inf)))
        assigned[group] = split
        lacking[split] -= table[group]
    return _without_empty(assigned, table.sum(axis=1), shares)


def _without_empty(
    assigned: NDArray[np.int64], sizes: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Give every split that is due something at least one group, where there are enough groups."""
    for split in np.flatnonzero(shares > 0):
        counts = np.bincount(assigned, minlength=len(shares))
        if counts[split] == 0 and counts.max() > 1:
            donors = np.flatnonzero(assigned == int(np.argmax(counts)))
            assigned[donors[int(np.argmin(sizes[donors]))]] = split
    return assigned
