"""What the newest data says against pushes that are planned already, told to the gateway's view at once."""

from __future__ import annotations

import pandas as pd

from flows.wiring import Stores

_WITHDRAWN = """
    SELECT user_id, event_type AS cause, min(event_ts) AS since FROM events
    WHERE event_type IN ('opt_out', 'complaint') GROUP BY ALL ORDER BY ALL
"""
_PLANNED = """
    SELECT DISTINCT user_id FROM kairos.push_plan_published
    WHERE plan_date >= (SELECT max(plan_date) - 1 FROM kairos.push_batch WHERE status = 'live')
"""


def mirror_stops(stores: Stores) -> None:
    """Nothing; whoever left and whatever cannot be bought, by the lake as it is now, is stopped at once.

    Every opt-out and complaint counts, and every user of the newest two plans whom the users table no longer
    calls consenting; the latter only as long as it does not.
    """
    _, rows = stores.database.read_only(_PLANNED)
    connection = stores.lake.connect()
    try:
        connection.register("planned", pd.DataFrame({"user_id": [user for (user,) in rows]}, dtype="str"))
        withdrawn = connection.sql(_WITHDRAWN).df()
        refused = connection.sql(
            "SELECT planned.user_id, 'users' AS cause, now() AS since "
            "FROM planned LEFT JOIN users USING (user_id) "
            "WHERE NOT coalesce(users.push_consent, FALSE) ORDER BY 1"
        ).df()
    finally:
        connection.close()
    told = [frame for frame in (withdrawn, refused) if len(frame)]
    stores.stops.mirror_withdrawals(pd.concat(told, ignore_index=True) if told else withdrawn)
    mirror_items(stores)


def mirror_items(stores: Stores) -> None:
    """Nothing; the items that are stopped follow the catalogue and the switches."""
    if stores.lake.manifest() is None:
        return
    connection = stores.lake.connect()
    try:
        items = connection.sql("SELECT item_id, category_path, available, stock FROM items").df()
    finally:
        connection.close()
    stores.stops.mirror_items(items)
