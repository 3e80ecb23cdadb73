"""What every feature table and on-demand view promises, checked on each of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import chain

import numpy as np
import pandas as pd
import pytest

from features.interactions import build_interactions
from features.table import REQUEST_FIELDS, FeatureTable, OnDemand
from features.tables import FEATURE_TABLES, ON_DEMAND, SERVICES, column_named

AS_OF = datetime(2017, 3, 31, tzinfo=UTC)  # a day of the random shop's forty
COUNTED = [table for table in FEATURE_TABLES if table.source == "interactions"]
TABLES = pytest.mark.parametrize("table", FEATURE_TABLES, ids=lambda table: table.name)
COUNTED_TABLES = pytest.mark.parametrize("table", COUNTED, ids=lambda table: table.name)
VIEWS = pytest.mark.parametrize("view", ON_DEMAND, ids=lambda view: view.name)


def built(table: FeatureTable, connection, as_of=AS_OF) -> pd.DataFrame:
    """The table's rows by key and time."""
    relation = (
        build_interactions(connection) if table.source == "interactions" else connection.table("promotions")
    )
    rows = table.build(relation, as_of).df()
    return rows.sort_values([*table.keys, "event_timestamp"], ignore_index=True)


@TABLES
def test_build_returns_the_declared_columns(table, open_shop, random_shop) -> None:
    rows = built(table, open_shop(**random_shop))
    declared = [column.name for column in table.columns]
    assert rows.columns.tolist() == [*table.keys, "event_timestamp", *declared]
    assert len(rows) > 10
    for column in table.columns:
        assert rows[column.name].notna().any(), column.name
        assert (rows[column.name].dtype == "object") == (column.dtype == "str"), column.name
    assert rows[list(table.keys)].notna().all(axis=None)
    assert not rows.duplicated([*table.keys, "event_timestamp"]).any()


@COUNTED_TABLES
def test_a_row_is_valid_only_after_the_events_it_counts(table, open_shop, random_shop) -> None:
    rows = built(table, open_shop(**random_shop))
    last = next(column.name for column in table.columns if column.name.endswith("_last_epoch_seconds"))
    assert (rows["event_timestamp"].dt.as_unit("s").astype("int64") > rows[last]).all()
    assert (rows[last] < AS_OF.timestamp()).all()
    assert (rows["event_timestamp"] <= AS_OF).all()


@TABLES
def test_what_happens_at_or_after_the_cut_off_changes_nothing(table, open_shop, random_shop) -> None:
    events = random_shop["events"]
    known = events[events["event_ts"] < AS_OF]
    late = known.sample(400, random_state=1).assign(event_ts=AS_OF)
    late.loc[late.index[200:], "event_ts"] += pd.to_timedelta(np.arange(200) * 977, unit="s")
    more = pd.concat([late, known, events[events["event_ts"] >= AS_OF]]).sample(frac=1.0, random_state=2)
    alone = built(table, open_shop(**random_shop | {"events": known}))
    pd.testing.assert_frame_equal(alone, built(table, open_shop(**random_shop | {"events": more})))


@COUNTED_TABLES
def test_an_event_before_the_cut_off_does_change_the_table(table, open_shop, random_shop) -> None:
    events = random_shop["events"]
    before = built(table, open_shop(**random_shop))
    first = pd.DataFrame([{**events.iloc[0], "event_type": "purchase", "quantity": 1.0, "item_id": "i0"}])
    first["event_ts"] = AS_OF - timedelta(seconds=1)
    after = built(table, open_shop(**random_shop | {"events": pd.concat([events, first])}))
    assert not after.equals(before)


@COUNTED_TABLES
def test_hidden_items_are_counted_only_as_activity(table, open_shop, random_shop) -> None:
    hidden = random_shop["events"].assign(item_id="i5")
    rows = built(table, open_shop(**random_shop | {"events": hidden}))
    activity = {"user_activity", "user_daypart", "user_weekday", "user_store", "store_activity"}
    assert (len(rows) > 0) == (table.name in activity)


