"""A ranker fitted on a small shop, with what it was judged on and strangers whom nobody has seen."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "flows"))

from small_market import AS_OF, HOURS, KINDS, ZONES, write_small_market

from features.calendar import daypart_of_hour
from models.interaction_log import InteractionLog
from models.queries import QuerySet
from models.ranker import Ranker
from models.training_set import RankingSet


@dataclass(frozen=True)
class FittedShop:
    """A fitted ranker and its world.

    Attributes:
        ranker: Fitted on the shop's earlier weeks.
        log: Interactions of eligible items.
        test: The last weeks' occasions.
        rows: All candidates of `test`.
        strangers: The candidates of two users without any history, for one and the same occasion.
        twins: (source, times, item_id, score, score_at_another_time): what one item scores for users who
            differ only in how often they have bought it, at the item's own time of day and at another.
    """

    ranker: Ranker
    log: InteractionLog
    test: QuerySet
    rows: RankingSet
    strangers: RankingSet
    twins: pd.DataFrame


SOURCES = [f"u{n:03d}" for n in range(1, 25)]
ANOTHER_TIME = {"morning": "midday", "midday": "evening", "evening": "morning"}
TIMES = (0, 2, 6)  # the item is put into so many of a twin's baskets


def hour_of(item: int) -> int:
    """The local hour at which the small market buys the item."""
    return HOURS[item % KINDS % len(HOURS)]


def write_twins(market: Path) -> pd.DataFrame:
    """(user_id, source, times, item_id, daypart) of users who join as copies of others but for one item."""
    events = pd.read_parquet(market / "events" / "part-0.parquet")
    popular = events["item_id"].value_counts().index
    twins, copies = [], []
    for source in SOURCES:
        own = events[events["user_id"] == source].sort_values("event_ts")
        zone = ZONES[int(source[1:]) % len(ZONES)]
        hours = own["event_ts"].dt.tz_convert(zone).dt.hour
        usual = hours.mode()[0]
        item = next(
            item for item in popular if item not in set(own["item_id"]) and hour_of(int(item[1:])) == usual
        )
        # Newest first, at the item's own time: a purchase at another would be a habit of that one.
        baskets = own[hours == usual].drop_duplicates("session_id")[::-1]
        for times in TIMES:
            twin = f"{source} {times}"
            added = baskets.iloc[1 : 1 + times].assign(item_id=item)
            assert len(added) == times
            copy = pd.concat([own, added]).assign(user_id=twin)
            copy["session_id"] = twin + copy["session_id"]
            copies.append(copy.assign(event_id=copy["session_id"] + copy["item_id"]))
            twins.append((twin, source, times, item, daypart_of_hour(hour_of(int(item[1:])))))
    pd.concat(copies).to_parquet(market / "events" / "part-1.parquet", index=False)
    frame = pd.DataFrame(twins, columns=["user_id", "source", "times", "item_id", "daypart"])
    users = pd.read_parquet(market / "users.parquet")
    joined = frame[["user_id", "source"]].merge(
        users, left_on="source", right_on="user_id", suffixes=("", "_")
    )
    pd.concat([users, joined[users.columns]]).to_parquet(market / "users.parquet", index=False)
    return frame


@pytest.fixture(scope="session")
def fitted_shop(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> FittedShop:
    """The small market, from its files to a fitted ranker, through the stores and without Prefect."""
    from features.promotion import relevant_promotions
    from features.scenes import SCENE_PARTS
    from features.tables import FEATURE_TABLES
    from features.visits import create_visits
    from flows.ranking_rows import ranking_set
    from flows.training_data import read_queries, read_training_data
    from flows.wiring import open_stores
    from infra.ingestion import ingest
    from infra.settings import Settings
    from infra.sources import open_source
    from models.catalogue import CatalogueParams
    from models.queries import QueryParams, scoring_queries
    from models.ranker_fit import fit_ranker
    from models.ranker_params import RankerParams
    from models.training_set import SamplingParams

    market = write_small_market(tmp_path_factory.mktemp("market"))
    twins = write_twins(market)
    as_of = datetime.combine(AS_OF, time(), UTC)
    settings = Settings(
        home=tmp_path_factory.mktemp("home"), source=f"parquet:{market}", database_url=postgres_url
    )
    stores = open_stores(settings)
    ingest(open_source(settings.source), stores.lake, now=as_of)
    connection = stores.lake.connect(as_of)
    relations = {**create_visits(connection), "promotions": relevant_promotions(connection, as_of)}
    for table in FEATURE_TABLES:
        stores.features.write_table(table, table.build(relations[table.source], as_of))
    connection.close()
    stores.features.apply()
    params = QueryParams(train_weeks=3, validation_weeks=1, test_weeks=1)
    data = read_training_data(stores, as_of, params, CatalogueParams(min_users=5))
    queries = read_queries(data, params)
    train, validation, test = (queries.of_split(split) for split in ("train", "validation", "test"))
    learnt, judged, rows = (
        ranking_set(stores.features, data, part.queries, part.truth, sampling)
        for part, sampling in ((train, SamplingParams()), (validation, None), (test, None))
    )
    nobody = pd.concat([test.queries.iloc[:1].assign(query_id=n, user_id=f"nobody {n}") for n in (0, 1)])
    strangers = ranking_set(stores.features, data, nobody, test.truth.iloc[:0])
    scene = dict.fromkeys(SCENE_PARTS, "unknown") | {"store_id": "s0", "channel": "store"}
    own_time = twins.assign(timezone="UTC", **scene)
    another = own_time.assign(daypart=own_time["daypart"].map(ANOTHER_TIME))
    occasions = scoring_queries(pd.concat([own_time, another]), as_of.date(), as_of)
    asked = ranking_set(stores.features, data, occasions, test.truth.iloc[:0])
    stores.features.feast.teardown()
    ranker = fit_ranker(learnt, judged, RankerParams(threads=1, max_trees=150))
    scored = pd.Series(
        ranker.score(asked.features), index=pd.MultiIndex.from_arrays([asked.query_id, asked.item_id])
    )
    for offset, name in enumerate(("score", "score_at_another_time")):
        place = twins.index + offset * len(twins)
        twins[name] = scored.reindex(pd.MultiIndex.from_arrays([place, twins["item_id"]])).to_numpy()
    return FittedShop(ranker, data.log, test, rows, strangers, twins)
