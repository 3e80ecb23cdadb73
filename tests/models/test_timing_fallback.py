"""Thin users: who falls back to what, that nobody is dropped, and that few visits are worth a little."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from features.calendar import DAYPARTS
from models.timing import TimingModel, TimingParams, fit_timing
from models.timing_fallback import LEVELS, Fallback, FallbackParams, fit_fallback

RATES = {"students": 0.05, "parents": 0.3, "north": 0.2}


def market(users: int = 240, days: int = 40, seed: int = 5) -> pd.DataFrame:
    """User-days of two segments and a region that come at their own rate, evenings only; the last is tiny."""
    rng = np.random.default_rng(seed)
    kinds = ["students", "parents", "north", "nobody"]
    grid = pd.MultiIndex.from_product(
        [range(users), range(days), DAYPARTS], names=["u", "local_day", "daypart"]
    )
    frame = grid.to_frame(index=False)
    kind = np.array(kinds, dtype=object)[frame["u"].to_numpy() % 4]
    frame["user_id"] = [f"u{number:03d}" for number in frame["u"]]
    frame["user_segment"] = np.where(np.isin(kind, ["students", "parents"]), kind, "unknown")
    frame["user_region"] = np.where(kind == "nobody", "unknown", "north")
    rate = pd.Series(kind).map(RATES).fillna(0.1).to_numpy()
    chance = np.where(frame["daypart"] == "evening", rate, 0.01)
    frame["engaged"] = (rng.random(len(frame)) < chance).astype(int)
    frame["user_sessions"] = 10.0
    frame["split"] = np.where(frame["local_day"] < 25, "train", "validation")
    return frame.drop(columns="u")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return market()


@pytest.fixture(scope="module")
def chain(frame: pd.DataFrame) -> Fallback:
    return fit_fallback(frame)


def newcomers(**columns: list[object]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    return pd.DataFrame({"daypart": ["evening"] * count, "user_sessions": [0.0] * count, **columns})


def test_each_user_gets_the_nearest_level_that_is_known(chain: Fallback) -> None:
    asked = newcomers(
        user_segment=["parents", "unheard of", "unknown", None],
        user_region=["north", "north", "unknown", None],
    )
    assert chain.levels(asked).tolist() == ["segment", "region", "all", "all"]
    assert chain.levels(asked.assign(user_sessions=3.0)).tolist() == ["user"] * 4
    assert chain.levels(asked.assign(user_sessions=np.nan)).tolist() == ["segment", "region", "all", "all"]
    assert chain.levels(asked.drop(columns=["user_segment", "user_region"])).tolist() == ["all"] * 4


def test_a_level_answers_with_its_own_rate(chain: Fallback, frame: pd.DataFrame) -> None:
    asked = newcomers(
        user_segment=["students", "parents", "x", "x"], user_region=["north", "x", "north", "x"]
    )
    stated = chain.group_rates(asked)
    assert stated[0] == pytest.approx(RATES["students"], abs=0.02)
    assert stated[1] == pytest.approx(RATES["parents"], abs=0.03)
    evenings = frame[frame["daypart"] == "evening"]
    north = evenings[evenings["user_region"] == "north"]["engaged"].mean()
    assert stated[2] == pytest.approx(north, abs=0.01)
    assert stated[3] == pytest.approx(evenings["engaged"].mean(), abs=1e-9)
    assert chain.thin_ratio == pytest.approx(1.0)  # nobody in the market was thin


def test_small_groups_are_no_level(frame: pd.DataFrame) -> None:
    lonely = frame["user_id"] == "u001"
    chain = fit_fallback(frame.assign(user_segment=frame["user_segment"].where(~lonely, "hermit")))
    assert "hermit" not in chain.groups["segment"]
    assert chain.levels(newcomers(user_segment=["hermit"], user_region=["north"])).tolist() == ["region"]


def test_thin_users_who_come_less_are_told_to_come_less(frame: pd.DataFrame) -> None:
    thin = frame["user_id"] < "u120"
    quiet = frame.assign(engaged=frame["engaged"].where(~thin, 0), user_sessions=np.where(thin, 1.0, 10.0))
    assert fit_fallback(quiet).thin_ratio < 0.1
    assert fit_fallback(frame.assign(user_sessions=np.where(thin, 1.0, 10.0))).thin_ratio == pytest.approx(
        1.0, abs=0.15
    )


def test_a_visit_of_ones_own_counts_beside_the_group(chain: Fallback) -> None:
    asked = newcomers(user_segment=["parents"] * 3).assign(
        user_sessions=[0.0, 1.0, 1.0],
        user_tenure_days=[0.0, 10.0, 10.0],
        user_daypart_rate_60d=[0.0, 0.9, 0.0],
    )
    none, once_here, once_elsewhere = chain.rates(asked)
    assert once_elsewhere < none < once_here + 0.1
    assert once_here > once_elsewhere
    assert none == pytest.approx(chain.group_rates(asked)[0] * chain.thin_ratio)


def test_the_model_answers_everybody_and_counts_the_levels(frame: pd.DataFrame) -> None:
    learnt = frame.assign(share=np.where(frame["daypart"] == "evening", 1.0, 0.0))
    model = fit_timing(learnt, ["share"], TimingParams(max_trees=20, min_rows_in_leaf=20, num_threads=1))
    asked = newcomers(user_segment=["parents", "x", "x", "parents"], user_region=["north", "north", "x", "x"])
    asked = asked.assign(user_sessions=[0.0, np.nan, 1.0, 9.0], share=[np.nan, np.nan, np.nan, 1.0])
    stated = model.predict(asked)
    assert ((stated > 0) & (stated < 1)).all()
    np.testing.assert_array_equal(stated[:3], model.fallback.rates(asked)[:3])
    counts = model.level_counts(asked)
    assert counts == {"user": 1, "segment": 1, "region": 1, "all": 1}
    assert tuple(counts) == LEVELS
    restored = TimingModel.from_texts(model.to_texts())
    np.testing.assert_array_equal(restored.predict(asked), stated)


def test_where_everybody_is_new_the_model_still_fits(frame: pd.DataFrame) -> None:
    model = fit_timing(
        frame.assign(user_sessions=1.0, share=0.5),
        ["share"],
        TimingParams(max_trees=5, min_rows_in_leaf=20, num_threads=1),
    )
    assert model.level_counts(frame)["user"] == len(frame)  # ten sessions each now: none is thin any more
    assert set(model.levels(frame.assign(user_sessions=1.0))) == {"segment", "region", "all"}


def test_the_chain_stores_as_plain_numbers(chain: Fallback) -> None:
    assert Fallback.from_dict(json.loads(json.dumps(chain.as_dict()))) == chain


def test_weights_stand_for_rows(frame: pd.DataFrame) -> None:
    twice = fit_fallback(pd.concat([frame, frame], ignore_index=True), FallbackParams(min_group_sessions=60))
    weighted = fit_fallback(frame.assign(weight=2.0), FallbackParams(min_group_sessions=60))
    assert weighted.everybody == pytest.approx(twice.everybody)
    assert weighted.groups["segment"]["parents"] == pytest.approx(twice.groups["segment"]["parents"])
