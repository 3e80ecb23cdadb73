"""Drift is told where there is some, not told where there is none, and the page needs no network."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from features.errors import KairosError
from monitoring.drift import DriftCheck, DriftParams, drift_report, standard_checks
from monitoring.drift_values import comparable, values_of

ROWS = 3_000


def market(seed: int, shift: float = 0.0, kinds: tuple[float, ...] = (0.6, 0.3, 0.1)) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "price": rng.normal(3.0 + shift, 1.0, ROWS),
            "rate": rng.exponential(1.0, ROWS),
            "kind": rng.choice(["none", "display", "mailer"], ROWS, p=kinds),
            "gap": np.where(rng.random(ROWS) < 0.2, np.nan, rng.gamma(2.0, 5.0, ROWS)),
            "zero": np.zeros(ROWS),
            "share": rng.normal(1.0, 0.2, ROWS) * 1e-4,
            "weekend": rng.random(ROWS) < 0.3,
            "sparse": np.nan,
        }
    )


CHECKS = standard_checks(market(0), market(0).columns)


def by_name(result, method: str | None = None) -> dict[str, str]:
    """Column -> verdict of its distribution check, or of the given method."""
    wanted = [
        one for one in result.columns if (one.method == method if method else one.method != "null_share")
    ]
    return {one.name: one.verdict for one in wanted}


@pytest.fixture(scope="module")
def same():
    return drift_report(market(1), market(2), CHECKS)


@pytest.fixture(scope="module")
def shifted():
    moved = market(2, shift=1.0, kinds=(0.2, 0.3, 0.5)).assign(share=lambda frame: frame["share"] * 3)
    moved.loc[: ROWS // 2, "gap"] = np.nan
    moved.loc[:200, "zero"] = 1.0
    return drift_report(market(1), moved, CHECKS)


def test_the_same_distribution_passes(same):
    assert same.verdict == "pass" and same.failed_columns == ()
    assert {one.verdict for one in same.columns} == {"pass"}
    assert len(same.columns) == len(CHECKS)
    assert all(np.isfinite(one.value) and one.value >= 0 for one in same.columns)


def test_shifts_are_told_column_by_column(shifted):
    verdicts = by_name(shifted)
    assert shifted.verdict == "fail"
    assert {"price", "kind", "share"} <= {name for name, verdict in verdicts.items() if verdict == "fail"}
    assert verdicts["rate"] == verdicts["weekend"] == verdicts["sparse"] == "pass"
    assert by_name(shifted, "null_share")["gap"] == "fail"
    assert verdicts["zero"] == "warn"  # a few rows left a constant: drifted, but no earthquake
    assert any(words.startswith("price wasserstein 0.955 >= 0.5") for words in shifted.failed_columns)


def test_values_are_those_of_the_textbook(shifted):
    values = {(one.name, one.method): one.value for one in shifted.columns}
    assert values["price", "wasserstein"] == pytest.approx(1.0, abs=0.1)
    assert values["gap", "null_share"] == pytest.approx(0.4, abs=0.03)


def test_the_same_call_gives_the_same_values(same):
    again = drift_report(market(1), market(2), CHECKS)
    assert again.columns == same.columns


def test_a_column_that_does_not_gate_only_warns():
    checks = (DriftCheck("price", "wasserstein", gating=False), DriftCheck("rate", "wasserstein"))
    result = drift_report(market(1), market(2, shift=2.0), checks)
    assert result.verdict == "warn" and by_name(result) == {"price": "warn", "rate": "pass"}


def test_many_small_drifts_fail_together():
    checks = tuple(DriftCheck(name, "wasserstein", 0.2, 9.0) for name in ("price", "rate"))
    moved = market(2, shift=0.5)
    assert drift_report(market(1), moved, checks).verdict == "fail"
    assert drift_report(market(1), moved, checks, params=DriftParams(max_drifted_share=0.5)).verdict == "warn"


def test_columns_without_values_are_told_apart():
    checks = (DriftCheck("sparse", "wasserstein"), DriftCheck("price", "wasserstein"))
    assert drift_report(market(1), market(2), checks[:1]).verdict == "pass"
    emptied = drift_report(market(1), market(2).assign(price=np.nan), checks)
    assert emptied.verdict == "fail" and "null throughout now" in emptied.failed_columns[0]


def test_one_column_may_be_measured_twice():
    checks = (DriftCheck("price", "psi"), DriftCheck("price", "wasserstein"), DriftCheck("kind", "psi"))
    result = drift_report(market(1), market(2, shift=1.0), checks)
    assert [one.method for one in result.columns] == ["psi", "wasserstein", "psi"]
    assert [one.verdict for one in result.columns] == ["fail", "fail", "pass"]


def test_samples_are_bounded_and_large_frames_keep_their_row_counts():
    big = pd.concat([market(seed) for seed in range(4)], ignore_index=True)
    result = drift_report(big, big[::-1], (DriftCheck("price", "wasserstein"),), sample_rows=1_000)
    assert result.rows_reference == 4 * ROWS and result.verdict == "pass"


def test_new_infinite_and_rare_values_are_handled():
    rng = np.random.default_rng(0)
    before = pd.DataFrame(
        {"city": rng.choice([f"c{n}" for n in range(200)], ROWS), "ratio": rng.normal(size=ROWS)}
    )
    now = before.assign(city="brand new", ratio=np.where(rng.random(ROWS) < 0.1, np.inf, before["ratio"]))
    result = drift_report(before, now, standard_checks(before, before.columns))
    assert by_name(result)["city"] == "fail" and by_name(result)["ratio"] == "pass"


@pytest.mark.parametrize(
    ("reference", "current", "checks", "words"),
    [
        (market(1), market(2), (), "no drift checks"),
        (market(1), market(2)[:0], CHECKS, "current frame has no rows"),
        (market(1).drop(columns="rate"), market(2), CHECKS, "reference frame lacks column 'rate'"),
        (market(1), market(2), (DriftCheck("kind", "wasserstein"),), "wasserstein needs numbers"),
        (market(1), market(2), (CHECKS[0], CHECKS[0]), "named twice"),
    ],
)
def test_what_cannot_be_measured_is_refused(reference, current, checks, words):
    with pytest.raises(KairosError, match=words):
        drift_report(reference, current, checks)


def test_the_page_is_whole_and_loads_nothing_from_outside(shifted):
    page = shifted.html
    assert page.index("Drift: ") < page.index('<div id="root_')
    assert "price" in page and page.count("<tr>") == len(CHECKS) + 1
    assert not re.search(r"<(?:script|img|iframe)[^>]+src\s*=\s*[\"']?(?:https?:)?//", page)
    assert not re.search(r"<link[^>]+href", page)
    styles = page[: page.index("<script")]
    assert not re.search(r"@import|url\(\s*[\"']?(?:https?:)?//", styles)


def test_snapshots_are_read_whatever_surrounds_the_values():
    drift = {"type": "evidently:metric_v2:ValueDrift"}
    snapshot = {
        "metrics": [
            {"config": {**drift, "column": "a"}, "value": 0.25},
            {"config": {**drift, "column": "b"}, "value": {"value": np.float64(0.5)}},
            {"config": {**drift, "column": "c"}, "value": None},
            {"config": {"type": "evidently:metric_v2:RowCount"}, "value": 7},
            {"config": None, "value": 1},
        ],
        "tests": [],
    }
    found = values_of(snapshot)
    assert found["a"] == 0.25 and found["b"] == 0.5 and np.isnan(found["c"]) and set(found) == set("abc")
    assert values_of({}) == {}


def test_small_numbers_are_scaled_not_lost():
    values = pd.Series(np.linspace(0, 1e-5, 100), name="tiny")
    pair = comparable(values, values * 2, "wasserstein")
    assert pair.reference.std(ddof=0) == pytest.approx(1.0)
