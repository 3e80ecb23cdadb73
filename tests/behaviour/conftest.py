"""A ranker fitted on a small shop, with what it was judged on and strangers whom nobody has seen."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "flows"))

from small_market import AS_OF, write_small_market

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
    """

    ranker: Ranker
    log: InteractionLog
    test: QuerySet
    rows: RankingSet
    strangers: RankingSet


@pytest.fixture(scope="session")
def fitted_shop(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> FittedShop:
    """The small market, from its files to a fitted ranker, through the stores and without Prefect."""
    from features.interactions import build_interactions
    from features.tables import FEATURE_TABLES
    from flows.ranking_rows import ranking_set
    from flows.training_data import read_queries, read_training_data
    from flows.wiring import open_stores
    from infra.ingestion import ingest
    from infra.settings import Settings
    from infra.sources import open_source
    from models.catalogue import CatalogueParams
    from models.queries import QueryParams
    from models.ranker import RankerParams, fit_ranker
    from models.training_set import SamplingParams

    market = write_small_market(tmp_path_factory.mktemp("market"))
    as_of = datetime.combine(AS_OF, time(), UTC)
    settings = Settings(
        home=tmp_path_factory.mktemp("home"), source=f"parquet:{market}", database_url=postgres_url
    )
    stores = open_stores(settings)
    ingest(open_source(settings.source), stores.lake, now=as_of)
    connection = stores.lake.connect(as_of)
    relations = {
        "interactions": build_interactions(connection),
        "promotions": connection.table("promotions"),
    }
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
    stores.features.feast.teardown()
    ranker = fit_ranker(learnt, judged, RankerParams(threads=1, max_trees=150))
    return FittedShop(ranker, data.log, test, rows, strangers)
