"""The timing model recovers a known truth, keeps its promises about days, and survives storage."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from features.calendar import DAYPARTS
from features.errors import KairosError
from models.calibration import Calibrator, expected_calibration_error, fit_calibrator
from models.timing import TimingModel, TimingParams, fit_timing
from models.timing_evaluation import evaluate_timing, slot_hits
from models.timing_peers import PEERS, timing_peers
from models.timing_rows import TIMING_COLUMNS, timing_rows

FAST = TimingParams(max_trees=150, min_rows_in_leaf=50, num_threads=1)
DAY = 86_400


def synthetic(users: int = 300, days: int = 40, seed: int = 3) -> pd.DataFrame:
    """Rows whose true P(engage) is a logistic curve of two features and the daypart."""
    rng = np.random.default_rng(seed)
    grid = pd.MultiIndex.from_product(
        [[f"u{number:03d}" for number in range(users)], range(days), DAYPARTS],
        names=["user_id", "local_day", "daypart"],
    )
    frame = grid.to_frame(index=False)
    code = frame["daypart"].map({name: code for code, name in enumerate(DAYPARTS)}).to_numpy()
    frame["share"] = rng.uniform(0, 1, users * 6)[
        np.repeat(np.arange(users), days * 6) * 6 + np.tile(np.arange(6), users * days)
    ]
    frame["rate"] = np.repeat(rng.normal(0, 1, users), days * 6)
    frame["truth"] = 1 / (1 + np.exp(-(-2.5 + 2.5 * frame["share"] + 0.7 * frame["rate"] + 0.2 * code)))
    frame["engaged"] = (rng.random(len(frame)) < frame["truth"]).astype(int)
    frame.loc[rng.random(len(frame)) < 0.05, "rate"] = np.nan
    frame["split"] = np.select(
        [frame["local_day"] < 24, frame["local_day"] < 32], ["train", "validation"], "test"
    )
    return frame


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    return synthetic()


@pytest.fixture(scope="module")
def model(truth: pd.DataFrame) -> TimingModel:
    return fit_timing(truth, ["share", "rate"], FAST)


def test_probabilities_are_calibrated_and_close_to_the_truth(truth, model):
    test = truth[truth["split"] == "test"]
    stated = model.predict(test)
    assert expected_calibration_error(test["engaged"], stated) < 0.02
    assert np.abs(stated - test["truth"]).mean() < 0.05
    assert ((stated > 0) & (stated < 1)).all()


def test_storage_keeps_every_bit(truth, model):
    restored = TimingModel.from_texts(model.to_texts())
    np.testing.assert_array_equal(restored.predict(truth), model.predict(truth))
    assert restored.to_texts() == model.to_texts()


def test_row_order_and_repetition_give_the_same_model(truth, model):
    again = fit_timing(truth.sample(frac=1, random_state=0), ["share", "rate"], FAST)
    assert again.to_texts() == model.to_texts()


def test_more_habit_means_more_engagement(truth, model):
    low, high = truth.assign(share=0.1), truth.assign(share=0.9)
    assert (model.predict(high) - model.predict(low)).mean() > 0.2


def test_errors_name_what_is_missing(truth, model):
    with pytest.raises(KairosError, match="share"):
        model.predict(truth.drop(columns="share"))
    with pytest.raises(KairosError, match="validation part has 0 rows"):
        fit_timing(truth[truth["split"] == "train"], ["share"], FAST)
    assert len(model.predict(truth[:0])) == 0


def test_calibration_mends_a_distorted_score_and_stores_as_plain_numbers():
    rng = np.random.default_rng(0)
    honest = rng.uniform(0.02, 0.9, 8000)
    labels = (rng.random(8000) < honest).astype(int)
    distorted = honest**2
    groups = np.arange(8000)
    chosen = fit_calibrator(distorted, labels, groups)
    assert expected_calibration_error(labels, chosen.apply(distorted)) < 0.03
    assert expected_calibration_error(labels, distorted) > 0.1
    for method in ("isotonic", "platt"):
        fitted = fit_calibrator(distorted, labels, groups, methods=(method,))
        assert Calibrator.from_dict(json.loads(json.dumps(fitted.as_dict()))) == fitted
        assert (np.diff(fitted.apply(np.sort(distorted))) >= 0).all()
    only_no = fit_calibrator([0.2, 0.4], [0, 0], [0, 1], methods=("platt",))
    assert 0 < only_no.apply([0.3])[0] < 0.5


def sessions_frame(rows: list[tuple[str, str, int]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["user_id", "daypart", "local_day"])
    return frame.assign(
        store_id=[f"s{day}" for day in frame["local_day"]], epoch_seconds=frame["local_day"] * DAY + 3600
    )


def test_rows_hold_days_without_a_session_and_know_only_earlier_stores():
    sessions = sessions_frame([("u1", "evening", 17_000), ("u1", "morning", 17_002), ("u2", "late", 17_001)])
    users = pd.DataFrame({"user_id": ["u1", "u2", "u3"], "timezone": ["America/New_York", "UTC", "UTC"]})
    rows = timing_rows(sessions, users, range(16_999, 17_004))
    assert list(rows.columns) == list(TIMING_COLUMNS)
    assert rows.groupby("user_id")["local_day"].unique().map(list).to_dict() == {
        "u1": [17_001, 17_002, 17_003],
        "u2": [17_002, 17_003],
    }
    engaged = rows[rows["engaged"] == 1]
    assert engaged[["user_id", "daypart", "local_day"]].to_numpy().tolist() == [["u1", "morning", 17_002]]
    stores = rows.drop_duplicates(["user_id", "local_day"]).set_index(["user_id", "local_day"])["store_id"]
    assert stores["u1"].tolist() == ["s17000", "s17000", "s17002"]
    assert (rows["device"] == "unknown").all()
    cutoffs = rows.drop_duplicates("user_id").set_index("user_id")["cutoff_epoch_seconds"]
    assert cutoffs["u1"] == 17_001 * DAY + 4 * 3600  # July: New York is four hours behind
    assert cutoffs["u2"] == 17_002 * DAY
    assert (rows["weekday"] == (rows["local_day"] + 3) % 7).all()


def test_a_sample_is_whole_user_days_and_ignores_row_order():
    sessions = sessions_frame([(f"u{user}", "evening", 17_000 + user % 3) for user in range(30)])
    users = pd.DataFrame({"user_id": [f"u{user}" for user in range(30)], "timezone": "UTC"})
    rows = timing_rows(sessions, users, range(17_000, 17_010), max_user_days=50, seed=4)
    assert len(rows) == 50 * len(DAYPARTS)
    stirred = timing_rows(sessions[::-1], users[::-1], range(17_000, 17_010), max_user_days=50, seed=4)
    pd.testing.assert_frame_equal(rows, stirred)


def test_peers_see_nothing_of_the_day_itself_or_later():
    sessions = sessions_frame(
        [("u1", "evening", day) for day in range(100, 140, 2)] + [("u2", "morning", 105)]
    )
    rows = pd.DataFrame(
        [(user, part, day) for user in ("u1", "u2", "new") for day in (120, 130) for part in DAYPARTS],
        columns=["user_id", "daypart", "local_day"],
    )
    peers = timing_peers(sessions, rows)
    assert list(peers.columns) == list(PEERS)
    asked = rows["local_day"] == 120
    known = timing_peers(sessions[sessions["local_day"] < 120], rows[asked])
    pd.testing.assert_frame_equal(peers[asked], known)
    table = pd.concat([rows, peers], axis=1).set_index(["user_id", "local_day", "daypart"]).sort_index()
    assert table.loc[("u1", 120), "smoothed_histogram"].idxmax() == "evening"
    assert table.loc[("u2", 120), "most_frequent"].idxmax() == "morning"
    assert table.loc[("new", 120), "smoothed_histogram"].equals(
        table.loc[("new", 120), "global_shares"].rename("smoothed_histogram")
    )
    # u1 came on 10 of the 20 days from its first one on; the population on 11 of 20 + 15 user-days.
    assert table.loc[("u1", 120, "evening"), "global_shares"] == pytest.approx(10 / 35)
    assert table.loc[("u1", 120, "evening"), "smoothed_histogram"] == pytest.approx(
        (10 + 30 * 10 / 35) / (20 + 30)
    )


def test_evaluation_prefers_the_truth_and_is_paired(truth, model):
    test = truth[truth["split"] == "test"].copy()
    test["flat"] = test.groupby("daypart")["engaged"].transform("mean")
    test["ours"] = model.predict(test)
    table = evaluate_timing(test, "ours", ["flat", "truth"], bootstraps=200).set_index("model")
    assert table.loc["ours", "log_loss_ratio"] == 1.0
    assert table.loc["flat", "ratio_high"] < 1.0 < table.loc["truth", "log_loss_ratio"] < 1.05
    assert table.loc["ours", "top1"] > table.loc["flat", "top1"]
    assert (table["top2"] >= table["top1"]).all()
    stirred = evaluate_timing(test.sample(frac=1, random_state=1), "ours", ["flat", "truth"], bootstraps=200)
    pd.testing.assert_frame_equal(stirred.set_index("model"), table, check_exact=False, rtol=1e-12)


def test_slot_hits_count_any_session_of_the_day():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.1, 0.2, 0.7]])
    engaged = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    assert slot_hits(probabilities, engaged) == (0.5, 1.0)
