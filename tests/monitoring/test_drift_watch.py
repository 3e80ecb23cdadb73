"""Season-aware drift over all rows: what is ordinary for the season passes, what is not is named."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest

from features.errors import UsageError
from monitoring.drift_bins import bins_of
from monitoring.drift_counts import EVERYTHING, counted, together
from monitoring.drift_distance import jensenshannon, wasserstein
from monitoring.drift_limits import LimitParams, calibrated_limits
from monitoring.drift_season import Season, SeasonParams, like, seasons_of
from monitoring.drift_watch import WatchParams, watch_against, watch_period

FIRST = date(2026, 8, 3)  # a Monday
WEEKS = 9
COLUMNS = ("price", "kind", "hour")


def day_rows(day: date, seed: int = 0, rows: int = 1_500) -> pd.DataFrame:
    """A shop's day: Sundays are small, dear and of other kinds; every week differs a little."""
    rng = np.random.default_rng([seed, day.toordinal()])
    sunday = day.weekday() == 6
    weekly = 1 + 0.03 * rng.standard_normal()
    count = int(rows * (0.5 if sunday else 1.0) * weekly)
    kinds = ["toys", "wine", "bread"] if sunday else ["bread", "wine", "toys"]
    return pd.DataFrame(
        {
            "day": day.isoformat(),
            "price": rng.gamma(4.0, (4.0 if sunday else 2.0) * weekly, count),
            "kind": rng.choice(kinds, count, p=[0.6, 0.3, 0.1]),
            "hour": rng.normal(15, 3, count),
            "store": rng.choice(["s1", "s2", "s3"], count, p=[0.5, 0.3, 0.2]),
        }
    )


DAYS = [FIRST + timedelta(days=n) for n in range(7 * WEEKS)]
HISTORY_ROWS = pd.concat([day_rows(day) for day in DAYS], ignore_index=True)
BINS = bins_of(HISTORY_ROWS, COLUMNS)


def counts_of(frame: pd.DataFrame, period: str | None = "day"):
    with duckdb.connect() as connection:
        connection.register("rows", frame)
        return counted(connection, "rows", BINS, ("store",), period)


HISTORY = {date.fromisoformat(name): counts for name, counts in counts_of(HISTORY_ROWS).items()}


def verdict_on(day: date, frame: pd.DataFrame):
    seasons = {one: Season(one.weekday()) for one in (*HISTORY, day)}
    return watch_period(day, counts_of(frame, None)[""], HISTORY, seasons, BINS)


@pytest.mark.parametrize("later", range(7))
def test_an_ordinary_day_passes_on_every_weekday(later: int) -> None:
    day = DAYS[-1] + timedelta(days=1 + later)
    result = verdict_on(day, day_rows(day, seed=1))
    assert result.verdict == "pass", [one.words for one in result.alarms]
    assert {one.weekday() for one in result.reference} == {day.weekday()}


def test_a_sunday_among_mondays_would_not_pass() -> None:
    monday = DAYS[-1] + timedelta(days=1)
    assert verdict_on(monday, day_rows(DAYS[-1], seed=1)).verdict == "fail"


def _faults() -> dict[str, object]:
    def in_store(change):
        def changed(frame: pd.DataFrame) -> pd.DataFrame:
            broken = frame["store"] == "s3"
            return pd.concat([frame[~broken], change(frame[broken])], ignore_index=True)

        return changed

    return {
        "price null": (
            lambda f: f.assign(price=f["price"].mask(f.index % 5 == 0)),
            ("price", "null_share", ""),
        ),
        "price x100": (lambda f: f.assign(price=f["price"] * 100), ("price", "wasserstein", "")),
        "kinds remapped": (
            lambda f: f.assign(kind=f["kind"].map({"bread": "toys", "toys": "wine", "wine": "bread"})),
            ("kind", "jensenshannon", ""),
        ),
        "a new kind": (
            lambda f: f.assign(kind=f["kind"].replace("bread", "v2:bread")),
            ("kind", "jensenshannon", ""),
        ),
        "clock 5 h late": (lambda f: f.assign(hour=f["hour"] + 5), ("hour", "wasserstein", "")),
        "the day twice": (lambda f: pd.concat([f, f]), ("rows", "rows", "")),
        "store silent": (lambda f: f[f["store"] != "s3"], ("rows", "rows", "store=s3")),
        "one store's prices x3": (
            in_store(lambda f: f.assign(price=f["price"] * 3)),
            ("price", "wasserstein", "store=s3"),
        ),
        "one store's prices null": (
            in_store(lambda f: f.assign(price=None)),
            ("price", "null_share", "store=s3"),
        ),
    }


