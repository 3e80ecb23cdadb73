"""Orders within groups: the fast way gives what sorting by every key gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.groups import best_first, place_within, rows_between


@given(
    st.integers(0, 200),
    st.integers(0, 10_000),
    st.sampled_from([1, 7, 1 << 40]),
    st.sampled_from(["mixed", "together", "ascending"]),
)
def test_best_first_is_the_order_of_all_three_keys(count, seed, span, lie):
    rng = np.random.default_rng(seed)
    group, item = rng.integers(0, 5, count), rng.integers(0, span, count)
    if lie != "mixed":
        group = np.sort(group) if lie == "ascending" else np.array([3, 0, 9, 1, 6])[np.sort(group)]
    score = rng.standard_normal(count).round(1)  # ties
    expected = np.lexsort([item, -score, group])
    found = best_first(group, score, item)
    assert np.array_equal(group[found], group[expected])
    assert np.array_equal(score[found], score[expected])
    assert np.array_equal(item[found], item[expected])


@given(st.lists(st.integers(0, 4)))
def test_place_counts_earlier_rows_of_the_group(groups):
    expected = [groups[:row].count(group) for row, group in enumerate(groups)]
    assert place_within(np.array(groups, dtype=np.int64)).tolist() == expected


@pytest.mark.parametrize("sizes", [[], [0, 0], [3, 0, 2]])
def test_rows_between_skips_empty_ranges(sizes):
    first = np.array([10 * number for number in range(len(sizes))], dtype=np.int64)
    expected = [begin + step for begin, size in zip(first, sizes, strict=True) for step in range(size)]
    assert rows_between(first, first + np.array(sizes, dtype=np.int64)).tolist() == expected
