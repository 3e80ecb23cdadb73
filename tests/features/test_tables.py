"""What every feature table and on-demand view promises, checked on each of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import chain

import numpy as np
import pandas as pd
import pytest

from features.promotion import relevant_promotions
from features.table import REQUEST_FIELDS, OnDemand
from features.tables import FEATURE_TABLES, ON_DEMAND, SERVICES, column_named, declared_trends
from features.visits import create_visits

AS_OF = datetime(2017, 3, 31, tzinfo=UTC)  # a day of the random shop's forty
COUNTED = [table for table in FEATURE_TABLES if table.counts is not None]
TABLES = pytest.mark.parametrize("table", FEATURE_TABLES, ids=lambda table: table.name)
COUNTED_TABLES = pytest.mark.parametrize("table", COUNTED, ids=lambda table: table.name)
VIEWS = pytest.mark.parametrize("view", ON_DEMAND, ids=lambda view: view.name)


Tables = dict[str, pd.DataFrame]


def built(connection, as_of=AS_OF) -> Tables:
    """Every table's rows by key and time."""
    relations = {**create_visits(connection), "promotions": relevant_promotions(connection, as_of)}
    tables = {}
    for table in FEATURE_TABLES:
        rows = table.build(relations[table.source], as_of).df()
        tables[table.name] = rows.sort_values([*table.keys, "event_timestamp"], ignore_index=True)
    return tables


@pytest.fixture(scope="module")
def shop_tables(open_shop, told_shop) -> Tables:
    return built(open_shop(**told_shop))


@TABLES
def test_build_returns_the_declared_columns(table, shop_tables) -> None:
    rows = shop_tables[table.name]
    declared = [column.name for column in table.columns]
    assert rows.columns.tolist() == [*table.keys, "event_timestamp", *declared]
    assert len(rows) > 10
    for column in table.columns:
        assert rows[column.name].notna().any(), column.name
        assert (rows[column.name].dtype == "object") == (column.dtype == "str"), column.name
    assert rows[list(table.keys)].notna().all(axis=None)
    assert not rows.duplicated([*table.keys, "event_timestamp"]).any()


@COUNTED_TABLES
def test_a_row_is_valid_only_after_the_events_it_counts(table, shop_tables) -> None:
    rows = shop_tables[table.name]
    assert (rows["event_timestamp"] <= AS_OF).all()
    last = [column.name for column in table.columns if column.name.endswith("_last_epoch_seconds")]
    for name in last:
        assert (rows["event_timestamp"].dt.as_unit("s").astype("int64") > rows[name]).all()
        assert (rows[name] < AS_OF.timestamp()).all()


def test_the_future_is_not_known(open_shop, told_shop, shop_tables) -> None:
    """Events at or after the cut-off are added, removed and changed; so are promotions not announced yet."""
    events, promotions = told_shop["events"], told_shop["promotions"]
    known, future = events[events["event_ts"] < AS_OF], events[events["event_ts"] >= AS_OF]
    added = known.sample(400, random_state=1).assign(event_ts=AS_OF)
    added.loc[added.index[200:], "event_ts"] += pd.to_timedelta(np.arange(200) * 977, unit="s")
    changed = future.sample(frac=0.6, random_state=3).assign(user_id="u1", store_id="s9", device="palm")
    stirred = pd.concat([added, known, changed]).sample(frac=1.0, random_state=2)
    announced = promotions[promotions["starts_at"] <= AS_OF + timedelta(days=7)]
    unknown = announced.assign(starts_at=AS_OF + timedelta(days=8), ends_at=AS_OF + timedelta(days=9))
    found = built(open_shop(**told_shop | {"events": stirred, "promotions": pd.concat([announced, unknown])}))
    for table in FEATURE_TABLES:
        at_cut_off = [
            rows[rows["event_timestamp"] <= AS_OF].reset_index(drop=True)
            for rows in (shop_tables[table.name], found[table.name])
        ]
        assert len(at_cut_off[0]) > 10, table.name
        pd.testing.assert_frame_equal(*at_cut_off, obj=table.name)


@COUNTED_TABLES
def test_an_earlier_cut_off_gives_the_same_earlier_rows(table, open_shop, told_shop, shop_tables) -> None:
    earlier = AS_OF - timedelta(days=11, hours=5)
    relation = create_visits(open_shop(**told_shop))[table.source]
    rows = table.build(relation, earlier).df()
    rows = rows.sort_values([*table.keys, "event_timestamp"], ignore_index=True)
    whole = shop_tables[table.name]
    on_grid = earlier.replace(hour=0) if table.counts.grid_seconds > 3_600 else earlier
    expected, found = (
        frame[frame["event_timestamp"] <= on_grid].reset_index(drop=True) for frame in (whole, rows)
    )
    pd.testing.assert_frame_equal(found, expected)


def test_an_event_before_the_cut_off_does_change_the_tables(open_shop, told_shop, shop_tables) -> None:
    events = told_shop["events"]
    shown = {"event_type": "purchase", "quantity": 1.0, "item_id": "i0", "store_id": "s1", "region": "r1"}
    shown |= {"device": "ios", "network": "wifi", "channel": "app", "weather": "sun"}
    bought = pd.DataFrame([{**events.iloc[0], **shown}])
    bought["event_ts"] = AS_OF - timedelta(days=1, seconds=1)
    pushes = pd.concat([bought.assign(event_type=f"push_{kind}") for kind in ("sent", "opened", "dismissed")])
    after = built(open_shop(**told_shop | {"events": pd.concat([events, bought, pushes])}))
    for table in COUNTED:
        assert not after[table.name].equals(shop_tables[table.name]), table.name


def test_what_nobody_tells_has_empty_tables(open_shop, told_shop) -> None:
    silent = told_shop["events"].assign(device="unknown", region="unknown", network="unknown")
    tables = built(open_shop(**told_shop | {"events": silent}))
    for table in FEATURE_TABLES:
        if table.counts is not None:
            told = not {"device", "region", "network"} & set(table.keys)
            assert (len(tables[table.name]) > 0) == told, table.name


def test_every_column_says_what_it_is() -> None:
    for owner in (*FEATURE_TABLES, *ON_DEMAND):
        for column in owner.columns:
            assert column.meaning and column.null_means and column.window, column.name
            assert (column.unit == "") == (column.dtype == "str"), column.name
            assert "\n" not in column.meaning and not column.meaning.endswith("."), column.name


def test_only_numbers_have_a_trend_and_ages_have_none() -> None:
    trends = declared_trends()
    assert {"promo_active", "user_item_rate_90d"} <= set(trends)
    assert set(trends.values()) <= {-1, 1}
    for name in trends:
        assert column_named(name).dtype == "float"
        assert (
            column_named(name).unit != "days"
        )  # sooner is not always better: what was just bought is not due


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
        "local_hour": rng.integers(0, 24, rows).astype(float),
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
