"""What a model loses at a site that it has never seen."""

from __future__ import annotations

import numpy as np
import pytest

from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_learning.audit import leave_one_site_out_drop
from eyebright_learning.evaluation import Cases

FUNDUS = get_task("fundus")
SITES = ["a"] * 100 + ["b"] * 60 + ["c"] * 4
LABELS = np.arange(164) % 2


def answers(wrong: np.ndarray) -> Cases:
    """Cases with the right answer except where ``wrong``."""
    p = np.eye(4)[np.where(wrong, 1 - LABELS, LABELS)]
    return Cases.of(p, LABELS, groups=np.arange(164) // 2, task=FUNDUS)


def test_the_drop_is_the_difference_at_each_site() -> None:
    index = np.arange(164)
    pooled, held_out = answers(index < 10), answers((index < 10) | ((index >= 100) & (index < 130)))
    everywhere, a, b, c = leave_one_site_out_drop(pooled, held_out, SITES, statistic="accuracy", replicates=200)
    assert (everywhere.site, everywhere.images, everywhere.groups) == ("all sites", 164, 82)
    assert everywhere.drop.value == pytest.approx(30 / 164)
    assert (a.drop.value, a.drop.excludes_zero) == (0.0, False)
    assert (b.pooled.value, b.held_out.value, b.drop.value) == (1.0, 0.5, 0.5)
    assert b.drop.excludes_zero
    assert b.drop.interval.lower < 0.5 < b.drop.interval.upper
    assert (c.site, c.groups, c.drop) == ("c", 2, None)


def test_a_model_that_needs_no_site_loses_nothing() -> None:
    same = answers(np.arange(164) % 7 == 0)
    for found in leave_one_site_out_drop(same, same, SITES, replicates=50)[:3]:
        assert (found.drop.value, found.drop.interval.lower, found.drop.interval.upper) == (0.0, 0.0, 0.0)


def test_pictures_without_a_site_or_in_another_order_are_refused() -> None:
    cases = answers(np.zeros(164, dtype=bool))
    with pytest.raises(InputError, match="every picture needs a site: 163 of 164"):
        leave_one_site_out_drop(cases, cases, ["", *SITES[1:]])
    with pytest.raises(InputError, match="the same cases"):
        leave_one_site_out_drop(cases, cases.part(np.arange(100)), SITES)
