"""Arithmetic of on-demand features: ages, rates, shares and trends at the request's instant."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.counters import SECONDS_PER_DAY

_DECIMALS = 6
"""The last bits of a decayed count depend on the order in which it was added up; nobody may see them."""


def days_since(frame: pd.DataFrame, column: str) -> pd.Series[float]:
    """Days from the instant in `column` (UTC seconds) to the request; missing where it never was."""
    return (frame["request_epoch_seconds"].astype("float64") - frame[column]) / SECONDS_PER_DAY


def decayed_now(frame: pd.DataFrame, prefix: str, half_life_days: int) -> pd.Series[float]:
    """A decayed count carried from the key's last event to the request; 0 where there never was one."""
    age_days = days_since(frame, f"{prefix}_last_epoch_seconds")
    decayed = frame[f"{prefix}_decayed_{half_life_days}d"].astype("float64")
    return (decayed * np.exp2(-age_days / half_life_days)).round(_DECIMALS).fillna(0.0)


def mean_gap_days(frame: pd.DataFrame, prefix: str) -> pd.Series[float]:
    """Mean days from one session's begin to the next one's, each counting one; missing under two."""
    span = (frame[f"{prefix}_began_epoch_seconds"] - frame[f"{prefix}_first_epoch_seconds"]) / SECONDS_PER_DAY
    gaps = frame[f"{prefix}_visits"] - 1.0
    return span.where(gaps > 0) / gaps.where(gaps > 0)


def due(since_days: pd.Series[float], gap_days: pd.Series[float]) -> pd.Series[float]:
    """How due the next session is: days since the last one over the usual gap; about 1 is due.

    A gap under a day counts as a day: two sessions within the hour are no habit of buying hourly.

    >>> due(pd.Series([10.0, 10.0]), pd.Series([5.0, 0.01])).tolist()
    [2.0, 10.0]
    """
    return since_days / gap_days.clip(lower=1.0)


def ratio(numerator: pd.Series[float], denominator: pd.Series[float]) -> pd.Series[float]:
    """`numerator / denominator`, missing where the denominator is 0 or missing.

    >>> ratio(pd.Series([1.0, 1.0]), pd.Series([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    return numerator / denominator.where(denominator > 0)


def shrunk_share(
    part: pd.Series[float], whole: pd.Series[float], prior: pd.Series[float] | float, strength: float
) -> pd.Series[float]:
    """`part / whole` pulled towards `prior` as if `strength` more sessions had followed it.

    Source: the posterior mean of a Dirichlet-multinomial with `strength` pseudo-counts.

    >>> shrunk_share(pd.Series([3.0, float("nan")]), pd.Series([3.0, float("nan")]), 0.5, 1.0).tolist()
    [0.875, 0.5]
    """
    return (part.fillna(0.0) + strength * prior) / (whole.fillna(0.0) + strength)


def shrunk_lift(
    observed: pd.Series[float],
    expected: pd.Series[float],
    prior: pd.Series[float] | float,
    strength: float,
) -> pd.Series[float]:
    """`observed / expected` pulled towards `prior` as if `strength` more expected ones had followed it.

    Source: the posterior mean of a Poisson rate under a gamma prior.

    >>> shrunk_lift(pd.Series([6.0, 0.0]), pd.Series([2.0, float("nan")]), 1.5, 2.0).tolist()
    [2.25, 1.5]
    """
    return (observed.fillna(0.0) + strength * prior) / (expected.fillna(0.0) + strength)


def trend(
    frame: pd.DataFrame, prefix: str, short_hours: int, long_hours: int, strength: float = 1.0
) -> pd.Series[float]:
    """The pace of the short window over that of the long one, shrunk to 1; missing where never seen."""
    expected = frame[f"{prefix}_last_{long_hours}h"] * (short_hours / long_hours)
    return (frame[f"{prefix}_last_{short_hours}h"] + strength) / (expected + strength)
