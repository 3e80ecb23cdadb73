"""How well a timing model picks the slot, and whether its probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import DAYPARTS
from models.calibration import expected_calibration_error, log_losses


def evaluate_timing(
    rows: pd.DataFrame,
    ours: str,
    peers: Sequence[str],
    bootstraps: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per model, ours first, judged on the same rows.

    Args:
        rows: (user_id, local_day, daypart, engaged, *models): every daypart of each user-day, and each
            model's P(engage) as a column of its name.
        ours: The column the peers are compared with.
        peers: Other columns.
        bootstraps: Resamples of users for the interval.
        seed: Of the resamples.

    Returns:
        (model, top1, top2: share of user-days with a session whose slot is the best or among the best two;
        log_loss in nats a row; ece; log_loss_ratio = ours / model, ratio_low, ratio_high: its 95 %
        interval; user_days, users).
    """
    part = rows["daypart"].map({name: code for code, name in enumerate(DAYPARTS)})
    rows = rows.assign(part=part).sort_values(["user_id", "local_day", "part"], ignore_index=True)
    user = pd.factorize(rows["user_id"])[0]
    labels = rows["engaged"].to_numpy(dtype=np.int64)
    draws = np.random.default_rng(seed).multinomial(
        user.max() + 1, np.full(user.max() + 1, 1.0 / (user.max() + 1)), size=bootstraps
    )
    losses = {name: log_losses(labels, rows[name]) for name in (ours, *peers)}
    totals = {name: draws @ np.bincount(user, loss) for name, loss in losses.items()}
    grid = labels.reshape(-1, len(DAYPARTS))
    table = []
    for name in (ours, *peers):
        hits = slot_hits(rows[name].to_numpy(dtype=float).reshape(-1, len(DAYPARTS)), grid)
        ratios = totals[ours] / totals[name]
        low, high = np.quantile(ratios, [0.025, 0.975]) if bootstraps else (np.nan, np.nan)
        table.append(
            {
                "model": name,
                "top1": hits[0],
                "top2": hits[1],
                "log_loss": float(losses[name].mean()),
                "ece": expected_calibration_error(labels, rows[name]),
                "log_loss_ratio": float(losses[ours].sum() / losses[name].sum()),
                "ratio_low": float(low),
                "ratio_high": float(high),
                "user_days": int(grid.any(axis=1).sum()),
                "users": int(user.max()) + 1,
            }
        )
    return pd.DataFrame(table)


def slot_hits(probabilities: NDArray[np.float64], engaged: NDArray[np.int64]) -> tuple[float, float]:
    """(top-1, top-2) accuracy over the user-days that had a session; equal slots: the earlier one.

    Args:
        probabilities: (user-days, dayparts).
        engaged: Same shape, 0 or 1.

    Examples:
        >>> slot_hits(np.array([[0.5, 0.3, 0.1]]), np.array([[0, 1, 0]]))
        (0.0, 1.0)
    """
    active = engaged.any(axis=1)
    if not active.any():
        return float("nan"), float("nan")
    order = np.argsort(-probabilities[active], axis=1, kind="stable")
    found = np.take_along_axis(engaged[active], order, axis=1)
    return float(found[:, 0].mean()), float(found[:, :2].any(axis=1).mean())