@pytest.mark.parametrize("name", _faults())
def test_a_fault_is_found_where_it_is(name: str) -> None:
    change, where = _faults()[name]
    day = DAYS[-1] + timedelta(days=1)
    result = verdict_on(day, change(day_rows(day, seed=1)))
    found = {(one.column, one.method, one.slice) for one in result.alarms}
    assert where in found, [one.words for one in result.alarms]
    assert result.verdict in ("warn", "fail")


def test_limits_come_from_the_past_and_hold_their_false_alarm_rate() -> None:
    rng = np.random.default_rng(3)
    checks = [("", f"c{n}", "wasserstein") for n in range(40)]
    alarms = 0
    for _ in range(200):
        past = {check: np.exp(rng.normal(-1.0, 0.5, 6)).tolist() for check in checks}
        limits = calibrated_limits(
            past, dict.fromkeys(checks, 0.01), params=LimitParams(false_alarm_rate=0.1)
        )
        alarms += any(np.exp(rng.normal(-1.0, 0.5)) >= limits[check] for check in checks)
    assert 0.02 <= alarms / 200 <= 0.13


def test_small_effects_never_count_and_few_periods_leave_the_default() -> None:
    check = ("", "price", "wasserstein")
    assert calibrated_limits({check: [1e-6] * 5}, {check: 0.15})[check] == 0.15
    assert calibrated_limits({check: [9.0, 9.0]}, {check: 0.15})[check] == 0.15
    signed = ("", "rows", "rows")
    limit = calibrated_limits({signed: [0.2, -0.2, 0.2, -0.2]}, {signed: 0.1}, ("rows",))[signed]
    assert 0.5 < limit < 3
    with pytest.raises(UsageError, match="false_alarm_rate == 0"):
        LimitParams(false_alarm_rate=0)


def test_without_any_past_nothing_is_said_but_that() -> None:
    day = FIRST
    result = watch_period(day, HISTORY[day], {}, {day: Season(0)}, BINS)
    assert (result.verdict, result.findings, result.reference) == ("warn", (), ())


def test_beside_given_periods_each_tells_what_is_ordinary() -> None:
    mondays = {day: HISTORY[day] for day in DAYS[:28:7]}
    day = DAYS[28]
    assert watch_against(HISTORY[day], mondays, BINS).verdict == "pass"
    broken = counts_of(day_rows(day).assign(price=1.0), None)[""]
    assert watch_against(broken, mondays, BINS, WatchParams(watches_rows=False)).verdict == "fail"
    lone = watch_against(HISTORY[day], {DAYS[21]: HISTORY[DAYS[21]]}, BINS)
    assert lone.verdict in ("pass", "warn") and len(lone.reference) == 1


def test_distances_agree_with_scipy_and_evidently() -> None:
    from scipy.spatial.distance import jensenshannon as theirs

    p, q = np.array([5.0, 3, 2, 0]), np.array([1.0, 4, 4, 1])
    assert jensenshannon(p, q) == pytest.approx(theirs(p, q))
    rng = np.random.default_rng(0)
    before, now = rng.normal(0, 1, 20_000), rng.normal(0.3, 1, 20_000)
    [bins] = bins_of(pd.DataFrame({"x": before}), ["x"])
    with duckdb.connect() as connection:
        counts = []
        for values in (before, now):
            connection.register("rows", pd.DataFrame({"x": values}))
            counts.append(counted(connection, "rows", [bins])[""][EVERYTHING].columns["x"])
    clipped = [np.clip(values, bins.low, bins.high) for values in (before, now)]
    from scipy.stats import wasserstein_distance

    expected = wasserstein_distance(*clipped) / clipped[0].std()
    assert wasserstein(bins, *counts) == pytest.approx(expected, rel=0.02)


