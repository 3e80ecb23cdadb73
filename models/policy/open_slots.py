"""Which slots of a day can still reach a user: what to rank, before there is anything to push."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pandas as pd

from features.calendar import DAYPARTS
from models.policy.expired import EXPIRED
from models.policy.facts import PolicyContext, user_facts
from models.policy.params import DEFER, PolicyParams
from models.policy.quiet_hours import QUIET_HOURS
from models.policy.rule import kept_rows
from models.policy.slot_facts import slot_facts


def open_slots(users: pd.DataFrame, params: PolicyParams, plan_date: date, as_of: datetime) -> pd.DataFrame:
    """The slots in which one can send on the user's local `plan_date`, at or after `as_of`.

    Exactly those that the plan's rules quiet_hours and expired let through; no other rule is asked. Where
    quiet hours drop a push rather than put it off, the plan may drop some of these: it knows the best time.

    Args:
        users: (user_id, timezone, quiet_start, quiet_end, and locale and region where known) as in USERS;
            nulls take the defaults of `params`.
        as_of: Knowledge cut-off, UTC.

    Returns:
        (user_id, slot), one row an open slot, by user in the order of `users`, then by time of day.

    Examples:
        >>> names = ["user_id", "timezone", "quiet_start", "quiet_end"]
        >>> users = pd.DataFrame([("u1", "UTC", None, None)], columns=names)
        >>> noon = pd.Timestamp("2017-12-04T12:00Z")
        >>> open_slots(users, PolicyParams(), date(2017, 12, 4), noon)["slot"].tolist()
        ['midday', 'afternoon', 'evening']
    """
    nothing = pd.DataFrame()
    context = PolicyContext(as_of, items=nothing, purchases=nothing, pushes=nothing)
    people = user_facts(users, pd.Index(users["user_id"].unique()), context, params, plan_date)
    user = np.repeat(np.arange(len(people)), len(DAYPARTS))
    slot = np.tile(np.arange(len(DAYPARTS)), len(people))
    params = replace(params, quiet_action=DEFER)
    facts = slot_facts(user, slot, people, np.zeros(0, dtype=np.int64), as_of, plan_date, params)
    rows = np.arange(facts.length)
    for rule in (QUIET_HOURS, EXPIRED):
        rows = rows[kept_rows(rule, facts, rows, params)]
    return facts.frame(["user_id", "slot"], rows)
