"""Training, batch scoring and the online store see the same features of the same moment, to the bit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import pandas as pd
import pytest
from small_market import AS_OF, ZONES

from features.calendar import DAYPART_START_HOUR, local_midnight
from features.market import MARKET
from features.scenes import SCENE_PARTS

MOMENT = datetime.combine(AS_OF, time(), UTC)
LOCAL_DAY = (AS_OF - date(1970, 1, 1)).days


@dataclass(frozen=True)
class Scored:
    """What the champion scored for the day, and what it was asked.

    Attributes:
        candidates: A draw of the scored candidates with their features.
        entities: The same rows as keys, instant and request fields, written down independently.
        awake: Rows whose user's day had not begun at the cut-off: their instant is that of the online store.
    """

    stores: object
    champion: str
    candidates: pd.DataFrame
    timing: pd.DataFrame
    entities: pd.DataFrame

    @property
    def awake(self) -> pd.Series:
        return self.entities["event_timestamp"] == MOMENT


def instants(users: pd.Series) -> pd.DatetimeIndex:
    """Each user's own cut-off: the local midnight, or that of the run where it is earlier."""
    zones = users.str[1:].astype(int).map(lambda number: ZONES[number % 2])
    known = {zone: min(MOMENT, local_midnight(AS_OF, zone)) for zone in ZONES}
    return pd.DatetimeIndex(zones.map(known)).as_unit("us")


def with_request(keys: pd.DataFrame) -> pd.DataFrame:
    """The keys with market, weekday, instant and request fields of the day."""
    moments = instants(keys["user_id"])
    return keys.assign(
        market=MARKET,
        weekday=str(AS_OF.weekday()),
        event_timestamp=moments,
        request_epoch_seconds=moments.view("int64") // 1_000_000,
        local_day=LOCAL_DAY,
        local_hour=keys["daypart"].map(DAYPART_START_HOUR).astype("int64"),
        country="",
    )


@pytest.fixture
def scored(first_cycle) -> Scored:
    from flows.candidate_scores import files_of
    from flows.wiring import open_stores

    stores = open_stores()
    files = files_of(stores, first_cycle.champion, MOMENT, AS_OF)
    candidates = pd.read_parquet(files.candidates).sample(1_500, random_state=1).reset_index(drop=True)
    keys = candidates[["user_id", "item_id", "category", *SCENE_PARTS]].astype("object")
    entities = with_request(keys.assign(daypart=candidates["slot"].astype("object")))
    return Scored(stores, first_cycle.champion, candidates, files.read_timing(), entities)


def numbers_and_words(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The features as plain columns: numbers as they are, categories as their words."""
    picked = frame[names].reset_index(drop=True)
    words = [name for name in names if not pd.api.types.is_numeric_dtype(picked[name])]
    return picked.astype(dict.fromkeys(words, "object"))


def test_batch_scoring_saw_what_training_is_given(scored: Scored) -> None:
    from features.tables import RANKING

    names = list(RANKING.features)
    history = scored.stores.features.historical(scored.entities, RANKING.name)
    assert history[names].notna().any().sum() > 40, "most features are known of somebody"
    pd.testing.assert_frame_equal(
        numbers_and_words(scored.candidates, names), numbers_and_words(history, names), check_exact=True
    )


@pytest.mark.parametrize("service", ["ranking_v3", "timing_v2"])
def test_the_online_store_answers_what_training_is_given(scored: Scored, service: str) -> None:
    from features.tables import SERVICES

    names = list(next(one for one in SERVICES if one.name == service).features)
    entities = scored.entities[scored.awake]
    assert 300 < len(entities) < len(scored.entities), "both zones are asked about"
    history = scored.stores.features.historical(entities, service)
    online = scored.stores.features.online(entities.to_dict("records"), service)
    pd.testing.assert_frame_equal(
        history[names].reset_index(drop=True), online[names].reset_index(drop=True), check_exact=True
    )
    strangers = entities.head(5).assign(user_id="nobody", item_id="nothing")
    pd.testing.assert_frame_equal(
        scored.stores.features.historical(strangers, service)[names].reset_index(drop=True),
        scored.stores.features.online(strangers.to_dict("records"), service)[names],
        check_exact=True,
    )


def test_online_features_give_the_published_scores(scored: Scored) -> None:
    from features.tables import RANKING
    from flows.model_files import read_models

    ranker, _ = read_models(scored.stores.registry.version_dir(scored.champion))
    entities, candidates = scored.entities[scored.awake], scored.candidates[scored.awake]
    online = scored.stores.features.online(entities.to_dict("records"), RANKING.name)
    asked = pd.concat(
        [
            candidates[[name for name in ranker.features if name not in RANKING.features]].reset_index(
                drop=True
            ),
            online[list(RANKING.features)],
        ],
        axis=1,
    )
    assert (ranker.score(asked) == candidates["score"].to_numpy()).all()
    assert candidates["score"].nunique() > 100


def test_online_features_give_the_published_times(scored: Scored) -> None:
    from features.tables import TIMING
    from flows.model_files import read_models

    _, timing = read_models(scored.stores.registry.version_dir(scored.champion))
    keys = scored.timing[["user_id", "slot", *SCENE_PARTS]].astype("object")
    grid = with_request(keys.rename(columns={"slot": "daypart"}))
    awake = (grid["event_timestamp"] == MOMENT).to_numpy()
    online = scored.stores.features.online(grid[awake].to_dict("records"), TIMING.name)
    assert (timing.predict(online) == scored.timing["p_engage"].to_numpy()[awake]).all()
    assert awake.sum() > 300
