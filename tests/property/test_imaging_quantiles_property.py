"""Quantiles of bytes are counted, of other numbers sorted; NumPy is the reference for both."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright_common.imaging.quantiles import quantiles

_SHARES = (0.0, 0.1, 0.5, 0.75, 0.98, 1.0)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=60))
def test_quantiles_of_bytes_and_of_the_same_numbers_are_those_of_numpy(values):
    expected = pytest.approx(np.percentile(values, [100 * share for share in _SHARES]).tolist())
    assert quantiles(np.array(values, dtype=np.uint8), *_SHARES) == expected
    assert quantiles(np.array(values, dtype=np.float32), *_SHARES) == expected


@given(
    st.integers(4_000, 20_000), st.integers(0, 2**32 - 1), st.sampled_from(["spread", "rounded", "sorted", "spiked"])
)
@settings(max_examples=40)
def test_quantiles_of_many_numbers_are_those_of_a_sort_to_the_last_bit(size, seed, kind):
    values = np.random.default_rng(seed).exponential(size=size).astype(np.float32)
    if kind == "rounded":
        values = np.round(values, 1)
    elif kind == "sorted":
        values = np.sort(values)
    elif kind == "spiked":
        values[:: size // 1024] = 100.0  # all that a regular sample sees
    ordered = np.sort(values)
    for share, found in zip(_SHARES, quantiles(values, *_SHARES), strict=True):
        at = int(share * (size - 1))
        low, high = float(ordered[at]), float(ordered[min(at + 1, size - 1)])
        assert found == low + (high - low) * (share * (size - 1) - at)


@given(st.lists(st.integers(0, 255), min_size=4, max_size=40))
def test_every_other_column_of_a_picture_may_be_measured(values):
    picture = np.array(values[: len(values) // 2 * 2], dtype=np.uint8).reshape(-1, 2)
    assert quantiles(picture[:, 0], 0.5) == pytest.approx((float(np.median(picture[:, 0])),))
