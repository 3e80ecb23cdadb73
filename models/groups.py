"""Orders and places within many small groups of rows, by one number a row instead of several keys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]

_MOST = float(1 << 62)
_SPARSEST = 4  # times the rows that a table of them may hold


def best_first(group: Longs, score: NDArray[np.float64], item: Longs) -> Longs:
    """Row numbers by group, then falling score, then item; the order of the rows given does not matter.

    Where the rows of each group lie together, as scores do, each group is sorted for itself. Where they do
    not, a number that holds all three sorts six times as fast as three keys do.

    Args:
        group: At least 0.
        score: Finite.
        item: At least 0; the same item twice in a group is what no score can tell apart.

    Examples:
        >>> score = np.array([0.5, 0.1, 0.9, 0.5])
        >>> best_first(np.array([1, 0, 1, 1]), score, np.array([8, 7, 6, 5])).tolist()
        [1, 2, 3, 0]
    """
    if len(group) == 0:
        return np.zeros(0, dtype=np.int64)
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(np.append(begins, len(group)))
    by_group = np.argsort(group[begins], kind="stable")
    lie_together = bool(np.diff(group[begins][by_group]).all())
    if lie_together and len(size) * int(size.max()) <= _SPARSEST * len(group):
        return _best_of_each(begins[by_group], size[by_group], score, item)
    falling = np.argsort(-score)
    place = np.empty(len(score), dtype=np.int64)  # the same for equal scores
    place[falling] = np.append(0, np.cumsum(np.diff(score[falling]) != 0.0))
    places, items = int(place[falling[-1]]) + 1, int(item.max()) + 1
    if float(int(group.max()) + 1) * places * items > _MOST:
        return np.lexsort([item, place, group])
    return np.argsort((group * places + place) * items + item)


def _best_of_each(first: Longs, size: Longs, score: NDArray[np.float64], item: Longs) -> Longs:
    """As `best_first`, of groups that each lie in one run of rows: a table has a row for each of them."""
    group = np.repeat(np.arange(len(size)), size)
    place = np.arange(len(group)) - np.repeat(np.cumsum(size) - size, size)
    rows = rows_between(first, first + size)
    table = np.full((len(size), int(size.max())), np.inf)
    table[group, place] = -score[rows]
    order = np.argsort(table, axis=1)[np.arange(table.shape[1]) < size[:, None]] + np.repeat(first, size)
    # Equal scores are few and side by side by now: only their groups are put in order by item as well.
    equal = (np.diff(score[order]) == 0.0) & (np.diff(group) == 0)
    if equal.any():
        again = np.flatnonzero(np.isin(group, group[1:][equal]))
        own = order[again]
        order[again] = own[np.lexsort([item[own], -score[own], group[again]])]
    return order


def _is_ascending(group: Longs) -> bool:
    return bool((group[1:] >= group[:-1]).all())


def place_within(group: Longs) -> Longs:
    """How many earlier rows are of each row's group.

    Args:
        group: At least 0, and in all less than 2**62 divided by the number of rows.

    Examples:
        >>> place_within(np.array([7, 3, 7, 7, 3])).tolist()
        [0, 0, 1, 2, 1]
    """
    count = len(group)
    if _is_ascending(group):
        begins = np.flatnonzero(np.diff(group, prepend=-1))
        return np.arange(count) - np.repeat(begins, np.diff(np.append(begins, count)))
    rows = np.sort(group * count + np.arange(count)) if count else group
    by_group, row = np.divmod(rows, max(count, 1))
    begins = np.flatnonzero(np.diff(by_group, prepend=-1))
    place = np.empty(count, dtype=np.int64)
    place[row] = np.arange(count) - np.repeat(begins, np.diff(np.append(begins, count)))
    return place


def rows_between(first: Longs, last: Longs) -> Longs:
    """The row numbers of every range [first, last), one range after the other.

    Examples:
        >>> rows_between(np.array([0, 7]), np.array([2, 10])).tolist()
        [0, 1, 7, 8, 9]
    """
    size = last - first
    begins = np.repeat(first - (np.cumsum(size) - size), size)
    return np.asarray(np.arange(len(begins)) + begins)
