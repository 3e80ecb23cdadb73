"""Instants and dates: as people type them, and what they mean when nobody types one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from features.calendar import local_midnight, zone_named
from features.errors import UsageError
from infra.settings import Settings
from infra.sources import source_of

RECORDED_DAYS = {"complete-journey": date(2017, 12, 4)}
"""Recordings that end in the past, and the day they are run for: the first after the last test week."""

_LAG = timedelta(days=7)


def shop_timezone(settings: Settings) -> str:
    """The IANA zone in which the shop's days begin: a recording's own, else `default_timezone`."""
    return source_of(settings).default_timezone


def parse_as_of(text: str, timezone: str) -> datetime:
    """The knowledge cut-off in UTC: a bare date is that day's local midnight, a time without offset is UTC.

    Raises:
        UsageError: Neither a date nor a time.

    Examples:
        >>> parse_as_of("2017-12-04", "America/New_York").isoformat()
        '2017-12-04T05:00:00+00:00'
        >>> parse_as_of("2017-12-04T06:30", "America/New_York").isoformat()
        '2017-12-04T06:30:00+00:00'
        >>> parse_as_of("2017-12-04T01:00-05:00", "UTC").isoformat()
        '2017-12-04T06:00:00+00:00'
    """
    text = text.strip()
    try:
        return local_midnight(date.fromisoformat(text), timezone)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--as-of {text!r} is no time; write a local date (2017-12-04) or UTC (2017-12-04T05:00)."
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_date(text: str, option: str) -> date:
    """The local date that `option` names.

    Raises:
        UsageError: Empty or no date.

    Examples:
        >>> parse_date("2017-12-04", "--plan-date")
        datetime.date(2017, 12, 4)
    """
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{option} {text!r} is no date; write one such as {option} 2017-12-04.") from None


def local_date(moment: datetime, timezone: str) -> date:
    """The calendar date of an instant at a place.

    Examples:
        >>> local_date(datetime(2017, 12, 4, 5, tzinfo=UTC), "America/New_York")
        datetime.date(2017, 12, 4)
    """
    return moment.astimezone(zone_named(timezone)).date()


def default_as_of(source: str, last_event: datetime, now: datetime, timezone: str) -> datetime:
    """The cut-off of a run that names none: the present hour, or the end of data that stopped earlier.

    Examples:
        >>> end, today = datetime(2017, 12, 31, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
        >>> default_as_of("complete-journey", end, today, "America/New_York").isoformat()
        '2017-12-04T05:00:00+00:00'
        >>> default_as_of("parquet:shop", end, today, "UTC").isoformat()
        '2018-01-01T00:00:00+00:00'
    """
    if source in RECORDED_DAYS:
        return local_midnight(RECORDED_DAYS[source], timezone)
    next_midnight = local_midnight(local_date(last_event, timezone) + timedelta(days=1), timezone)
    return min(now.replace(minute=0, second=0, microsecond=0), next_midnight)


def check_as_of(as_of: datetime, first_event: datetime, last_event: datetime) -> None:
    """Nothing; the cut-off lies within the data, or at most a week after it.

    Raises:
        UsageError: It does not.
    """
    if first_event < as_of <= last_event + _LAG:
        return
    raise UsageError(
        f"as_of {as_of:%Y-%m-%d %H:%M} UTC is outside the data ({first_event:%Y-%m-%d} to "
        f"{last_event:%Y-%m-%d}); pass one inside, such as --as-of {last_event:%Y-%m-%d}."
    )