def test_names_are_unique_across_tables_and_views() -> None:
    owners = [*FEATURE_TABLES, *ON_DEMAND]
    names = [column.name for owner in owners for column in owner.columns]
    assert len(set(names)) == len(names)
    assert len({owner.name for owner in owners}) == len(owners)
    keys = set(chain.from_iterable(table.keys for table in FEATURE_TABLES))
    assert not keys & set(names) and not set(REQUEST_FIELDS) & set(names)


def test_views_and_services_name_what_exists() -> None:
    tables = {table.name for table in FEATURE_TABLES}
    for view in ON_DEMAND:
        assert set(view.tables) <= tables and set(view.request) <= set(REQUEST_FIELDS)
    for service in SERVICES:
        assert len(set(service.features)) == len(service.features)
        assert [column_named(name).name for name in service.features] == list(service.features)
    with pytest.raises(KeyError, match="no_such_column"):
        column_named("no_such_column")


def asked(view: OnDemand, rows: int, missing: float, seed: int = 0) -> pd.DataFrame:
    """Stored columns and request fields as a view gets them, that share of stored values missing."""
    rng = np.random.default_rng(seed)
    frame: dict[str, object] = {}
    for table in FEATURE_TABLES:
        if table.name not in view.tables:
            continue
        nothing = rng.random(rows) < missing  # a row is found with all its columns, or not at all
        for column in table.columns:
            if column.dtype == "str":
                frame[column.name] = pd.Series(np.where(nothing, None, "display"), dtype=object)
            else:
                past = rng.integers(1_480_000_000, 1_490_000_000, rows).astype(float)
                value = past if column.name.endswith("_epoch_seconds") else rng.integers(0, 9, rows) / 2.0
                frame[column.name] = np.where(nothing, np.nan, value)
    request = {
        "request_epoch_seconds": rng.integers(1_490_000_000, 1_491_000_000, rows).astype(float),
        "local_day": rng.integers(17_200, 17_400, rows).astype(float),
        "country": pd.Series(rng.choice(["US", "DE", "nowhere"], rows), dtype=object),
    }
    return pd.DataFrame(frame | {field: request[field] for field in view.request}, index=range(rows))


@VIEWS
def test_a_view_answers_row_for_row(view) -> None:
    frame = asked(view, 60, missing=0.3)
    whole = view.transform(frame)
    assert whole.columns.tolist() == [column.name for column in view.columns]
    turned = frame.iloc[::-1]
    pd.testing.assert_frame_equal(view.transform(turned).iloc[::-1], whole)
    for row in range(0, 60, 12):
        alone = view.transform(frame.iloc[row : row + 1])
        pd.testing.assert_frame_equal(alone, whole.iloc[row : row + 1], check_dtype=False)


@VIEWS
def test_a_view_leaves_what_it_is_given_as_it_is(view) -> None:
    frame = asked(view, 20, missing=0.3)
    before = frame.copy()
    view.transform(frame)
    pd.testing.assert_frame_equal(frame, before)


@VIEWS
def test_nothing_in_is_nothing_out_with_every_column(view) -> None:
    empty = view.transform(asked(view, 3, missing=0.0).iloc[:0])
    assert empty.columns.tolist() == [column.name for column in view.columns]
    assert len(empty) == 0


@VIEWS
@pytest.mark.parametrize("missing", [0.0, 0.5, 1.0])
def test_only_what_may_be_null_is_and_nothing_is_infinite(view, missing) -> None:
    answer = view.transform(asked(view, 300, missing, seed=4))
    for column in view.columns:
        if column.null_means == "never null":
            assert answer[column.name].notna().all(), column.name
        if column.dtype != "str":
            assert not np.isinf(answer[column.name].to_numpy(dtype=float)).any(), column.name
        elif missing == 1.0:
            assert answer[column.name].unique().tolist() == ["none"]


@VIEWS
def test_what_may_be_null_is_where_nothing_is_known(view) -> None:
    answer = view.transform(asked(view, 5, missing=1.0).assign(**unknown_country(view)))
    for column in view.columns:
        if column.null_means != "never null":
            assert answer[column.name].isna().all(), column.name


def unknown_country(view: OnDemand) -> dict[str, str]:
    return {"country": "nowhere"} if "country" in view.request else {}
