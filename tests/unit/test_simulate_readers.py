"""Single readers: where they err, how often, and where they never do."""

import numpy as np

from eyebright_simulations.network.readers import MISREAD_SHARE, misread

TRUTH = np.arange(8000) % 4
READABLE = np.arange(8000) < 4000


def test_readers_err_as_often_as_said_and_only_where_they_read():
    read, wrong = misread(TRUTH, READABLE, classes=4, seed=1)
    assert np.array_equal(read[~READABLE], TRUTH[~READABLE])
    assert wrong == int((read != TRUTH).sum())
    assert abs(wrong / 4000 - MISREAD_SHARE) < 0.02


def test_a_mistake_misses_a_disease_or_imagines_one_and_never_swaps_two():
    read, _ = misread(TRUTH, READABLE, classes=4, seed=1)
    changed = read != TRUTH
    assert set(read[changed & (TRUTH > 0)]) == {0}
    assert set(read[changed & (TRUTH == 0)]) == {1, 2, 3}


def test_same_seed_same_mistakes():
    first, again, other = (misread(TRUTH, READABLE, classes=4, seed=seed)[0] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
