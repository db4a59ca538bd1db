"""A table that is shown tells nothing of four patients."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright_server.federation.suppression import Table, shown_tables

CELLS = st.lists(st.one_of(st.just(0), st.integers(0, 8), st.integers(0, 60)), min_size=4, max_size=4)


def hidden(table: Table) -> list[tuple[int, int]]:
    return [(r, c) for r, row in enumerate(table) for c, cell in enumerate(row) if cell is None]


def test_a_count_below_five_is_hidden_and_not_alone() -> None:
    shown = shown_tables({0: [[20, 3], [9, 30]], 1: [[20, 12], [10, 30]]}, smallest=5)
    assert shown.sites[0] == [[20, None], [None, 30]]
    assert shown.pooled == [[40, 15], [19, 60]]
    assert (0, 1) in hidden(shown.sites[1]), "15 - 12 would be the three"


def test_a_table_of_large_counts_and_zeros_is_shown_whole() -> None:
    shown = shown_tables({0: [[20, 0], [9, 30]]}, smallest=5)
    assert shown.hidden == 0
    assert shown.sites[0] == shown.pooled == [[20, 0], [9, 30]]


def test_nothing_is_hidden_where_nothing_should_be() -> None:
    assert shown_tables({0: [[1, 2], [3, 4]]}, smallest=0).hidden == 0


@given(st.lists(CELLS, min_size=1, max_size=4), st.integers(2, 10))
@settings(deadline=None)
def test_no_small_count_is_shown_or_the_only_one_hidden(cells: list[list[int]], smallest: int) -> None:
    counts = {site: np.array(values).reshape(2, 2) for site, values in enumerate(cells)}
    shown = shown_tables(counts, smallest=smallest)
    for site, table in [*shown.sites.items(), (-1, shown.pooled)]:
        truth = counts[site] if site >= 0 else sum(counts.values())
        for r, c in itertools.product(range(2), range(2)):
            assert table[r][c] is None or table[r][c] == truth[r, c]
            assert table[r][c] is None or not 0 < truth[r, c] < smallest
        if len(hidden(table)) == 1:
            (r, c), others = hidden(table)[0], np.delete(truth.ravel(), 2 * hidden(table)[0][0] + hidden(table)[0][1])
            assert not others.any(), f"{r}, {c} is alone although others could have been hidden"
    for r, c in itertools.product(range(2), range(2)):
        gone = [site for site, table in shown.sites.items() if table[r][c] is None]
        assert len(gone) != 1 or shown.pooled[r][c] is None, "subtraction would find it"
