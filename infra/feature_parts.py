"""The files that make up the next version: those kept from earlier ones, and those written for it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from duckdb import DuckDBPyConnection

from features.table import FeatureTable
from infra.feature_files import TIMESTAMP, read_files, rows_and_newest, write_rows
from infra.feature_manifest import Segment, Snapshot
from infra.feature_plan import BuildPlan
from infra.feature_state import Past, due_snapshot, snapshot_pays, write_snapshot
from infra.feature_tables import STATE
from infra.feature_units import Units, midnight

Span = tuple[date, date]
"""First day, and the first day after the last."""
MOST_DAILY_FILES = 28
"""More files of a day each that will not change any more become one."""


class Parts:
    """Finished files by table; what is written lies in `building` under the digest of all it follows from.

    Args:
        plan: What is built.
        building: Where new files go; exists.
        scratch: For rearranging rows.
    """

    def __init__(self, plan: BuildPlan, building: Path, scratch: DuckDBPyConnection) -> None:
        self.plan = plan
        self.building = building
        self.units = Units(plan)
        self._scratch = scratch
        self._segments: dict[str, dict[Span, Segment]] = {}
        self._pasts: dict[str, Past] = {}
        self._snapshots: dict[str, Snapshot] = {}

    def past(self, table: FeatureTable) -> Past:
        """What there is of a table so far."""
        return self._pasts.get(table.name, Past({}))

    def segments(self, table: FeatureTable) -> tuple[Segment, ...]:
        """The same, as the manifest tells it."""
        return tuple(segment for _, segment in sorted(self._segments.get(table.name, {}).items()))

    @property
    def snapshots(self) -> dict[str, Snapshot]:
        """Newest rows by table, where they are kept."""
        return dict(self._snapshots)

    @property
    def files(self) -> dict[str, Path]:
        """Every file by its path in the version's folder."""
        found: dict[str, Path] = {}
        for name, past in self._pasts.items():
            for span, file in past.parts.items():
                found[f"{name}/{self._segments[name][span].file}"] = file
            if past.snapshot is not None:
                found[f"{STATE}/{name}.parquet"] = past.snapshot[1]
        return found

    def place(self, table: FeatureTable, span: Span) -> Path:
        """Where the table's rows of some days lie once they are counted, until they are published."""
        return self.path(f"{self.units.name(table.name, span[1])}-{span[0]}")

    def path(self, unit: str) -> Path:
        """Where a part of this digest lies."""
        return self.building / f"{unit}.parquet"

    def add(self, table: FeatureTable, span: Span, unit: str, path: Path) -> None:
        """Takes a finished file as the table's rows of some days."""
        rows, newest = rows_and_newest(path, self.plan.as_of)
        self.link(table, Segment(*span, unit, rows, newest), path)

    def add_counted(self, table: FeatureTable, span: Span) -> None:
        """Takes the file at `place`."""
        self.add(table, span, self.units.name(table.name, span[1]), self.place(table, span))

    def link(self, table: FeatureTable, segment: Segment, file: Path) -> None:
        """Takes a file as it is told."""
        past = self.past(table)
        parts = {**past.parts, (segment.start, segment.end): file}
        self._segments.setdefault(table.name, {})[segment.start, segment.end] = segment
        self._pasts[table.name] = Past(dict(sorted(parts.items())), past.snapshot)

    def keep(self, table: FeatureTable) -> None:
        """Takes over the base's files up to the first day that is counted anew."""
        if self.plan.base is None or self.plan.since is None:
            return
        folder, known = self.plan.base
        for segment in known.tables[table.name]:
            file = folder / table.name / segment.file
            if segment.end <= self.plan.since:
                self.link(table, segment, file)
            elif segment.start < self.plan.since:
                self._cut(table, file, (segment.start, self.plan.since))
        snapshot = known.snapshots.get(table.name)
        if snapshot is not None and snapshot.day <= self.plan.since:
            self._know_newest(table, snapshot, folder / STATE / f"{table.name}.parquet")
        self._merge_days(table)

    def _cut(self, table: FeatureTable, file: Path, span: Span) -> None:
        """Takes a file's rows before a day: counts follow from the past alone, so they stay as they are."""
        path = self.place(table, span)
        if not path.exists():
            rows = self._scratch.sql(f"SELECT * FROM {read_files([file])}")
            write_rows(rows, table, path, f"{TIMESTAMP} <= {at(span[1])}")
        self.add_counted(table, span)

    def _merge_days(self, table: FeatureTable) -> None:
        """The same rows in fewer files, once there are many of a day each that will not change any more."""
        past = self.past(table)
        days = [
            span for span in past.parts if (span[1] - span[0]).days == 1 and span[1] <= self.plan.tail_start
        ]
        if len(days) <= MOST_DAILY_FILES:
            return
        span = (days[0][0], days[-1][1])
        path = self.place(table, span)
        if not path.exists():
            rows = self._scratch.sql(f"SELECT * FROM {read_files([past.parts[day] for day in days])}")
            write_rows(rows, table, path)
        for day in days:
            del self._segments[table.name][day]
        rest = {known: file for known, file in past.parts.items() if known not in days}
        self._pasts[table.name] = Past(rest, past.snapshot)
        self.add_counted(table, span)

    def renew_snapshot(self, table: FeatureTable, day: date) -> None:
        """Writes the newest rows as of a day, where that is worth it and long not done."""
        past = self.past(table)
        known = past.snapshot[0] if past.snapshot is not None else None
        before = past.before(day)
        # A file may reach beyond the day: then the snapshot is as of the last day that ends one.
        day = max((end for _, end in before.parts), default=date.min)
        if not before.parts or not due_snapshot(known, day):
            return
        unit = self.units.name(f"{STATE}/{table.name}", day)
        path = self.path(unit)
        if not path.exists():
            if not snapshot_pays(table, before.files):
                return
            write_snapshot(self._scratch, table, before.state_files, path)
        self._know_newest(table, Snapshot(day, unit), path)

    def _know_newest(self, table: FeatureTable, snapshot: Snapshot, path: Path) -> None:
        self._snapshots[table.name] = snapshot
        self._pasts[table.name] = Past(self.past(table).parts, (snapshot.day, path))


def at(day: date) -> str:
    """The instant at which a UTC day begins, as SQL."""
    return f"TIMESTAMPTZ '{midnight(day).isoformat()}'"
