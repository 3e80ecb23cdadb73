"""LightGBM's model text as arrays: what a prediction needs of it, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from features.errors import KairosError

MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2

Int32s = NDArray[np.int32]
_Kind = TypeVar("_Kind", np.int32, np.float64)


class UncompilableError(KairosError):
    """A model with something that only LightGBM itself can predict; the message names it."""


@dataclass(frozen=True)
class Tree:
    """One tree; child n >= 0 is inner node n, child -n - 1 is leaf n.

    Attributes:
        feature, threshold, left, right: Of each inner node; a category node's threshold is its place among
            `value_sets`.
        is_category, goes_left_if_missing, missing: Of each inner node; `missing` is what counts as missing.
        leaf_value: Of each leaf.
        value_sets: The category values that go left, of each category node.
    """

    feature: Int32s
    threshold: NDArray[np.float64]
    left: Int32s
    right: Int32s
    is_category: NDArray[np.bool_]
    goes_left_if_missing: NDArray[np.bool_]
    missing: Int32s
    leaf_value: NDArray[np.float64]
    value_sets: tuple[NDArray[np.int64], ...]

    @property
    def leaves(self) -> int:
        """How many there are."""
        return len(self.leaf_value)


def parsed_trees(text: str) -> tuple[Tree, ...]:
    """The trees of a LightGBM model text, in the order their leaves are added up.

    Raises:
        UncompilableError: It is no sum of plain trees, or not a text at all.

    Source:
        LightGBM, src/boosting/gbdt_model_text.cpp and src/io/tree.cpp.
    """
    head, *parts = text.partition("\nend of trees")[0].split("\nTree=")
    about = _fields(head)
    if about.get("num_tree_per_iteration") != "1":
        raise UncompilableError(
            f"num_tree_per_iteration == {about.get('num_tree_per_iteration')}, must be 1."
        )
    if "average_output" in head.splitlines():
        raise UncompilableError("the model averages its trees, must add them up.")
    if not parts or len(parts) != len(about.get("tree_sizes", "").split()):
        raise UncompilableError(f"{len(parts)} trees in the text, which tells of other ones.")
    try:
        return tuple(_tree(_fields(part)) for part in parts)
    except (KeyError, ValueError) as error:
        raise UncompilableError(f"the model text cannot be read: {error!r}.") from error


def _fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _tree(fields: Mapping[str, str]) -> Tree:
    if int(fields.get("is_linear", "0")):
        raise UncompilableError("a leaf is a linear model, must be a number.")
    leaves, categories = int(fields["num_leaves"]), int(fields["num_cat"])
    nodes = leaves - 1
    kind = _numbers(fields, "decision_type", np.int32, nodes)
    missing = (kind >> 2) & 3
    left, right = (_numbers(fields, name, np.int32, nodes) for name in ("left_child", "right_child"))
    for child in (left, right):
        if ((child >= 0) & (child <= np.arange(nodes))).any() or (child >= nodes).any():
            raise UncompilableError("a child comes before its parent.")
        if (child < -leaves).any():
            raise UncompilableError("a child is a leaf that there is not.")
    return Tree(
        _numbers(fields, "split_feature", np.int32, nodes),
        _numbers(fields, "threshold", np.float64, nodes),
        left,
        right,
        (kind & 1).astype(bool),
        (kind & 2).astype(bool),
        missing,
        _numbers(fields, "leaf_value", np.float64, leaves),
        _value_sets(fields) if categories else (),
    )


def _numbers(fields: Mapping[str, str], name: str, kind: type[_Kind], count: int) -> NDArray[_Kind]:
    found = np.array(fields[name].split() if count else [], dtype=kind)
    if len(found) != count:
        raise UncompilableError(f"{name} holds {len(found)} values, must be {count}.")
    return found


def _value_sets(fields: Mapping[str, str]) -> tuple[NDArray[np.int64], ...]:
    bounds = np.array(fields["cat_boundaries"].split(), dtype=np.int64)
    words = np.array(fields["cat_threshold"].split(), dtype=np.uint32)
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
    return tuple(np.flatnonzero(bits[32 * begin : 32 * end]) for begin, end in pairwise(bounds))
