"""What one version of the feature tables holds: the page to read before the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path

from infra.lake_manifest import DayContent

FORMAT = 1  # raise it whenever the files' layout changes: versions of another format are built anew


@dataclass(frozen=True)
class Segment:
    """One file of a table: its rows that count the events of some UTC days.

    Attributes:
        start, end: First day, and the first day after the last.
        unit: Digest of all that this and every earlier row of the table follow from.
        rows: How many.
        newest: Latest `event_timestamp` of those that were valid at the cut-off; None without any.
    """

    start: date
    end: date
    unit: str
    rows: int
    newest: datetime | None

    @property
    def file(self) -> str:
        """Name of the file in the table's folder."""
        return f"{self.start}_{self.end}.parquet"


@dataclass(frozen=True)
class Snapshot:
    """The newest row of every key as of the beginning of a day, so that the days before need no scan."""

    day: date
    unit: str


@dataclass(frozen=True)
class LateEvents:
    """Changes in days too long past to be counted anew by themselves.

    Attributes:
        events: By how many events those days differ from what was counted, at least one a day.
        days: How many days.
        first: The earliest; None without any.
    """

    events: int = 0
    days: int = 0
    first: date | None = None


@dataclass(frozen=True)
class TablesManifest:
    """One version of all feature tables.

    Attributes:
        fingerprint: Of everything below that decides a row; the version's name.
        as_of: Knowledge cut-off.
        recipe: Digest of code and settings.
        days: The events that were counted, by UTC day.
        inputs: Digests of the lake's other tables, as they were read.
        tables: Segments by table, in order of time; a table built as a whole has one.
        snapshots: Newest rows by table, for those that keep them.
        late: What is left out until somebody recounts further back.
        lake: Fingerprint of the lake that was read last.
        mode: 'full' or 'increment': how this version came about.
        reason: Why, in words.
        recounted: UTC days whose events were counted for it.
    """

    fingerprint: str
    as_of: datetime
    recipe: str
    days: Mapping[str, DayContent]
    inputs: Mapping[str, str]
    tables: Mapping[str, tuple[Segment, ...]]
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)
    late: LateEvents = LateEvents()
    lake: str = ""
    mode: str = "full"
    reason: str = ""
    recounted: int = 0

    @property
    def newest(self) -> dict[str, datetime | None]:
        """Latest valid `event_timestamp` by table."""
        return {
            name: max((part.newest for part in parts if part.newest is not None), default=None)
            for name, parts in self.tables.items()
        }

    @property
    def rows(self) -> dict[str, int]:
        """Rows by table."""
        return {name: sum(part.rows for part in parts) for name, parts in self.tables.items()}

    def write(self, path: Path) -> None:
        """Stores the manifest as JSON, the same bytes for the same content."""
        content = {"format": FORMAT} | asdict(self)
        path.write_text(json.dumps(content, indent=1, default=_iso) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> TablesManifest | None:
        """The stored manifest; None when there is none, or one of another format."""
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        if told.pop("format") != FORMAT:
            return None
        late = told["late"]
        return cls(
            **told
            | {
                "as_of": datetime.fromisoformat(told["as_of"]),
                "days": {day: DayContent(**content) for day, content in told["days"].items()},
                "tables": {
                    name: tuple(_segment(part) for part in parts) for name, parts in told["tables"].items()
                },
                "snapshots": {
                    name: Snapshot(date.fromisoformat(one["day"]), one["unit"])
                    for name, one in told["snapshots"].items()
                },
                "late": LateEvents(late["events"], late["days"], _date(late["first"])),
            }
        )


def _segment(told: Mapping[str, str]) -> Segment:
    newest = told["newest"]
    return Segment(
        date.fromisoformat(told["start"]),
        date.fromisoformat(told["end"]),
        told["unit"],
        int(told["rows"]),
        datetime.fromisoformat(newest) if newest else None,
    )


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
