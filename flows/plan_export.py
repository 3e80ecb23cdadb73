"""A live plan as a file for engagement platforms such as Braze, which send by themselves."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import KairosError
from flows.wiring import Stores

FORMATS = ("csv", "parquet")
COLUMNS = (
    *("external_user_id", "push_id", "campaign_id", "plan_date", "slot", "item_id"),
    *("send_at_utc", "expires_at_utc", "timezone", "local_time", "account_date", "account_minute_of_day"),
    *("experiment", "arm"),
)


def export_rows(live: pd.DataFrame, account_timezone: str) -> pd.DataFrame:
    """COLUMNS of every push that is to be sent, by time and user; pushes of the holdout are not.

    Args:
        live: Rows of push_plan_live.
        account_timezone: The zone of the platform's account, in which its schedules are written.

    Examples:
        >>> send = pd.to_datetime(["2026-03-02T05:30Z"])
        >>> live = pd.DataFrame({"push_id": "p", "batch_id": "b", "plan_date": "2026-03-02", "user_id": "u",
        ...   "slot": "midday", "item_id": "i", "send_at": send, "expires_at": send,
        ...   "timezone": "Asia/Kolkata", "experiment": None, "arm": None, "holdout": False})
        >>> export_rows(live, "America/New_York").filter(regex="local|minute").astype(str).iloc[0].tolist()
        ['2026-03-02T11:00:00+05:30', '30']
    """
    sent = live[~live["holdout"].astype(bool)].sort_values(["send_at", "user_id"], ignore_index=True)
    send_at = pd.to_datetime(sent["send_at"], utc=True)
    account = send_at.dt.tz_convert(account_timezone)
    local = np.empty(len(sent), dtype=object)
    for zone in sent["timezone"].unique():
        rows = (sent["timezone"] == zone).to_numpy()
        moments = send_at[rows].dt.tz_convert(str(zone))
        local[rows] = [moment.isoformat() for moment in moments]
    return pd.DataFrame(
        {
            "external_user_id": sent["user_id"],
            "push_id": sent["push_id"],
            "campaign_id": sent["batch_id"],
            "plan_date": sent["plan_date"].astype(str),
            "slot": sent["slot"],
            "item_id": sent["item_id"],
            "send_at_utc": send_at.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "expires_at_utc": pd.to_datetime(sent["expires_at"], utc=True).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "timezone": sent["timezone"],
            "local_time": local,
            "account_date": account.dt.strftime("%Y-%m-%d"),
            "account_minute_of_day": account.dt.hour * 60 + account.dt.minute,
            "experiment": sent["experiment"],
            "arm": sent["arm"],
        },
        columns=list(COLUMNS),
    )


def export_plan(
    stores: Stores, plan_date: date, account_timezone: str, kind: str, path: Path | None = None
) -> tuple[Path, int]:
    """(the file, its rows) of the day's live plan; the file is there whole or not at all.

    Args:
        stores: With the plan.
        plan_date: Whose plan.
        account_timezone: See `export_rows`.
        kind: csv or parquet.
        path: Where to; `KAIROS_HOME/exports/plan-DATE.KIND` by default.

    Raises:
        KairosError: No plan is live for the day.
    """
    if stores.plans.live_batch(plan_date) is None:
        raise KairosError(f"no plan is live for {plan_date}; run kairos score --plan-date {plan_date}.")
    rows = export_rows(stores.plans.read_live(plan_date), account_timezone)
    path = path or stores.settings.home / "exports" / f"plan-{plan_date}.{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if kind == "csv":
            rows.to_csv(partial, index=False, lineterminator="\n")
        else:
            rows.to_parquet(partial, index=False, compression="zstd")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path, len(rows)
