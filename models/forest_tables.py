"""Trees as tables for a kernel that compares bytes of many rows at once, without following a branch.

A row's value becomes a byte: its rank among the thresholds that any tree asks of the feature. A node then
compares one byte of each row with a constant, whichever way the row goes elsewhere in the tree, and strikes
out the leaves that the answer rules out; the first leaf left is the row's.

Source:
    Lucchese et al., "QuickScorer: A Fast Algorithm to Rank Documents with Additive Ensembles of Regression
    Trees" (2015); Ye et al., "RapidScorer: Fast Tree Ensemble Evaluation by Maximizing Compactness in Data
    Level Parallelization" (2018). Ours differ: a node's sides are swapped where that strikes out fewer
    leaves, a category node tests a bit of a column of its own, and sums are LightGBM's to the last bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.forest import MISSING_NONE, Tree, UncompilableError

RANKS = 254
"""Thresholds a column of bytes can tell apart: ranks 0..254, and 255 for a missing value that goes right."""
MAX_LEAVES = 256
_MAX_CATEGORIES = 1 << 16
_UNREAD = -1

NUMBER = np.dtype(
    [(name, "<i4") for name in ("feature", "missing", "first", "count", "left_column", "right_column")]
)
CATEGORY = np.dtype([(name, "<i4") for name in ("feature", "values", "column", "columns", "lut")])
TREE = np.dtype([("octet", "<i4"), ("octets", "<i4"), ("leaf", "<i4")])
OCTET = np.dtype([(name, "<i4") for name in ("above", "below", "outside", "end")])
TEST = np.dtype([("column", "<i4"), ("constant", "i1"), ("strikes", "u1"), ("pad", "<i2")])


_Test = tuple[int, int, int, int]
"""A row of TEST."""


@dataclass(frozen=True)
class Tables:
    """What the kernel reads, in its order; a byte b is stored as the signed b - 128.

    Attributes:
        features: Columns a matrix must have.
        columns: Of bytes; the last one is written and never read.
        numbers: NUMBER rows: thresholds first .. first + count give the feature's rank; a missing value's
            byte is the least in `left_column` and the greatest in `right_column`.
        thresholds: Ascending within each of `numbers`.
        categories: CATEGORY rows: value v, or `values` for any other, has the bytes lut[v] of each column.
        lut: values + 1 bytes for each column of a category.
        boosters: Where each booster's trees begin among `trees`, and their number at the end.
        trees: TREE rows; a tree's leaves are the bits of its octets.
        octets: OCTET rows: where their tests begin, by kind, among `tests`.
        tests: TEST rows; `strikes` are the leaves ruled out where the column's byte is above the constant,
            not above it, or has no bit in common with it.
        leaves: Of each tree, in the order of the bits.
    """

    features: int
    columns: int
    numbers: NDArray[np.void]
    thresholds: NDArray[np.floating]
    categories: NDArray[np.void]
    lut: NDArray[np.uint8]
    boosters: NDArray[np.int32]
    trees: NDArray[np.void]
    octets: NDArray[np.void]
    tests: NDArray[np.void]
    leaves: NDArray[np.float64]


def tables_of(boosters: Sequence[Sequence[Tree]], features: int, dtype: type[np.floating]) -> Tables:
    """The tables of boosters whose sums are averaged, for matrices of `dtype`.

    Raises:
        UncompilableError: A tree has more leaves, or a category more values, than the tables can hold.
    """
    columns = _Columns([tree for booster in boosters for tree in booster], dtype)
    trees: list[tuple[int, ...]] = []
    octets: list[tuple[int, ...]] = []
    tests: list[_Test] = []
    leaves: list[NDArray[np.float64]] = []
    first_leaf = 0
    for tree in (tree for booster in boosters for tree in booster):
        if tree.leaves > MAX_LEAVES:
            raise UncompilableError(f"a tree has {tree.leaves} leaves, must have at most {MAX_LEAVES}.")
        order, by_octet = _tests(tree, columns)
        trees.append((len(octets), len(by_octet), first_leaf))
        for by_kind in by_octet:
            bounds = [len(tests)]
            for same_kind in by_kind:
                tests += same_kind
                bounds.append(len(tests))
            octets.append(tuple(bounds))
        leaves.append(tree.leaf_value[order])
        first_leaf += tree.leaves
    return Tables(
        features,
        columns.count + 1,
        np.array(columns.numbers, dtype=NUMBER),
        np.concatenate([*columns.thresholds, np.empty(0)]).astype(dtype),
        np.array(columns.categories, dtype=CATEGORY),
        np.concatenate([*columns.luts, np.empty(0, dtype=np.uint8)]),
        np.cumsum([0, *map(len, boosters)]).astype(np.int32),
        np.array(trees, dtype=TREE),
        np.array(octets, dtype=OCTET),
        np.array(tests, dtype=TEST),
        np.concatenate([*leaves, np.empty(0)]),
    )


def floors(values: NDArray[np.float64], dtype: type[np.floating]) -> NDArray[np.floating]:
    """The greatest number of `dtype` that is not above each value: x <= floor exactly where x <= value.

    Examples:
        >>> float(floors(np.array([0.1]), np.float32)[0]) <= 0.1 < float(np.float32(0.1))
        True
    """
    with np.errstate(over="ignore"):
        near = values.astype(dtype)
    return np.where(near > values, np.nextafter(near, dtype(-np.inf)), near)


class _Columns:
    """The columns of bytes that the trees ask for, and which column and constant a node compares."""

    def __init__(self, trees: Sequence[Tree], dtype: type[np.floating]) -> None:
        self.count = 0
        self.numbers: list[tuple[int, ...]] = []
        self.thresholds: list[NDArray[np.floating]] = []
        self.categories: list[tuple[int, ...]] = []
        self.luts: list[NDArray[np.uint8]] = []
        self.dtype = dtype
        self._ranked: dict[tuple[int, int], NDArray[np.floating]] = {}
        self._columns: dict[tuple[int, int, int, bool], int] = {}
        self._bits: dict[tuple[int, bytes, bool], tuple[int, int]] = {}
        self._add_numbers(trees)
        self._add_categories(trees)
        # Where a missing value goes one way only, the other way's bytes go to a column that nobody reads.
        self.numbers = [
            tuple(self.count if one == _UNREAD else one for one in about) for about in self.numbers
        ]

    def number(self, feature: int, missing: int, threshold: np.floating, goes_left: bool) -> tuple[int, int]:
        """(column, rank) so that a byte above the rank goes right."""
        chunk, rank = divmod(int(np.searchsorted(self._ranked[feature, missing], threshold)), RANKS)
        return self._columns[feature, missing, chunk, goes_left or missing == MISSING_NONE], rank

    def category(self, feature: int, values: NDArray[np.int64], is_outside: bool) -> tuple[int, int]:
        """(column, bit) so that a byte without the bit is outside the values, or inside if `is_outside`."""
        return self._bits[feature, values.tobytes(), is_outside]

    def _add_numbers(self, trees: Sequence[Tree]) -> None:
        asked: dict[tuple[int, int], list[float]] = defaultdict(list)
        directions: dict[tuple[int, int, float], set[bool]] = defaultdict(set)
        for tree in trees:
            floor = floors(tree.threshold, self.dtype)
            for node in np.flatnonzero(~tree.is_category).tolist():
                missing = int(tree.missing[node])
                key = (int(tree.feature[node]), missing)
                asked[key].append(floor[node])
                goes_left = bool(tree.goes_left_if_missing[node]) or missing == MISSING_NONE
                directions[(*key, floor[node])].add(goes_left)
        for (feature, missing), thresholds in sorted(asked.items()):
            ranked = np.unique(np.array(thresholds, dtype=self.dtype))
            self._ranked[feature, missing] = ranked
            for chunk, begin in enumerate(range(0, len(ranked), RANKS)):
                part = ranked[begin : begin + RANKS]
                needed = set().union(*(directions[feature, missing, one] for one in part))
                first = sum(map(len, self.thresholds))
                self.thresholds.append(part)
                left, right = (
                    self._new(feature, missing, chunk, way) if way in needed else _UNREAD
                    for way in (True, False)
                )
                self.numbers.append((feature, missing, first, len(part), left, right))

    def _new(self, feature: int, missing: int, chunk: int, goes_left: bool) -> int:
        self._columns[feature, missing, chunk, goes_left] = self.count
        self.count += 1
        return self.count - 1

    def _add_categories(self, trees: Sequence[Tree]) -> None:
        asked: dict[int, dict[tuple[bytes, bool], NDArray[np.int64]]] = defaultdict(dict)
        for tree in trees:
            for node in np.flatnonzero(tree.is_category).tolist():
                values = tree.value_sets[int(tree.threshold[node])]
                for is_outside in (False, True):
                    asked[int(tree.feature[node])][values.tobytes(), is_outside] = values
        for feature, sets in sorted(asked.items()):
            size = 1 + max((int(values.max(initial=-1)) for values in sets.values()), default=0)
            if size > _MAX_CATEGORIES:
                raise UncompilableError(f"category value {size - 1}, must be below {_MAX_CATEGORIES}.")
            inside = np.zeros((8 * -(-len(sets) // 8), size + 1), dtype=bool)
            for place, ((key, is_outside), values) in enumerate(sets.items()):
                inside[place, values] = True
                inside[place] ^= is_outside
                self._bits[feature, key, is_outside] = (self.count + place // 8, 1 << place % 8)
            lut = np.packbits(inside.reshape(-1, 8, size + 1), axis=1, bitorder="little")
            columns = len(inside) // 8
            self.categories.append((feature, size, self.count, columns, sum(map(len, self.luts))))
            self.luts.append(lut.reshape(-1))
            self.count += columns


def _tests(tree: Tree, columns: _Columns) -> tuple[list[int], list[tuple[list[_Test], ...]]]:
    """The leaves in the order of their bits, and each octet's tests by kind."""
    nodes = len(tree.feature)
    size = [1] * nodes  # leaves below; children come after their parents
    children = list(zip(tree.left.tolist(), tree.right.tolist(), strict=True))
    for node in range(nodes - 1, -1, -1):
        size[node] = sum(size[child] if child >= 0 else 1 for child in children[node])
    begin = [0] * nodes
    order = [0] * tree.leaves
    octets: list[tuple[list[_Test], ...]] = [([], [], []) for _ in range(-(-tree.leaves // 8))]
    floor = floors(tree.threshold, columns.dtype)
    for node in range(nodes):
        left, right = children[node]
        small, large = (size[child] if child >= 0 else 1 for child in (left, right))
        swapped = small > large
        first, second = (right, left) if swapped else (left, right)
        struck = min(small, large)
        for child, start in ((first, begin[node]), (second, begin[node] + struck)):
            if child >= 0:
                begin[child] = start
            else:
                order[start] = -child - 1
        feature = int(tree.feature[node])
        if tree.is_category[node]:
            values = tree.value_sets[int(tree.threshold[node])]
            column, constant = columns.category(feature, values, swapped)
            kind = 2
        else:
            way = bool(tree.goes_left_if_missing[node])
            column, rank = columns.number(feature, int(tree.missing[node]), floor[node], way)
            kind, constant = (1, rank + 1 - 128) if swapped else (0, rank - 128)
        for octet in range(begin[node] // 8, (begin[node] + struck - 1) // 8 + 1):
            low, high = max(begin[node] - 8 * octet, 0), min(begin[node] + struck - 8 * octet, 8)
            octets[octet][kind].append((column, (constant + 128) % 256 - 128, (1 << high) - (1 << low), 0))
    return order, octets
