"""Published plans read back for people: one user's day, and a few users who show what a plan does."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping
from datetime import date
from typing import Any

import pandas as pd

from features.errors import KairosError
from flows.moments import local_date, shop_timezone
from flows.plan_words import UserPlan
from flows.wiring import Stores
from infra.watermarks import read_watermark


def newest_plan_date(stores: Stores) -> date:
    """The latest day with a live plan.

    Raises:
        KairosError: None is published.
    """
    _, rows = stores.database.read_only("SELECT max(plan_date) FROM kairos.push_batch WHERE status = 'live'")
    found = rows[0][0]
    if found is None:
        raise KairosError("no plan is published yet; run kairos demo.")
    assert isinstance(found, date)
    return found


def first_open_date(stores: Stores) -> date:
    """The day of the last scoring: what was planned for days before it has been sent."""
    mark = read_watermark(stores.database, "score")
    return date.min if mark is None else local_date(mark.value, shop_timezone(stores.settings))


def read_user_plan(stores: Stores, user_id: str, plan_date: date) -> UserPlan:
    """The user's pushes as published, their items, the suppressions, and what has stopped a push since."""
    pushes = stores.plans.read_published(plan_date, user_id)
    items = stores.plans.read_items(plan_date, user_id)
    suppressions = stores.plans.read_suppressions(plan_date, user_id)
    named = pd.concat([pushes["item_id"], items["item_id"], suppressions["item_id"]]).dropna().unique()
    stopped = _stopped(stores, pushes, set(stores.plans.read_live(plan_date, user_id)["push_id"]))
    return UserPlan(user_id, plan_date, pushes, items, suppressions, _titles(stores, named), stopped)


def _stopped(stores: Stores, pushes: pd.DataFrame, live: Container[str]) -> dict[str, str]:
    """Why each push that is live no more is not, by push_id."""
    found = {}
    for push in pushes.to_dict("records"):
        if push["push_id"] in live:
            continue
        words = [f"{push['arm']} of {push['experiment'] or 'everything'}"] if push["holdout"] else []
        words += [
            f"consent withdrawn {held.since:%Y-%m-%d %H:%M} UTC ({held.cause}, by {held.who}: {held.why})"
            for held in stores.stops.withdrawals(str(push["user_id"]))
        ]
        words += [
            f"{on.name} stopped {on.since:%Y-%m-%d %H:%M} UTC by {on.who}: {on.why}"
            for on in stores.stops.active()
            if on.scope == "all" or (on.scope, on.target) in _names_of(push)
        ]
        item = stores.stops.stopped_item(str(push["item_id"]))
        words += [f"its item is stopped: {item}"] if item is not None else []
        found[str(push["push_id"])] = "; ".join(words) or "stopped a moment ago"
    return found


def _names_of(push: Mapping[Hashable, Any]) -> tuple[tuple[str, Any], ...]:
    return ("channel", push["channel"]), ("campaign", push["experiment"])


def sample_user_plans(stores: Stores, plan_date: date) -> tuple[UserPlan, ...]:
    """Up to three users' days: the push of most value, a middling one, and somebody left in peace."""
    live = "FROM kairos.push_plan_live WHERE plan_date = '{day}'"
    best = f"SELECT user_id {live} ORDER BY expected_value DESC, user_id LIMIT 1"
    silent = (
        "SELECT s.user_id FROM kairos.suppression s JOIN kairos.push_batch b USING (batch_id) "
        "WHERE b.plan_date = '{day}' AND b.status = 'live' AND NOT EXISTS "
        "(SELECT 1 FROM kairos.push_plan_live p WHERE p.plan_date = '{day}' AND p.user_id = s.user_id) "
        "GROUP BY 1 ORDER BY bool_or(s.rule = 'no_consent'), count(*) DESC, 1 LIMIT 1"
    )
    queries = (best, f"{best} OFFSET (SELECT count(*) {live}) / 2", silent)
    users: list[str] = []
    for query in queries:
        _, rows = stores.database.read_only(query.format(day=plan_date.isoformat()))
        users += [user for (user,) in rows if user not in users]
    return tuple(read_user_plan(stores, user, plan_date) for user in users)


def _titles(stores: Stores, item_ids: Iterable[str]) -> dict[str, str]:
    """Items' titles where they have one."""
    wanted = [str(item) for item in item_ids]
    if not wanted or stores.lake.manifest() is None:
        return {}
    connection = stores.lake.connect()
    query = "SELECT item_id, title FROM items WHERE list_contains(?, item_id) AND title IS NOT NULL"
    return dict(connection.execute(query, [wanted]).fetchall())