def test_counts_are_of_every_row_whatever_it_holds() -> None:
    frame = pd.DataFrame(
        {
            "price": [1.0, np.nan, np.inf, -np.inf, 7.0],
            "kind": ["bread", None, 'it\'s "new"', "wine", "bread"],
            "hour": [1.0, 2.0, 3.0, 4.0, None],
            "store": ["s1", None, "s1", "s1", "s1"],
        }
    )
    slices = counts_of(frame, None)[""]
    whole = slices[EVERYTHING]
    assert whole.rows == 5 and set(slices) == {EVERYTHING, "store=s1"}
    for counts in whole.columns.values():
        assert counts.sum() == 5
    assert whole.columns["price"][-1] == 3, "nulls, and what is no finite number"
    assert whole.columns["kind"][-1] == 1 and whole.columns["kind"][-2] == 1
    both = together([slices, slices])
    assert both[EVERYTHING].rows == 10 and both["store=s1"].columns["kind"].sum() == 8


def test_numbers_of_few_values_flags_and_empty_columns_are_categories() -> None:
    frame = pd.DataFrame(
        {
            "count": np.array([0, 1, 2, 2], dtype=np.float32),
            "flag": [True, False, True, True],
            "whole": [3, 3, 4, 4],
            "none": [None] * 4,
        }
    )
    bins = bins_of(frame, list(frame.columns))
    assert [one.values for one in bins] == [("2", "0", "1"), ("true", "false"), ("3", "4"), ()]
    with duckdb.connect() as connection:
        connection.register("rows", frame)
        counts = counted(connection, "rows", bins)[""][EVERYTHING].columns
    assert {name: vector.tolist() for name, vector in counts.items()} == {
        "count": [2, 1, 1, 0, 0],
        "flag": [3, 1, 0, 0],
        "whole": [2, 2, 0, 0],
        "none": [0, 4],
    }


def test_a_point_mass_has_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(600), np.arange(1, 401)])
    [bins] = bins_of(pd.DataFrame({"x": values}), ["x"])
    with duckdb.connect() as connection:
        connection.register("rows", pd.DataFrame({"x": values}))
        counts = counted(connection, "rows", [bins])[""][EVERYTHING].columns["x"]
    assert counts[bins.edges.index(0.0)] == 600


def test_a_day_is_compared_with_days_like_it() -> None:
    days = [date(2017, 9, 1) + timedelta(days=n) for n in range(85)]
    seasons = seasons_of(days, "US")
    friday = date(2017, 11, 24)
    assert seasons[date(2017, 11, 20)].near_holiday and not seasons[date(2017, 11, 17)].near_holiday
    found = like(friday, seasons, Season(4, near_holiday=True))
    assert all(seasons[one].near_holiday for one in found) and friday not in found
    plain = like(date(2017, 11, 17), seasons, Season(4))
    assert {one.weekday() for one in plain} == {4} and len(plain) == 6
    assert like(days[0], seasons, Season(4)) == ()
    assert not any(season.near_holiday for season in seasons_of(days, "").values())
    with pytest.raises(UsageError, match="least == 3"):
        SeasonParams(most=2)


def test_a_sale_is_compared_with_sales() -> None:
    days = [date(2026, 3, 2) + timedelta(days=n) for n in range(63)]
    phases = {day: "sale" for day in days if day.isocalendar().week % 2}
    seasons = seasons_of(days, "DE", phases)
    sale = days[-1] + timedelta(days=1)
    found = like(sale, seasons, Season(sale.weekday(), "sale"))
    assert len(found) >= 3 and {seasons[one].phase for one in found} == {"sale"}


def test_a_feast_in_an_unknown_phase_is_compared_with_feasts() -> None:
    days = [date(2026, 3, 2) + timedelta(days=n) for n in range(63)]
    seasons = {day: Season(day.weekday(), near_holiday=day >= date(2026, 4, 27)) for day in days}
    found = like(days[-1] + timedelta(days=1), seasons, Season(0, "few", near_holiday=True))
    assert len(found) >= 3 and all(seasons[one].near_holiday for one in found)


def test_on_a_feast_the_hours_say_nothing_but_the_rest_does() -> None:
    day = DAYS[-1] + timedelta(days=1)
    frame = day_rows(day, seed=1).assign(hour=lambda f: f["hour"] - 6, kind="toys")
    for is_feast, columns in ((False, {"kind", "hour"}), (True, {"kind"})):
        seasons = {one: Season(one.weekday(), is_feast=is_feast) for one in (*HISTORY, day)}
        params = WatchParams(hourly=("hour",))
        result = watch_period(day, counts_of(frame, None)[""], HISTORY, seasons, BINS, params)
        assert {one.column for one in result.alarms} == columns
