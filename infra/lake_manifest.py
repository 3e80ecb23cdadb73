"""What one ingest left in the lake: the page to read before the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

FORMAT = 3  # raise it whenever the files' layout changes: lakes of another format are built anew


@dataclass(frozen=True)
class TableCounts:
    """Rows of one table by what became of them; `reasons` counts the quarantined, most frequent first."""

    accepted: int
    repeats: int
    reasons: Mapping[str, int]

    @property
    def quarantined(self) -> int:
        """Rows set aside."""
        return sum(self.reasons.values())

    @property
    def read(self) -> int:
        """Rows the source gave."""
        return self.accepted + self.repeats + self.quarantined

    @property
    def quarantine_share(self) -> float:
        """Quarantined rows over all rows that were read, 0 for an empty table."""
        return self.quarantined / max(1, self.read)

    @property
    def repeat_share(self) -> float:
        """Rows dropped as word-for-word repeats over all rows that were read, 0 for an empty table."""
        return self.repeats / max(1, self.read)


@dataclass(frozen=True)
class DayContent:
    """One UTC day's events: how many, and a digest that changes exactly when one of them does."""

    events: int
    digest: str


@dataclass(frozen=True)
class Manifest:
    """The lake's content in short.

    Attributes:
        source: Name of the source.
        source_fingerprint: What it said of itself; empty when it could not tell.
        fingerprint: Digest of the data files: equal content, equal text.
        tables: Counts by table.
        first_event, last_event: Span of `event_ts`.
        notes: What the source decided on a person's behalf.
        degraded: What was not told and is taken as unknown.
        days: Events of each UTC day that has any, in order; keys are ISO dates.
        digests: Digest of each other table's rows.
        read_as: Digest of how the source was read: its name, zones and mapping.
    """

    source: str
    source_fingerprint: str
    fingerprint: str
    tables: Mapping[str, TableCounts]
    first_event: datetime | None
    last_event: datetime | None
    notes: tuple[str, ...]
    degraded: tuple[str, ...]
    days: Mapping[str, DayContent] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    read_as: str = ""

    def write(self, path: Path) -> None:
        """Stores the manifest as JSON, the same bytes for the same content."""
        content = {"format": FORMAT} | asdict(self)
        path.write_text(json.dumps(content, indent=1, default=_iso) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Manifest | None:
        """The stored manifest; None when there is none, or one of another format."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if content.pop("format") != FORMAT:
            return None
        for bound in ("first_event", "last_event"):
            content[bound] = content[bound] and datetime.fromisoformat(content[bound])
        content["tables"] = {name: TableCounts(**counts) for name, counts in content["tables"].items()}
        content["days"] = {day: DayContent(**told) for day, told in content["days"].items()}
        for words in ("notes", "degraded"):
            content[words] = tuple(content[words])
        return cls(**content)


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
