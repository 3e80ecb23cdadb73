"""Flow `backfill`: features are counted anew from a day on, for events that came too late to be noticed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from prefect import flow

from features.errors import UsageError
from flows.materialize import materialize_tables, resolved_as_of
from flows.progress import step
from flows.wiring import open_stores, sole_writer


@flow(name="backfill", flow_run_name="backfill from {start}", timeout_seconds=6 * 3600, persist_result=False)
def backfill(start: date, end: date | None = None) -> str:
    """Count the features of a day and of every day after it anew.

    Counts carry forward, so what changes on one day changes all later rows: whatever `end` is, counting goes
    on to the last day that is counted already.

    Args:
        start: First UTC day to count.
        end: Last UTC day whose events changed; only checked.

    Raises:
        UsageError: The days are in the wrong order or after what was counted.
    """
    stores = open_stores()
    known = stores.features.tables.manifest()
    as_of = known.as_of if known is not None else resolved_as_of(stores, None)
    check_backfill(start, end, as_of)
    with sole_writer(stores.settings):
        if end is not None and last_day(as_of) > end:
            with step("backfill") as current:
                current.say(f"counts carry forward: days after {end} up to {last_day(as_of)} are counted too")
        return materialize_tables(stores, as_of, recount_from=start)


def check_backfill(start: date, end: date | None, as_of: datetime) -> None:
    """Nothing; the days can be counted anew.

    Raises:
        UsageError: They cannot.

    Examples:
        >>> check_backfill(date(2017, 3, 2), date(2017, 3, 1), datetime(2017, 4, 1, tzinfo=UTC))
        Traceback (most recent call last):
        ...
        features.errors.UsageError: --from 2017-03-02 is after --to 2017-03-01; swap them.
    """
    if end is not None and start > end:
        raise UsageError(f"--from {start} is after --to {end}; swap them.")
    if start > last_day(as_of):
        raise UsageError(
            f"--from {start} is after {last_day(as_of)}, the last day that is counted; "
            "choose an earlier day, or run kairos materialize for newer ones."
        )


def last_day(as_of: datetime) -> date:
    """The last UTC day with an instant before `as_of`.

    >>> last_day(datetime(2017, 3, 2, tzinfo=UTC))
    datetime.date(2017, 3, 1)
    """
    return (as_of.astimezone(UTC) - timedelta(microseconds=1)).date()
