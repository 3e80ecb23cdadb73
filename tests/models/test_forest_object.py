"""Compiled forests beside LightGBM: the same bits, whatever the trees ask and whatever the rows hold."""

from __future__ import annotations

import platform
import struct
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from numpy.typing import NDArray

from features.errors import KairosError, UsageError
from models.forest import UncompilableError, parsed_trees
from models.forest_object import compile_forest, load_forest, object_key, sealed, unsealed

COLUMNS = 7
CATEGORIES = (3, 4)
_RELA, _WHOLE_ADDRESS = 4, 1  # SHT_RELA; R_X86_64_64


def matrix(seed: int, rows: int) -> NDArray[np.float32]:
    """Numbers with ties and holes, zeros, a small and a large category."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    found[:, 1] = np.round(found[:, 1], 1)
    found[:, 2] = np.where(rng.random(rows) < 0.6, 0, found[:, 2])
    found[:, 3] = rng.integers(0, 4, rows)
    found[:, 4] = rng.integers(0, 90, rows)
    found[rng.random((rows, COLUMNS)) < 0.08] = np.nan
    return found


def grown(seed: int, trees: int = 30, **settings: Any) -> str:
    """The text of a booster that has to look at every column."""
    rows = matrix(seed, 1_500)
    clean = np.nan_to_num(rows, nan=-1.0)
    target = clean[:, 0] * clean[:, 1] + np.sin(clean[:, 4]) + (clean[:, 3] == 2) + np.abs(clean[:, 2])
    settings = {
        "num_leaves": 31,
        "min_data_in_leaf": 5,
        "min_data_per_group": 5,
        "cat_smooth": 1.0,
        "max_cat_to_onehot": 4,
        "num_threads": 1,
        "verbosity": -1,
        "seed": seed,
        "feature_fraction": 0.8,
        **settings,
    }
    data = lgb.Dataset(rows, target, categorical_feature=list(CATEGORIES), params=settings)
    return lgb.train(settings, data, trees).model_to_string()


def native(texts: list[str], rows: NDArray[Any]) -> NDArray[np.float64]:
    """The mean of LightGBM's own raw scores."""
    each = [lgb.Booster(model_str=text).predict(rows, num_threads=1, raw_score=True) for text in texts]
    return np.sum(each, axis=0, dtype=np.float64) / len(texts)


