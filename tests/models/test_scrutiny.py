"""Beyond accuracy, backtest and scrutiny on a small market, against numbers done by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from models.backtest import backtest, from_rankings, rolling_origins
from models.baselines import rank_all
from models.beyond_accuracy import TARGETS, beyond_accuracy, query_measures
from models.candidates.personal import Personal
from models.candidates.popular import Popular
from models.evaluation import EvaluationParams, evaluate
from models.interaction_log import InteractionLog
from models.queries import QuerySet
from models.scrutiny import rivals, scrutinise, thin_users

FEW = EvaluationParams(bootstraps=200)


def test_measures_of_a_list_by_hand() -> None:
    shown = np.array([[0, 1, 2], [3, -1, -1], [-1, -1, -1]], dtype=np.int32)
    category = np.array([7, 7, 8, 8], dtype=np.int32)
    reach = np.array([3, 1, 0, 7], dtype=np.int64)
    new = np.array([[True, False, False], [False] * 3, [False] * 3])
    found = query_measures(shown, category, reach, 7, new)
    diversity, novelty, percentile, users, fresh = found[0]
    assert diversity == pytest.approx(2 / 3)  # of three pairs one is alike
    assert novelty == pytest.approx(-np.log2([3.5 / 8, 1.5 / 8, 0.5 / 8]).mean())
    assert percentile == pytest.approx((1 + 2 + 3) / 3 / 3)  # places by reach: item 3 leads
    assert users == pytest.approx((3 + 1 + 0) / 3 / 7)
    assert fresh == pytest.approx(1 / 3)
    assert np.isnan(found[1, 0]) and found[1, 2] == 0.0
    assert np.isnan(found[2]).all()


def test_one_list_for_all_covers_little_and_is_most_unequal(
    market_log: InteractionLog, market_queries: pd.DataFrame
) -> None:
    n = len(market_queries)
    same = np.tile(np.array([0, 1], dtype=np.int32), (n, 1))
    varied = np.stack([np.arange(n) % 14, (np.arange(n) + 5) % 14], axis=1).astype(np.int32)
    truth = pd.DataFrame({"query_id": market_queries["query_id"], "item_id": market_log.items.values[3]})
    rows = {
        row.model: row
        for row in beyond_accuracy(
            market_log, market_queries, truth, {"same": same, "varied": varied}, "varied", ["same"], FEW
        )
    }
    assert list(rows) == ["same", "varied", TARGETS]
    assert rows["same"].measures["coverage"].mean == pytest.approx(2 / 14)
    assert rows["same"].measures["coverage"].low == pytest.approx(2 / 14)  # whoever is left out, it stays
    assert rows["same"].measures["gini"].mean == pytest.approx(1 - 2 / 14)
    assert rows[TARGETS].measures["gini"].mean == pytest.approx(1 - 1 / 14)
    varied_row = rows["varied"]
    assert varied_row.measures["coverage"].low < varied_row.measures["coverage"].mean
    assert varied_row.leads["same"]["gini"].mean < 0 < varied_row.leads["same"]["coverage"].mean
    assert set(varied_row.leads) == {"same", TARGETS} and rows["same"].leads == {}
    json.dumps(varied_row.to_dict(), allow_nan=False)


def _weekly(weeks: int, per_week: int = 30) -> QuerySet:
    n = weeks * per_week
    week = np.arange(n) // per_week
    queries = pd.DataFrame(
        {
            "query_id": np.arange(n),
            "user_id": [f"u{user % 25}" for user in range(n)],
            "local_day": 100 + week * 7 + np.arange(n) % 7,
            "fit_epoch_seconds": (100 + week * 7) * 86_400,
        }
    )
    return QuerySet(queries, pd.DataFrame({"query_id": np.arange(n), "item_id": "a"}))


def test_origins_are_the_refits_and_hold_every_query_once() -> None:
    origins = rolling_origins(_weekly(5))
    assert [origin.day for origin in origins] == sorted({origin.day for origin in origins})
    assert len(origins) == 5
    assert np.concatenate([origin.rows for origin in origins]).tolist() == list(range(150))
    assert all(len(origin.queries.truth) == len(origin.queries.queries) == 30 for origin in origins)
    joined = rolling_origins(_weekly(30))
    assert len(joined) == 12 and sum(len(origin.rows) for origin in joined) == 900


def test_few_refits_are_cut_into_whole_days() -> None:
    queries = _weekly(1, 70)
    origins = rolling_origins(queries)
    assert len(origins) == 4
    days = [set(origin.queries.queries["local_day"]) for origin in origins]
    assert all(not one & other for place, one in enumerate(days) for other in days[:place])
    assert sum(len(origin.rows) for origin in origins) == 70
    one_day = QuerySet(queries.queries.assign(local_day=3), queries.truth)
    assert len(rolling_origins(one_day)) == 1
    with pytest.raises(UsageError, match="0 queries"):
        rolling_origins(QuerySet(queries.queries[:0], queries.truth[:0]))


def test_backtest_counts_the_origins_won(market_log: InteractionLog) -> None:
    queries = _weekly(4)
    queries = QuerySet(queries.queries, queries.truth.assign(item_id=market_log.items.values[0]))
    n = len(queries.queries)
    hit, miss = np.zeros((n, 1), np.int32), np.ones((n, 1), np.int32)
    mixed = np.where(np.arange(n)[:, None] < 90, hit, miss)
    rankings = {"ours": hit, "mixed": mixed, "never": miss}
    found = backtest(
        from_rankings(rankings), rolling_origins(queries), market_log.items, "ours", ["mixed", "never"], FEW
    )
    assert found.lead_over("never")["won_clearly"] == 4
    lead = found.lead_over("mixed")
    assert (lead["won"], lead["lowest"], lead["highest"], lead["mean"]) == (1, 0.0, 1.0, 0.25)
    told = found.to_dict()
    assert told["enough"] and [origin["queries"] for origin in told["origins"]] == [30] * 4
    assert set(told["leads"]) == {"mixed", "never"}


def test_each_origin_is_made_for_its_own_queries(market_log: InteractionLog) -> None:
    asked: list[int] = []
    queries = _weekly(4)
    queries = QuerySet(queries.queries, queries.truth.assign(item_id=market_log.items.values[0]))

    def make(origin: object) -> dict[str, np.ndarray]:
        asked.append(origin.fit_epoch_seconds)  # type: ignore[attr-defined]
        return {"ours": np.zeros((len(origin.rows), 1), np.int32)}  # type: ignore[attr-defined]

    backtest(make, rolling_origins(queries), market_log.items, "ours", [], FEW)
    assert asked == sorted(set(queries.queries["fit_epoch_seconds"]))


def test_scrutiny_agrees_with_the_report_and_is_json(
    market_log: InteractionLog, market_queries: pd.DataFrame
) -> None:
    rng = np.random.default_rng(4)
    truth = pd.DataFrame(
        {
            "query_id": np.repeat(market_queries["query_id"], 2).to_numpy(),
            "item_id": rng.choice(market_log.items.values, 2 * len(market_queries)),
        }
    ).drop_duplicates()
    rankings = {
        "ours": rank_all(market_log, market_queries, Personal()),
        "popularity": rank_all(market_log, market_queries, Popular()),
        "unasked": rank_all(market_log, market_queries, Popular("store")),
    }
    found = scrutinise(market_log, market_queries, truth, rankings, "ours", ["popularity"], FEW)
    json.dumps(found, allow_nan=False)
    report = evaluate(rankings, market_queries, truth, market_log.items, [], FEW)
    parts = [row for row in found["slices"] if row["dimension"] == "earlier baskets"]
    weighed = sum(row["rows"] * row["models"]["ours"]["mean"] for row in parts)
    assert weighed / len(market_queries) == pytest.approx(report.models["ours"]["ndcg@10"].mean)
    targets = [row for row in found["target_slices"] if row["dimension"] == "item to the user"]
    assert sum(row["rows"] for row in targets) == len(truth)
    assert all(set(row["models"]) == {"ours", "popularity"} for row in found["slices"])
    assert [row["model"] for row in found["beyond_accuracy"]] == ["ours", "popularity", TARGETS]
    assert found["backtest"]["ours"] == "ours"


def test_thin_users_are_sliced_by_how_little_is_known(
    market_log: InteractionLog, market_queries: pd.DataFrame
) -> None:
    truth = pd.DataFrame({"query_id": market_queries["query_id"], "item_id": market_log.items.values[0]})
    asked = QuerySet(market_queries, truth)
    best = np.zeros((len(market_queries), 1), dtype=np.int32)
    found = thin_users(market_log, asked, {"ours": best, "peer": best + 1}, "ours", ["peer"], FEW)
    stranger = next(row for row in found if (row["dimension"], row["value"]) == ("earlier baskets", "0"))
    assert stranger["rows"] == stranger["users"] == 1
    assert stranger["models"]["ours"]["mean"] == 1.0 and stranger["leads"]["peer"]["mean"] == 1.0
    nobody = QuerySet(market_queries[:0], truth[:0])
    assert thin_users(market_log, nobody, {"ours": best[:0]}, "ours", [], FEW) == []


def test_rivals_are_the_strongest_and_whoever_ran_of_the_rest(
    market_log: InteractionLog, market_queries: pd.DataFrame
) -> None:
    truth = pd.DataFrame({"query_id": market_queries["query_id"], "item_id": market_log.items.values[0]})
    best = np.zeros((len(market_queries), 1), dtype=np.int32)
    report = evaluate(
        {"ours": best, "weak": best + 1, "strong": best}, market_queries, truth, market_log.items, [], FEW
    )
    assert rivals(report, "ours", ("weak", "absent")) == ["strong", "weak"]
    assert rivals(report, "ours", ("strong",)) == ["strong"]
