"""Does the live model keep its promises: what became of pushes that were sent, beside what was said of them.

Only pushes whose window is over count: one that was sent an hour ago has not failed, it has not answered yet.
Answers that come late are counted when the same days are measured again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import pandas as pd

from models.calibration import expected_calibration_error

Verdict = Literal["ok", "warn", "fail"]
WHOLE = ""
_ANSWERS = ("app_open", "search", "view", "add_to_cart", "purchase", "push_opened")


@dataclass(frozen=True)
class HealthParams:
    """When a promise counts as broken.

    Attributes:
        engage_hours: For so long a session counts as the answer to a push: as the timing model was taught.
        buy_hours: For so long a purchase of a pushed item counts as converted.
        least_pushes: Slices with fewer are not judged.
        warn_ratio, fail_ratio: Observed over expected answers beyond this, or below its inverse.
        least_z: Standard errors that the difference must have besides.
    """

    engage_hours: float = 4.0
    buy_hours: float = 24.0
    least_pushes: int = 100
    warn_ratio: float = 1.5
    fail_ratio: float = 2.0
    least_z: float = 3.3


@dataclass(frozen=True)
class HealthRow:
    """A slice of the pushes whose window is over.

    Attributes:
        pushes: How many.
        expected: Answers that the timing model promised.
        engaged: Answers that came.
        converted: Pushes of which an item was bought.
        ndcg: Mean NDCG of the pushed items' order, of pushes of which any was bought; NaN without one.
        ece: Expected calibration error of the promises.
    """

    slice: str
    pushes: int
    expected: float
    engaged: int
    converted: int
    ndcg: float
    ece: float
    verdict: Verdict

    @property
    def ratio(self) -> float:
        """Observed over expected answers."""
        return self.engaged / self.expected if self.expected else float("nan")

    @property
    def words(self) -> str:
        """One clause."""
        where = f" ({self.slice})" if self.slice else ""
        return (
            f"{self.engaged:,} of {self.pushes:,} pushes answered, {self.expected:,.0f} promised "
            f"({self.ratio:.2f} times), {self.converted:,} bought{where}"
        )


def model_health(
    pushes: pd.DataFrame,
    items: pd.DataFrame,
    events: pd.DataFrame,
    as_of: datetime,
    params: HealthParams | None = None,
) -> list[HealthRow]:
    """The whole first, then each slot; empty while no push's window is over.

    Args:
        pushes: (push_id, user_id, slot, sent_at, p_engage), one row a push that was sent.
        items: (push_id, rank, item_id).
        events: (user_id, event_type, event_ts, item_id, push_id); those at or after `as_of` are ignored.
        as_of: Knowledge cut-off.
    """
    params = params or HealthParams()
    longest = timedelta(hours=max(params.engage_hours, params.buy_hours))
    mature = pushes[pushes["sent_at"] <= as_of - longest].reset_index(drop=True)
    if mature.empty:
        return []
    known = events[events["event_ts"] < as_of]
    engaged = answered(mature, known, params.engage_hours)
    bought = _bought(mature, items, known, params.buy_hours)
    told = mature.assign(
        engaged=engaged,
        converted=mature["push_id"].isin(bought["push_id"]).to_numpy(),
        ndcg=mature["push_id"].map(_ndcg(items, bought)).to_numpy(dtype=float),
    )
    rows = [_row(WHOLE, told, params)]
    rows += [
        _row(f"slot={slot}", told[told["slot"] == slot], params) for slot in sorted(told["slot"].unique())
    ]
    return rows


def worst(rows: list[HealthRow]) -> Verdict:
    """The gravest verdict; 'ok' without any.

    Examples:
        >>> worst([])
        'ok'
    """
    order: Mapping[Verdict, int] = {"ok": 0, "warn": 1, "fail": 2}
    return max((row.verdict for row in rows), key=lambda verdict: order[verdict], default="ok")


def answered(pushes: pd.DataFrame, events: pd.DataFrame, hours: float) -> np.ndarray:
    """Whether each push was answered: opened, or followed by anything its user did."""
    opened = set(events.loc[events["event_type"] == "push_opened", "push_id"].dropna())
    answers = events.loc[events["event_type"].isin(_ANSWERS), ["user_id", "event_ts"]]
    answers = answers.assign(
        event_ts=answers["event_ts"].dt.as_unit("us")
    )  # pandas joins only like with like
    left = pushes[["push_id", "user_id", "sent_at"]].sort_values("sent_at", ignore_index=True)
    left["sent_at"] = left["sent_at"].dt.as_unit("us")
    met = pd.merge_asof(
        left,
        answers.sort_values("event_ts").rename(columns={"event_ts": "answered_at"}),
        left_on="sent_at",
        right_on="answered_at",
        by="user_id",
        direction="forward",
        tolerance=pd.Timedelta(hours=hours),
    )
    came = set(met.loc[met["answered_at"].notna(), "push_id"])
    return pushes["push_id"].isin(opened | came).to_numpy()


def _bought(pushes: pd.DataFrame, items: pd.DataFrame, events: pd.DataFrame, hours: float) -> pd.DataFrame:
    """(push_id, rank) of pushed items that their user bought in time."""
    sales = events.loc[events["event_type"] == "purchase", ["user_id", "item_id", "event_ts"]]
    offered = items.merge(pushes[["push_id", "user_id", "sent_at"]], on="push_id")
    met = offered.merge(sales, on=["user_id", "item_id"])
    late = met["event_ts"] - met["sent_at"]
    in_time = met[(late >= pd.Timedelta(0)) & (late <= pd.Timedelta(hours=hours))]
    return in_time[["push_id", "rank"]].drop_duplicates()


def _ndcg(items: pd.DataFrame, bought: pd.DataFrame) -> pd.Series:
    """Push -> NDCG of the order in which its items were offered, of those with a bought one."""
    gain = (1.0 / np.log2(1.0 + bought["rank"].to_numpy(dtype=float))).astype(float)
    got = pd.Series(gain, index=bought["push_id"]).groupby(level=0).agg(["sum", "count"])
    length = items.groupby("push_id").size().reindex(got.index)
    best = np.minimum(got["count"].to_numpy(dtype=int), length.to_numpy(dtype=int))
    ideal = np.array([float((1.0 / np.log2(np.arange(2, count + 2))).sum()) for count in best])
    return pd.Series(got["sum"].to_numpy(dtype=float) / ideal, index=got.index)


def _row(name: str, told: pd.DataFrame, params: HealthParams) -> HealthRow:
    chance = told["p_engage"].to_numpy(dtype=float)
    engaged = told["engaged"].to_numpy(dtype=bool)
    expected = float(chance.sum())
    error = float(np.sqrt((chance * (1 - chance)).sum()))
    ratio = engaged.sum() / expected if expected else float("nan")
    verdict: Verdict = "ok"
    if len(told) >= params.least_pushes and abs(engaged.sum() - expected) > params.least_z * error:
        far = max(ratio, 1 / ratio if ratio else float("inf"))
        verdict = "fail" if far >= params.fail_ratio else "warn" if far >= params.warn_ratio else "ok"
    orders = told["ndcg"].to_numpy(dtype=float)
    return HealthRow(
        name,
        len(told),
        expected,
        int(engaged.sum()),
        int(told["converted"].sum()),
        float(np.nanmean(orders)) if np.isfinite(orders).any() else float("nan"),
        expected_calibration_error(engaged, chance),
        verdict,
    )