def extremes(texts: list[str], seed: int, dtype: Any = np.float32) -> NDArray[Any]:
    """Rows of every threshold and its neighbours, infinities, denormals, near-zeros and odd categories."""
    rng = np.random.default_rng(seed)
    special = [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        1e-45,
        -1e-45,
        1e-38,
        -1e-38,
        9e-36,
        1e-35,
        -1e-35,
        1.1e-35,
    ]
    special += [-0.5, -1.0, 1e9, -1e9, 3e38, -3e38, 2.0**31, 2.5, 89.9, 90.0, 1e5]
    rows = np.empty((3_000, COLUMNS), dtype=dtype)
    trees = [tree for text in texts for tree in parsed_trees(text)]
    for column in range(COLUMNS):
        asked = [tree.threshold[(tree.feature == column) & ~tree.is_category] for tree in trees]
        near = np.concatenate(asked).astype(dtype)
        with np.errstate(over="ignore"):
            pool = np.concatenate(
                [near, np.nextafter(near, dtype(np.inf)), np.nextafter(near, dtype(-np.inf))]
            )
        pool = np.concatenate([pool, np.repeat(np.array(special, dtype=dtype), 1 + len(pool) // 60)])
        rows[:, column] = rng.choice(pool, len(rows))
    for column in CATEGORIES:
        kept = rng.random(len(rows)) < 0.7
        rows[kept, column] = rng.integers(-2, 100, int(kept.sum()))
    return rows


FORESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "zero as missing": {"zero_as_missing": True},
    "no missing": {"use_missing": False},
    "monotone": {"monotone_constraints": [1, -1, 0, 0, 0, 1, 0], "monotone_constraints_method": "basic"},
    "two leaves": {"num_leaves": 2},
    "many leaves": {"num_leaves": 150, "trees": 6},
    "many thresholds": {"max_bin": 2_000, "min_data_in_bin": 1, "num_leaves": 120, "trees": 20},
    "one leaf": {"min_data_in_leaf": 5_000, "trees": 2},
}


@pytest.mark.parametrize("name", FORESTS)
def test_it_gives_the_same_bits_as_lightgbm(name: str) -> None:
    text = grown(1, **FORESTS[name])
    forest = load_forest(compile_forest([text], COLUMNS, np.float32))
    for rows in (matrix(2, 1_001), extremes([text], 3)):
        assert np.array_equal(forest.predict(rows), native([text], rows))


def test_many_thresholds_are_more_than_a_byte_can_rank() -> None:
    trees = parsed_trees(grown(1, **FORESTS["many thresholds"]))
    asked = [tree.threshold[tree.feature == 0] for tree in trees]
    assert len(np.unique(np.concatenate(asked))) > 254


def test_several_boosters_give_their_mean_by_rows_by_columns_and_by_threads() -> None:
    texts = [grown(seed, trees=12) for seed in (1, 2, 3)]
    forest = load_forest(compile_forest(texts, COLUMNS, np.float32))
    rows = np.concatenate([matrix(4, 40_000), extremes(texts, 5)])
    wanted = native(texts, rows)
    assert np.array_equal(forest.predict(rows, threads=2), wanted)
    assert np.array_equal(forest.predict(np.asfortranarray(rows), threads=3), wanted)
    assert np.array_equal(forest.predict(rows[::2]), wanted[::2])
    assert np.array_equal(forest.predict(rows[:1]), wanted[:1])
    assert len(forest.predict(rows[:0])) == 0


def test_double_precision_asks_the_exact_thresholds() -> None:
    text = grown(1)
    forest = load_forest(compile_forest([text], COLUMNS, np.float64))
    for rows in (matrix(2, 700).astype(np.float64), extremes([text], 3, np.float64)):
        assert np.array_equal(forest.predict(rows), native([text], rows))
    with pytest.raises(UsageError, match=r"matrix is float32 \(700, 7\), must be float64 \(rows, 7\)"):
        forest.predict(matrix(2, 700))


def test_what_only_lightgbm_can_predict_is_refused() -> None:
    text = grown(1, trees=2)
    for old, new, words in (
        ("num_tree_per_iteration=1", "num_tree_per_iteration=3", "num_tree_per_iteration == 3"),
        ("is_linear=0", "is_linear=1", "a leaf is a linear model"),
        ("\nTree=1", "\nWood=1", "1 trees in the text"),
        ("left_child=", "left_child=x ", "cannot be read"),
        ("\n\nTree=0", "\naverage_output\n\nTree=0", "averages its trees"),
    ):
        with pytest.raises(UncompilableError, match=words):
            compile_forest([text.replace(old, new)], COLUMNS, np.float32)
    with pytest.raises(UncompilableError, match="300 leaves, must have at most 256"):
        compile_forest([grown(1, trees=1, num_leaves=300, min_data_in_leaf=1)], COLUMNS, np.float32)


def test_a_seal_tells_damage_and_other_models() -> None:
    key, other = (object_key([text], COLUMNS, np.float32) for text in ("a", "b"))
    kept = sealed(b"\x7fELF...", key)
    assert unsealed(kept, key) == b"\x7fELF..."
    assert object_key(["a"], COLUMNS, np.float64) != key != other
    for broken, asked in ((kept, other), (kept[:-1], key), (kept[:40], key), (b"", key), (kept + b"x", key)):
        with pytest.raises(KairosError, match="damaged, or was made for another"):
            unsealed(broken, asked)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="relocations are numbered by processor")
def test_no_reference_is_too_short_for_a_large_process() -> None:
    """Code and tables may come to lie far apart; a 32-bit reference would abort the process at loading."""
    code = compile_forest([grown(1)], COLUMNS, np.float32)
    (sections,) = struct.unpack_from("<Q", code, 40)
    size, count = struct.unpack_from("<HH", code, 58)
    found = set()
    for number in range(count):
        header = struct.unpack_from("<IIQQQQIIQQ", code, sections + number * size)
        kind, offset, length, entry = header[1], header[4], header[5], header[9]
        if kind == _RELA:
            found |= {
                struct.unpack_from("<QQq", code, offset + at)[1] & 0xFFFFFFFF
                for at in range(0, length, entry)
            }
    assert found == {_WHOLE_ADDRESS}
