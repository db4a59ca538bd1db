"""Dealing patients: whoever deals, however, no group is ever parted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright_common.errors import InputError
from eyebright_simulations.partition import OPERATOR, deal

METHODS = st.sampled_from(["iid", "dirichlet:0.5", "dirichlet:50", "site"])


@st.composite
def collections(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[str]]:
    groups = draw(st.lists(st.integers(0, 60), min_size=80, max_size=200))
    labels = draw(st.lists(st.integers(0, 3), min_size=len(groups), max_size=len(groups)))
    sites = draw(st.lists(st.sampled_from(["north", "south"]), min_size=len(groups), max_size=len(groups)))
    return np.array(groups), np.array(labels), sites


@settings(deadline=None, max_examples=60)
@given(collections(), METHODS, st.integers(0, 9))
def test_a_group_is_held_by_exactly_one_place(
    collection: tuple[np.ndarray, np.ndarray, list[str]], method: str, seed: int
) -> None:
    groups, labels, sites = collection
    hospitals = None if method == "site" else 3
    try:
        dealt = deal(groups, labels, sites, method=method, hospitals=hospitals, operator_share=0.3, seed=seed)
    except InputError:
        return  # too few patients for three hospitals, or no draw filled them all: refused is fine, parted is not
    for group in np.unique(groups):
        assert len(np.unique(dealt.holder[groups == group])) == 1
    assert set(dealt.holder) <= set(range(-1, len(dealt.hospitals)))
    again = deal(groups, labels, sites, method=method, hospitals=hospitals, operator_share=0.3, seed=seed)
    np.testing.assert_array_equal(dealt.holder, again.holder)


def test_the_order_of_the_rows_does_not_matter_to_sites() -> None:
    groups = np.array([1, 1, 2, 3, 4, 5, 6, 7])
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    sites = ["a", "b", "a", "b", OPERATOR, OPERATOR, "a", "b"]
    kinds = {"method": "site", "hospitals": None, "operator_share": 0.3, "seed": 1}
    one = deal(groups, labels, sites, **kinds)
    turned = deal(groups[::-1].copy(), labels[::-1].copy(), sites[::-1], **kinds)
    np.testing.assert_array_equal(one.holder, turned.holder[::-1])
    assert one.hospitals == ("a", "b")


def test_a_site_called_operator_is_the_operators_share() -> None:
    sites = ["a"] * 4 + ["b"] * 4 + [OPERATOR] * 4
    dealt = deal(np.arange(12), np.arange(12) % 2, sites, method="site", hospitals=None, operator_share=0.5, seed=3)
    np.testing.assert_array_equal(dealt.holder, [0] * 4 + [1] * 4 + [-1] * 4)
    assert dealt.moved == 0


def test_pictures_that_leave_their_site_to_keep_a_group_whole_are_counted() -> None:
    groups = np.array([0, 0, 0, 1, 2, 3])
    sites = ["a", "a", "b", "b", OPERATOR, OPERATOR]
    dealt = deal(groups, np.zeros(6, dtype=np.int64), sites, method="site", hospitals=None, operator_share=0.5, seed=3)
    assert dealt.moved == 1


def test_a_small_alpha_skews_the_labels_more_than_a_large_one() -> None:
    labels = np.repeat(np.arange(4), 200)
    groups = np.arange(800)

    def skew(method: str) -> float:
        dealt = deal(groups, labels, [""] * 800, method=method, hospitals=4, operator_share=0.1, seed=5)
        share = np.array(
            [np.bincount(labels[dealt.holder == h], minlength=4) / (dealt.holder == h).sum() for h in range(4)]
        )
        return float(np.abs(share - 0.25).mean())

    assert skew("dirichlet:0.3") > 3 * skew("dirichlet:100")


@pytest.mark.parametrize(
    ("method", "hospitals", "message"),
    [
        ("random", 3, "Use site, iid or dirichlet:ALPHA"),
        ("dirichlet", 3, "positive ALPHA"),
        ("dirichlet:-1", 3, "positive ALPHA: -1"),
        ("dirichlet:nan", 3, "positive ALPHA: nan"),
        ("site", None, "no `site` column"),
        ("iid", 50, "at least 4 patients"),
    ],
)
def test_a_deal_that_cannot_be_made_says_why(method: str, hospitals: int | None, message: str) -> None:
    groups = np.arange(40)
    with pytest.raises(InputError, match=message):
        deal(groups, groups % 2, [""] * 40, method=method, hospitals=hospitals, operator_share=0.3, seed=1)
