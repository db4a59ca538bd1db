"""Context and targets: apart, within the grid, stackable, enough left to see, the same from the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright_common.errors import InputError
from eyebright_learning.pretraining import Masks, MaskSampling, sample_masks

PAPER = MaskSampling()
GRIDS = st.sampled_from([6, 8, 12, 14])


def drawn(grid: int, count: int, seed: int, sampling: MaskSampling = PAPER) -> Masks:
    return sample_masks(sampling, grid=grid, count=count, generator=np.random.default_rng(seed))


def is_block(positions: np.ndarray, grid: int) -> tuple[int, int]:
    """Return the sides of a filled rectangle, or fail."""
    rows, columns = np.unravel_index(positions, (grid, grid))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height * width == len(set(positions.tolist())) == len(positions)
    return int(height), int(width)


@given(GRIDS, st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_what_is_to_be_predicted_is_never_seen(grid: int, count: int, seed: int) -> None:
    masks = drawn(grid, count, seed)
    for seen, targets in zip(masks.context, masks.targets, strict=True):
        assert not set(seen.tolist()) & set(targets.ravel().tolist())


@given(GRIDS, st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_patches_are_of_the_grid_and_none_comes_twice(grid: int, count: int, seed: int) -> None:
    masks = drawn(grid, count, seed)
    assert masks.context.shape[0] == masks.targets.shape[0] == count
    for rows in (masks.context, masks.targets.reshape(count * 4, -1)):
        assert rows.min() >= 0
        assert rows.max() < grid * grid
        assert (np.diff(rows, axis=1) > 0).all()


@given(GRIDS, st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_enough_is_always_left_to_see(grid: int, count: int, seed: int) -> None:
    assert drawn(grid, count, seed).context.shape[1] >= PAPER.minimum_kept


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_enough_is_left_even_where_four_targets_rarely_leave_it(count: int, seed: int) -> None:
    greedy = replace(PAPER, minimum_kept=24)  # of 36 patches, with targets of six or so
    assert drawn(6, count, seed, greedy).context.shape[1] >= 24


@given(GRIDS, st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_targets_are_rectangles_of_one_size_shorter_than_the_grid(grid: int, count: int, seed: int) -> None:
    sizes = {is_block(target, grid) for target in drawn(grid, count, seed).targets.reshape(count * 4, -1)}
    assert len(sizes) == 1
    assert max(sizes.pop()) < grid


@given(st.integers(0, 2**32 - 1))
def test_a_target_on_14_by_14_has_the_published_size(seed: int) -> None:
    height, width = is_block(drawn(14, 1, seed).targets[0, 0], 14)
    # Sides are rounded to whole patches: half a patch either way of area 0.15–0.20 and aspect 0.75–1.5.
    assert (height - 0.5) * (width - 0.5) <= 0.20 * 196
    assert (height + 0.5) * (width + 0.5) >= 0.15 * 196
    assert (height - 0.5) / (width + 0.5) <= 1.5
    assert (height + 0.5) / (width - 0.5) >= 0.75


@given(GRIDS, st.integers(0, 2**32 - 1))
def test_the_same_seed_gives_the_same_masks(grid: int, seed: int) -> None:
    a, b = drawn(grid, 4, seed), drawn(grid, 4, seed)
    assert np.array_equal(a.context, b.context)
    assert np.array_equal(a.targets, b.targets)


def test_positions_differ_between_pictures() -> None:
    targets = drawn(14, 8, 0).targets
    assert len({target.tobytes() for target in targets}) == 8


def test_every_patch_is_seen_and_asked_for_in_the_long_run() -> None:
    context, targets = np.zeros(36), np.zeros(36)
    generator = np.random.default_rng(0)
    for _ in range(200):
        masks = sample_masks(PAPER, grid=6, count=8, generator=generator)
        context += np.bincount(masks.context.ravel(), minlength=36)
        targets += np.bincount(masks.targets.ravel(), minlength=36)
    assert context.min() > 0
    assert targets.min() > 0
    # Cutting contexts to one length must not prefer an edge: the upper and lower half are seen equally often.
    assert context[:18].sum() == pytest.approx(context[18:].sum(), rel=0.03)


@pytest.mark.parametrize("grid", [1, 2, 3])
def test_a_grid_without_room_is_refused_with_the_knob(grid: int) -> None:
    with pytest.raises(InputError, match="minimum_kept"):
        drawn(grid, 2, 0)


@pytest.mark.parametrize(
    ("knob", "value"),
    [("targets", 0), ("minimum_kept", 0), ("target_scale", (0.3, 0.2)), ("context_scale", (0.5, 1.2))],
)
def test_sampling_that_cannot_be_is_refused_by_its_knob(knob: str, value: object) -> None:
    with pytest.raises(InputError, match=knob):
        replace(PAPER, **{knob: value})
