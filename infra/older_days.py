"""The days of the lake that an ingest need not read again, because the source tells events by their time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from infra.lake_files import second_name
from infra.lake_manifest import Manifest
from infra.sources import Source


@runtime_checkable
class TimedSource(Protocol):
    """A source that can be asked for the events of a time."""

    def tells_time(self) -> bool:
        """Whether it can here: its column of times must be one that it can compare."""
        ...

    def events_since(self, since: datetime) -> Iterator[Any]:
        """Chunks of the events at or after `since`, as `read("events")` would give them."""
        ...


def read_as(source: Source, zones_by_place: Mapping[str, str]) -> str:
    """Digest of how a source is read: days read otherwise cannot stand beside new ones."""
    how = (source.name, source.default_timezone, sorted(zones_by_place.items()), source.mapping)
    return hashlib.sha256(repr(how).encode()).hexdigest()[:16]


def first_day_to_read(
    source: Source, held: Manifest | None, how: str, overlap: timedelta | None
) -> date | None:
    """The UTC day from which events are read; None: all of them.

    Args:
        source: Read by now.
        held: What the lake holds.
        how: `read_as` of this ingest.
        overlap: How long before the newest event; None reads everything.
    """
    if overlap is None or held is None or held.last_event is None or held.read_as != how:
        return None
    if not isinstance(source, TimedSource) or not source.tells_time():
        return None
    return (held.last_event - overlap).date()


def midnight(day: date) -> datetime:
    """The day's first instant, UTC."""
    return datetime.combine(day, time(), UTC)


def older_events(held: Manifest, first: date) -> int:
    """How many events of the days before `first` the lake holds."""
    return sum(told.events for day, told in held.days.items() if date.fromisoformat(day) < first)


def keep_older_days(current: Path, staging: Path, first: date) -> None:
    """Nothing; the days before `first` are in `staging` too, as second names of the same files."""
    for folder in sorted((current / "events").glob("day=*")):
        if date.fromisoformat(folder.name.removeprefix("day=")) < first:
            kept = staging / "events" / folder.name
            kept.mkdir(parents=True)
            for file in folder.iterdir():
                second_name(file, kept / file.name)
