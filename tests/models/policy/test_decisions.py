"""Each rule as a table: what it is told, whether the row passes, and what a person reads when it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.policy.below_value import BELOW_VALUE
from models.policy.consent import CONSENT
from models.policy.daily_cap import DAILY_CAP
from models.policy.diversity import DIVERSITY
from models.policy.expired import EXPIRED
from models.policy.kill_switch import KILL_SWITCH, STOP_COLUMNS, everything_off, items_off
from models.policy.min_gap import MIN_GAP
from models.policy.params import PolicyParams
from models.policy.quiet_hours import QUIET_HOURS
from models.policy.recently_bought import RECENTLY_BOUGHT
from models.policy.registry import ITEM_RULES, PUSH_RULES, SLOT_RULES, USER_RULES
from models.policy.rule import Rule, kept_by, ledger_rows
from models.policy.sensitive import SENSITIVE
from models.policy.unavailable import UNAVAILABLE
from models.policy.weekly_cap import WEEKLY_CAP

NAN = float("nan")
DEFER, DROP = PolicyParams(), PolicyParams(quiet_action="drop")
EVENING = {"slot": "evening", "quiet_start": 1230, "quiet_end": 480}

TABLE: list[tuple[Rule, PolicyParams, dict[str, Any], str | None]] = [
    # rule, parameters, facts, the words where it stops (None: it passes)
    (CONSENT, DEFER, {"push_consent": True}, None),
    (CONSENT, DEFER, {"push_consent": False}, "no recorded consent to push"),
    (CONSENT, DEFER, {"push_consent": None}, "no recorded consent to push"),
    (KILL_SWITCH, DEFER, {"switched_off": ""}, None),
    (KILL_SWITCH, DEFER, {"switched_off": "everything: wrong prices"}, "everything: wrong prices"),
    (DAILY_CAP, DEFER, {"pushes_that_day": 1, "cap": 2}, None),
    (DAILY_CAP, DEFER, {"pushes_that_day": 0, "cap": 0}, "0 of at most 0 pushes that day"),
    (
        DAILY_CAP,
        DEFER,
        {"pushes_that_day": 1, "cap": 1, "chosen": "evening is worth more"},
        "1 of at most 1 pushes that day; evening is worth more",
    ),
    (WEEKLY_CAP, PolicyParams(max_per_week=3), {"pushes_that_week": 2}, None),
    (WEEKLY_CAP, PolicyParams(max_per_week=3), {"pushes_that_week": 3}, "3 of at most 3 pushes in 7 days"),
    (WEEKLY_CAP, PolicyParams(max_per_week=0), {"pushes_that_week": 0}, "0 of at most 0 pushes in 7 days"),
    (QUIET_HOURS, DEFER, {**EVENING, "expires_epoch_seconds": 9.0, "best_time_quiet": True}, None),
    (QUIET_HOURS, DROP, {**EVENING, "expires_epoch_seconds": 9.0, "best_time_quiet": False}, None),
    (
        QUIET_HOURS,
        DROP,
        {**EVENING, "expires_epoch_seconds": 9.0, "best_time_quiet": True},
        "the best time of the evening is quiet, 20:30-08:00 local, and is not put off",
    ),
    (
        QUIET_HOURS,
        DROP,
        {**EVENING, "expires_epoch_seconds": NAN, "best_time_quiet": True},
        "quiet 20:30-08:00 local leaves less than 30 unbroken minutes of the evening",
    ),
    (EXPIRED, DEFER, {"send_epoch_seconds": 7200.0, "as_of_epoch_seconds": 7200.0}, None),
    (
        EXPIRED,
        DEFER,
        {"send_epoch_seconds": 0.0, "as_of_epoch_seconds": 7200.0},
        "its last time to send had passed 2.0 hours before the plan was made",
    ),
    (MIN_GAP, DEFER, {"hours_to_nearest_push": NAN}, None),
    (MIN_GAP, DEFER, {"hours_to_nearest_push": 12.0}, None),
    (
        MIN_GAP,
        DEFER,
        {"hours_to_nearest_push": 11.9},
        "11.9 hours from another push, must be at least 12",
    ),
    (UNAVAILABLE, DEFER, {"in_catalogue": True, "available": NAN, "stock": NAN}, None),
    (UNAVAILABLE, DEFER, {"in_catalogue": True, "available": 1.0, "stock": 1.0}, None),
    (UNAVAILABLE, DEFER, {"in_catalogue": True, "available": 1.0, "stock": 0.0}, "stock is 0"),
    (UNAVAILABLE, DEFER, {"in_catalogue": True, "available": 0.0, "stock": 5.0}, "withdrawn"),
    (UNAVAILABLE, DEFER, {"in_catalogue": False, "available": NAN, "stock": NAN}, "not in the catalogue"),
    (SENSITIVE, DEFER, {"sensitive": False}, None),
    (SENSITIVE, DEFER, {"sensitive": True}, "marked sensitive in the catalogue"),
    (SENSITIVE, PolicyParams(allow_sensitive=True), {"sensitive": True}, None),
    (RECENTLY_BOUGHT, DEFER, {"days_since_bought": NAN, "mean_gap_days": NAN}, None),
    (RECENTLY_BOUGHT, DEFER, {"days_since_bought": 3.0, "mean_gap_days": 10.0}, None),
    (
        RECENTLY_BOUGHT,
        DEFER,
        {"days_since_bought": 2.9, "mean_gap_days": 10.0},
        "bought 2.9 days ago, usually every 10.0 days",
    ),
    (
        RECENTLY_BOUGHT,
        DEFER,
        {"days_since_bought": 0.5, "mean_gap_days": NAN},
        "bought 0.5 days ago, rests 1",
    ),
    (
        DIVERSITY,
        DEFER,
        {"slot_row": 0, "category_code": 1, "pushed_that_day": True, "category": "tea"},
        "already in another push that day",
    ),
    (
        DIVERSITY,
        DEFER,
        {"slot_row": 0, "category_code": 1, "pushed_that_day": False, "category": "tea"},
        None,
    ),
    (BELOW_VALUE, PolicyParams(min_expected_value=0.1), {"expected_value": 0.2}, None),
    (
        BELOW_VALUE,
        PolicyParams(min_expected_value=0.1),
        {"expected_value": 0.1},
        "expected value 0.1000, must exceed 0.1",
    ),
    (
        BELOW_VALUE,
        PolicyParams(min_expected_value=0.1),
        {"expected_value": -0.05, "push_cost": 0.2, "recent_pushes": 4.0},
        "expected value -0.0500, must exceed 0.1; 0.2000 was taken off for 4.0 pushes of late",
    ),
]


@pytest.mark.parametrize(
    ("rule", "params", "facts", "words"), TABLE, ids=lambda value: getattr(value, "name", "")
)
def test_a_rule_decides_and_says_why(rule, params, facts, words):
    rows = pd.DataFrame({name: [value] for name, value in facts.items()})
    kept = kept_by(rule, rows, params)
    assert kept.tolist() == [words is None]
    ledger = ledger_rows(rule, rows[~kept], params)
    assert ledger["detail"].tolist() == ([] if words is None else [words])
    assert (ledger["rule"] == rule.name).all()


def test_every_rule_is_in_the_table():
    told = {rule for rule, _, _, words in TABLE if words is None} & {
        r for r, _, _, w in TABLE if w is not None
    }
    assert told == {*USER_RULES, *SLOT_RULES, *ITEM_RULES, *PUSH_RULES}


def test_switches_name_what_they_stop():
    def stops(*rows: tuple[str, str, str]) -> pd.DataFrame:
        return pd.DataFrame(list(rows), columns=list(STOP_COLUMNS))

    assert everything_off(stops()) == "" and everything_off(stops(("channel", "mail", "x"))) == ""
    assert everything_off(stops(("channel", "push", "noisy"))) == "channel push: noisy"
    assert everything_off(stops(("campaign", "spring", "x"))) == "", "an experiment is assigned later"
    items = pd.DataFrame(
        {"item_id": ["a", "b", "c"], "category_path": pd.array(["food > fish", "foodie", None], "string")}
    )
    on = stops(("category", "food", "recall"), ("item", "c", "broken"), ("category", "none", "x"))
    assert items_off(items, on).tolist() == ["category food: recall", "", "item c: broken"]
    assert items_off(items[["item_id"]], on).tolist() == ["", "", "item c: broken"]
    assert np.array_equal(items_off(items, stops()), ["", "", ""])
