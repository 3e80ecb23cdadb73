"""The usual slot: where a user comes most, among those that are open; everybody's where nothing is known."""

from __future__ import annotations

import pandas as pd

from models.usual_slots import usual_slots

CAME = pd.DataFrame(
    [("a", "late")] * 3 + [("a", "morning")] * 2 + [("b", "evening")] * 4, columns=["user_id", "daypart"]
)


def grid(users: str, **more) -> pd.DataFrame:
    rows = [(user, slot) for user in users for slot in ("morning", "evening", "late")]
    return pd.DataFrame(rows, columns=["user_id", "slot"]).assign(**more)


def test_each_user_has_the_one_in_which_they_come_most_and_strangers_everybodys():
    found = usual_slots(CAME, grid("zab", p_engage=[0.1] * 9))
    assert found["user_id"].tolist() == ["z", "a", "b"]
    assert found["slot"].tolist() == ["evening", "late", "evening"] and "p_engage" in found


def test_what_quiet_hours_close_is_used_only_where_nothing_is_open():
    is_open = [True, True, False, False, False, False]
    assert usual_slots(CAME, grid("ab", is_open=is_open))["slot"].tolist() == ["morning", "evening"]
    order = grid("ab").iloc[::-1]
    assert set(usual_slots(CAME, order)["slot"]) == {"late", "evening"}, "whatever the order of rows"
