"""Reports: means, intervals over users, paired differences."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.evaluation import METRICS, EvaluationParams, evaluate, query_metrics, ranked_items
from models.vocabulary import Vocabulary

ITEMS = Vocabulary.of(list("abcdef"))
QUERIES = pd.DataFrame({"query_id": [7, 3, 5], "user_id": ["u", "v", "u"]})
TRUTH = pd.DataFrame({"query_id": [3, 7, 7, 5, 5, 9], "item_id": ["a", "a", "zebra", "b", "c", "a"]})
RANKED = np.array([[0, 1], [1, -1], [1, 2]], dtype=np.int32)


def test_metrics_line_up_with_queries_and_unknown_targets_are_missed():
    found = query_metrics(RANKED, QUERIES, TRUTH, ITEMS)
    assert found["recall@10"].tolist() == [0.5, 0.0, 1.0]
    assert found["ndcg@10"].tolist() == pytest.approx([1 / (1 + 1 / np.log2(3)), 0.0, 1.0])
    assert found["map@12"].tolist() == pytest.approx([0.5, 0.0, 1.0])


def test_ranked_items_orders_each_query():
    candidates = pd.DataFrame(
        {
            "query_id": [3, 7, 7, 3, 8, 7],
            "item_id": pd.Categorical(["f", "a", "b", "e", "a", "c"]),
            "score": [1.0, 0.5, 2.0, 1.0, 9.0, 0.7],
        }
    )
    ranked = ranked_items(candidates, "score", QUERIES, ITEMS)
    assert ranked[:, :4].tolist() == [[1, 2, 0, -1], [5, 4, -1, -1], [-1, -1, -1, -1]]


def test_report_is_paired_deterministic_and_json():
    worse = np.array([[5, 0], [5, -1], [5, 1]], dtype=np.int32)
    rankings = {"good": RANKED, "same": RANKED.copy(), "worse": worse}
    report = evaluate(rankings, QUERIES, TRUTH, ITEMS, ["good"])
    assert report == evaluate(rankings, QUERIES, TRUTH, ITEMS, ["good"])
    same = report.differences["same", "good"]["ndcg@10"]
    assert (same.mean, same.low, same.high) == (0.0, 0.0, 0.0)
    down = report.differences["worse", "good"]["ndcg@10"]
    assert down.low <= down.mean < 0
    assert report.coverage["good"] == pytest.approx(3 / 6)
    assert (report.n_queries, report.n_users) == (3, 2)
    assert json.loads(json.dumps(report.to_dict()))["models"]["good"]["recall@10"]["mean"] == 0.5
    assert report.frame()["model"].tolist() == list(rankings)


def test_intervals_hold_the_mean_and_narrow_with_users():
    rng = np.random.default_rng(0)
    widths = []
    for n in (40, 4_000):
        queries = pd.DataFrame({"query_id": np.arange(n), "user_id": np.arange(n).astype(str)})
        truth = pd.DataFrame({"query_id": np.arange(n), "item_id": rng.choice(list("abcdef"), n)})
        ranked = rng.integers(0, 6, (n, 1)).astype(np.int32)
        estimate = evaluate({"x": ranked}, queries, truth, ITEMS).models["x"]["hit_rate@10"]
        assert estimate.low < estimate.mean < estimate.high
        assert estimate.low < 1 / 6 < estimate.high
        widths.append(estimate.high - estimate.low)
    # The normal approximation's width, 2 * 1.96 * sd / sqrt(n).
    assert widths[1] == pytest.approx(3.92 * np.sqrt(5 / 36 / 4_000), rel=0.15)
    assert widths[0] > 5 * widths[1]


def test_wrong_shapes_are_refused():
    with pytest.raises(UsageError, match="one per query"):
        evaluate({"x": RANKED[:2]}, QUERIES, TRUTH, ITEMS)
    with pytest.raises(UsageError, match="no target"):
        evaluate({"x": RANKED}, QUERIES, TRUTH[:1], ITEMS)
    with pytest.raises(UsageError, match="not among the rankings"):
        evaluate({"x": RANKED}, QUERIES, TRUTH, ITEMS, ["y"])
    assert set(evaluate({"x": RANKED}, QUERIES, TRUTH, ITEMS, params=EvaluationParams(20)).models["x"]) == {
        *METRICS
    }
