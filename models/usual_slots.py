"""The part of the day in which each user comes most often: when a shop without a timing model would push."""

from __future__ import annotations

import pandas as pd

from features.calendar import DAYPARTS

USUAL = "usual"
"""Stands for it where parts of the day are named."""


def usual_slots(sessions: pd.DataFrame, slots: pd.DataFrame) -> pd.DataFrame:
    """Of each user's `slots` the one with most sessions, one row a user, in the order of `slots`.

    Ties go to where everybody comes most, then to the earlier; so does a user who was never seen.

    Args:
        sessions: (user_id, daypart), all that is known.
        slots: (user_id, slot, ...), those to choose from; where `is_open` is there, open ones come first.

    Examples:
        >>> came = pd.DataFrame({"user_id": ["u1", "u1", "u2"], "daypart": ["late", "late", "evening"]})
        >>> grid = pd.DataFrame({"user_id": ["u1", "u1", "u3", "u3"], "slot": ["evening", "late"] * 2})
        >>> usual_slots(came, grid)["slot"].tolist()
        ['late', 'late']
    """
    own = sessions.groupby(["user_id", "daypart"], observed=True).size().rename("own").reset_index()
    everybody = sessions["daypart"].value_counts()
    keys = slots[["user_id", "slot"]].astype(object)
    told = keys.merge(own.rename(columns={"daypart": "slot"}), on=["user_id", "slot"], how="left")
    order = pd.DataFrame(
        {
            "user_id": keys["user_id"].to_numpy(),
            "is_open": slots["is_open"].to_numpy(dtype=bool) if "is_open" in slots else True,
            "own": told["own"].fillna(0).to_numpy(),
            "everybody": keys["slot"].map(everybody).fillna(0).to_numpy(dtype=float),
            "place": keys["slot"].map(DAYPARTS.index).to_numpy(),
        }
    )
    falling = ["is_open", "own", "everybody"]
    order = order.sort_values([*falling, "place"], ascending=[False, False, False, True], kind="stable")
    first = order.drop_duplicates("user_id").index.sort_values()
    return slots.iloc[first].reset_index(drop=True)
