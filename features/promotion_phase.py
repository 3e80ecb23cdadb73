"""The phase of an item's promotion at the request: announced, first day, running, last day, just over."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from features.counters import SECONDS_PER_DAY
from features.promotion import ANNOUNCED_DAYS, PROMOTION_TABLES, REMEMBERED_DAYS
from features.table import FeatureColumn, OnDemand

PHASES = ("before", "first_day", "running", "last_day", "after", "none")
SCOPES = ("store", "region", "all")  # the nearest that runs is the one told


def _at_request(frame: pd.DataFrame) -> pd.DataFrame:
    now = frame["request_epoch_seconds"].to_numpy(dtype=np.float64)

    def days_to(scope: str, mark: str) -> np.ndarray:
        instant = frame[f"promo_{scope}_{mark}_epoch_seconds"].to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray((instant - now) / SECONDS_PER_DAY, dtype=np.float64)

    count = len(frame)
    numbers = {name: np.full(count, np.nan) for name in ("left", "started", "to_next", "ended", "discount")}
    kind = np.full(count, "none", dtype=object)
    where = np.full(count, "none", dtype=object)
    for scope in reversed(SCOPES):  # a nearer one overwrites a wider one
        left, started, next_start = (days_to(scope, mark) for mark in ("ends", "starts", "next"))
        runs = (left > 0) & (started <= 0)
        told = (
            frame[f"promo_{scope}_kind"].astype(object).where(frame[f"promo_{scope}_kind"].notna(), "unknown")
        )
        kind[runs] = told.to_numpy()[runs]
        where[runs] = scope
        numbers["left"][runs] = left[runs]
        numbers["started"][runs] = -started[runs]
        numbers["discount"][runs] = frame[f"promo_{scope}_discount"].to_numpy(dtype=np.float64)[runs]
        soon = (next_start > 0) & (next_start <= ANNOUNCED_DAYS)
        numbers["to_next"] = np.fmin(numbers["to_next"], np.where(soon, next_start, np.nan))
        over = (left <= 0) & (-left < REMEMBERED_DAYS)
        numbers["ended"] = np.fmin(numbers["ended"], np.where(over, -left, np.nan))
    active = where != "none"
    phase = np.select(
        [
            active & (numbers["left"] <= 1.0),
            active & (numbers["started"] < 1.0),
            active,
            ~np.isnan(numbers["to_next"]),
            ~np.isnan(numbers["ended"]),
        ],
        ["last_day", "first_day", "running", "before", "after"],
        default="none",
    ).astype(object)
    return pd.DataFrame(
        {
            "promo_phase": phase,
            "promo_active": active.astype("float64"),
            "promo_scope": where,
            "promo_days_left": numbers["left"],
            "promo_days_since_start": numbers["started"],
            "promo_days_to_next": numbers["to_next"],
            "promo_days_since_end": np.where(active, np.nan, numbers["ended"]),
            "promo_kind_active": kind,
            "promo_discount_active": numbers["discount"],
        },
        index=frame.index,
    )


def _number(
    name: str, meaning: str, unit: str, null_means: str, trend: Literal[-1, 0, 1] = 0
) -> FeatureColumn:
    return FeatureColumn(name, "float", meaning, null_means, unit, "request", trend)


def _word(name: str, meaning: str) -> FeatureColumn:
    return FeatureColumn(name, "str", meaning, "never null", "", "request")


PROMOTION_AT_REQUEST = OnDemand(
    "promotion_at_request",
    tables=tuple(table.name for table in PROMOTION_TABLES),
    request=("request_epoch_seconds",),
    columns=(
        _word(
            "promo_phase",
            f"last_day (24 hours or less to go), first_day, running, before (starts within {ANNOUNCED_DAYS} "
            f"days), after (ended within {REMEMBERED_DAYS} days) or none; the first that holds",
        ),
        _number("promo_active", "1 while a promotion runs here, else 0", "flag", "never null", trend=1),
        _word("promo_scope", "where the one that runs holds: store, region, all; none runs: none"),
        _number("promo_days_left", "until it ends", "days", "no promotion runs"),
        _number("promo_days_since_start", "since it started", "days", "no promotion runs"),
        _number("promo_days_to_next", "until the next one starts", "days", "none announced"),
        _number("promo_days_since_end", "since the last one ended", "days", "one runs, or none ended lately"),
        _word("promo_kind_active", "kinds of the one that runs; none runs: none"),
        _number(
            "promo_discount_active", "its discount of the price", "share", "none runs, or not told", trend=1
        ),
    ),
    transform=_at_request,
)
