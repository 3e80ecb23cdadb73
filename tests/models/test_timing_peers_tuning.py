"""The histogram that the timing model is compared with is tuned, not taken as it comes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.calendar import DAYPARTS
from models.calibration import log_losses
from models.timing_peers import timing_peers, tuned_histogram


def test_tuning_finds_the_window_and_strength_with_the_lowest_loss() -> None:
    rng = np.random.default_rng(9)
    habit = rng.dirichlet(np.full(6, 0.3), 80)
    rows = []
    for user in range(80):
        for day in range(150):
            if rng.random() < 0.3:
                rows.append((f"u{user:02d}", DAYPARTS[rng.choice(6, p=habit[user])], day))
    sessions = pd.DataFrame(rows, columns=["user_id", "daypart", "local_day"])
    grid = pd.MultiIndex.from_product(
        [[f"u{user:02d}" for user in range(80)], range(130, 150), DAYPARTS],
        names=["user_id", "local_day", "daypart"],
    ).to_frame(index=False)
    came = pd.MultiIndex.from_frame(sessions[["user_id", "local_day", "daypart"]])
    grid["engaged"] = (
        pd.MultiIndex.from_frame(grid[["user_id", "local_day", "daypart"]]).isin(came).astype(int)
    )

    def loss(**chosen: float) -> float:
        stated = timing_peers(sessions, grid, **chosen)["smoothed_histogram"]
        return float(log_losses(grid["engaged"], stated).mean())

    tuned = tuned_histogram(sessions, grid)
    assert tuned["window_days"] == 365  # habits never change here, so all history is worth having
    assert loss(**tuned) < loss()
    assert loss(**tuned) <= loss(window_days=60, strength_days=tuned["strength_days"])
