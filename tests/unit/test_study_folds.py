"""Folds of a study: whole groups, labels in proportion, the same whatever the order of the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright_common.errors import InputError
from eyebright_learning.data import PreparedImages
from eyebright_simulations.study.folds import FoldParts, assign_folds, fold_parts
from eyebright_simulations.study.pictures import in_own_order
from learning_pictures import striped_pictures

GROUPED = st.integers(3, 5).flatmap(
    lambda folds: st.tuples(
        st.just(folds),
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), min_size=60, max_size=120).filter(
            lambda rows: len({group for group, _ in rows}) >= 20
        ),
        st.integers(0, 1000),
    )
)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    groups, labels = np.array(rows, dtype=np.int64).T
    return groups, labels


@settings(max_examples=30)
@given(GROUPED)
def test_no_group_is_in_two_folds_and_every_picture_is_in_one(case: tuple[int, list[tuple[int, int]], int]) -> None:
    folds, rows, seed = case
    groups, labels = columns(rows)
    fold_of = assign_folds(groups, labels, folds=folds, seed=seed)
    assert set(fold_of.tolist()) == set(range(folds))
    for group in np.unique(groups):
        assert len(set(fold_of[groups == group].tolist())) == 1


@settings(max_examples=30)
@given(GROUPED)
def test_the_parts_of_a_fold_share_no_group_and_leave_no_picture_out(
    case: tuple[int, list[tuple[int, int]], int],
) -> None:
    folds, rows, seed = case
    groups, labels = columns(rows)
    fold_of = assign_folds(groups, labels, folds=folds, seed=seed)
    for fold in range(folds):
        parts = fold_parts(groups, labels, fold_of, fold, seed=seed)
        inside = [set(groups[part].tolist()) for part in (parts.train, parts.validation, parts.test)]
        assert sum(map(len, inside)) == len(set(groups.tolist()))
        together = np.sort(np.concatenate([parts.train, parts.validation, parts.test]))
        assert np.array_equal(together, np.arange(len(rows)))


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_the_same_seed_gives_the_same_folds_and_another_seed_others(seed: int) -> None:
    groups = np.arange(200) // 2
    labels = np.arange(200) % 4
    first = assign_folds(groups, labels, folds=5, seed=seed)
    assert np.array_equal(first, assign_folds(groups, labels, folds=5, seed=seed))
    assert not np.array_equal(first, assign_folds(groups, labels, folds=5, seed=seed + 1))


def test_every_fold_has_its_share_of_every_label() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(400), 2)
    labels = np.repeat(generator.choice(4, size=400, p=(0.5, 0.25, 0.15, 0.1)), 2)
    fold_of = assign_folds(groups, labels, folds=5, seed=1)
    for label in range(4):
        counts = np.bincount(fold_of[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 2


def test_a_part_that_holds_another_parts_patient_cannot_be_made() -> None:
    groups = np.array([0, 0, 1, 2])
    with pytest.raises(AssertionError, match="two parts"):
        FoldParts(groups=groups, train=np.array([0]), validation=np.array([2]), test=np.array([1, 3]))


def test_one_fold_is_refused() -> None:
    with pytest.raises(InputError, match="--folds must be at least 2: 1"):
        assign_folds(np.arange(9), np.arange(9) % 3, folds=1, seed=0)


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(InputError, match="3 groups of patients cannot fill 4 folds"):
        assign_folds(np.arange(9) // 3, np.arange(9) % 3, folds=4, seed=0)


def test_a_fold_without_training_pictures_is_refused() -> None:
    groups = np.array([0, 1])
    with pytest.raises(InputError, match="fold 1 would have"):
        fold_parts(groups, np.array([0, 1]), np.array([0, 1]), 0, seed=0)


def test_shuffled_rows_give_the_same_pictures_groups_and_folds() -> None:
    pictures = striped_pictures(24)
    shuffled = pictures.subset(np.random.default_rng(5).permutation(24))
    renumbered = PreparedImages.of(
        shuffled.pixels, shuffled.labels, patients=shuffled.patients, groups=(shuffled.groups * 7 + 3) % 97
    )
    one, other = (in_own_order(each, ("",) * 24)[0] for each in (pictures, renumbered))
    assert one.digests == other.digests
    assert np.array_equal(one.groups, other.groups)
    assert one.groups[0] == 0
    assert np.array_equal(
        assign_folds(one.groups, one.labels, folds=3, seed=2), assign_folds(other.groups, other.labels, folds=3, seed=2)
    )
