"""Quantiles of bytes are counted, of other numbers sorted; NumPy is the reference for both."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright_common.imaging.quantiles import quantiles

_SHARES = (0.0, 0.1, 0.5, 0.75, 0.98, 1.0)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=60))
def test_quantiles_of_bytes_and_of_the_same_numbers_are_those_of_numpy(values):
    expected = pytest.approx(np.percentile(values, [100 * share for share in _SHARES]).tolist())
    assert quantiles(np.array(values, dtype=np.uint8), *_SHARES) == expected
    assert quantiles(np.array(values, dtype=np.float32), *_SHARES) == expected


@given(st.lists(st.integers(0, 255), min_size=4, max_size=40))
def test_every_other_column_of_a_picture_may_be_measured(values):
    picture = np.array(values[: len(values) // 2 * 2], dtype=np.uint8).reshape(-1, 2)
    assert quantiles(picture[:, 0], 0.5) == pytest.approx((float(np.median(picture[:, 0])),))
