"""Builds the next version of the feature tables: part after part, each kept as soon as it is finished."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from features.counters import count_changes
from features.table import FeatureTable, Source
from features.tables import FEATURE_TABLES
from features.taxonomy import SceneTaxonomy, extend_taxonomy
from features.visits import SESSION_LOOKBACK, create_visits
from infra.event_lake import EventLake
from infra.feature_chunks import Chunk
from infra.feature_files import TIMESTAMP, read_files, write_rows
from infra.feature_manifest import TablesManifest
from infra.feature_parts import Parts, Span, at
from infra.feature_plan import BuildPlan
from infra.feature_state import create_state
from infra.feature_tables import ATTRIBUTES, SCENES, FeatureTables
from infra.feature_wholes import add_wholes
from infra.lake_files import disk_errors

Progress = Callable[[str, float, float], None]
"""Called with what is being counted, and how much of how much is done."""


def build_tables(
    plan: BuildPlan,
    lake: EventLake,
    tables: FeatureTables,
    *,
    feature_tables: Sequence[FeatureTable] = FEATURE_TABLES,
    progress: Progress | None = None,
) -> TablesManifest:
    """The manifest of the version that is in use from now on; all tables changed together.

    Killed at any instant, it leaves the version before; run again with the same plan, it goes on after the
    last finished part and leaves the same rows.

    Args:
        plan: What to count and keep.
        lake: The events the plan was made for.
        tables: Where the plan's base lies and the result goes.
        feature_tables: What to build.
        progress: Told about every part.

    Raises:
        KairosError: The disk is full, or a table's build and declaration disagree.
    """
    if plan.standing is not None:
        tables.use(plan.standing)
        return plan.standing
    with disk_errors(tables.root):
        tables.building.mkdir(parents=True, exist_ok=True)
        scratch = lake.open_scratch()
        try:
            parts = Parts(plan, tables.building, scratch)
            build = _Build(lake, tuple(feature_tables), parts, scratch, progress or _silent)
            return tables.publish(build.run(), build.files())
        finally:
            scratch.close()


def _silent(what: str, done: float, total: float) -> None:
    del what, done, total


@dataclass
class _Build:
    """One build under way."""

    lake: EventLake
    feature_tables: tuple[FeatureTable, ...]
    parts: Parts
    scratch: DuckDBPyConnection
    progress: Progress
    taxonomy: SceneTaxonomy = field(default_factory=SceneTaxonomy)
    done: float = 0.0

    @property
    def plan(self) -> BuildPlan:
        return self.parts.plan

    @property
    def counted(self) -> list[FeatureTable]:
        return [table for table in self.feature_tables if table.counts is not None]

    def run(self) -> TablesManifest:
        """What the version holds, all of whose files are finished."""
        plan = self.plan
        for table in self.counted:
            self.parts.keep(table)
        if plan.base is not None:
            scenes = plan.base[0] / SCENES
            self.taxonomy = SceneTaxonomy.from_json(scenes.read_text(encoding="utf-8"))
        for chunk in plan.chunks:
            self._count(chunk)
        self._renew_snapshots(plan.chunks[-1].end if plan.chunks else plan.end)
        add_wholes(self.parts, self.lake, self.feature_tables, self._say)
        return TablesManifest(
            fingerprint=plan.fingerprint,
            as_of=plan.as_of,
            recipe=plan.options.recipe,
            days={day.isoformat(): plan.days[day] for day in sorted(plan.days)},
            inputs=plan.inputs,
            tables={table.name: self.parts.segments(table) for table in self.feature_tables},
            snapshots=self.parts.snapshots,
            late=plan.late,
            lake=self.lake.fingerprint(),
            mode=plan.mode,
            reason=plan.reason,
            recounted=plan.recounted,
        )

    def files(self) -> dict[str, Path]:
        """The version's files by their path in its folder."""
        attributes, scenes = self.parts.building / ATTRIBUTES, self.parts.building / SCENES
        assert self.plan.attributes is not None
        pq.write_table(self.plan.attributes, attributes, compression="zstd")
        _write_text(scenes, self.taxonomy.to_json())
        return {ATTRIBUTES: attributes, SCENES: scenes, **self.parts.files}

    def _say(self, what: str) -> None:
        total = max(1, sum(chunk.events for chunk in self.plan.chunks)) * len(self.counted)
        self.progress(what, self.done, total)

    def _renew_snapshots(self, day: date) -> None:
        """Sees to it that counting from a day on need not look at all days before."""
        for table in self.counted:
            self.parts.renew_snapshot(table, min(day, self.plan.tail_start))

    def _count(self, chunk: Chunk) -> None:
        """Counts the chunk's days in every table, and learns their scenes."""
        scenes = self.parts.building / f"{self.parts.units.name(SCENES, chunk.end)}.json"
        if not chunk.first:
            self._say(_words(chunk, "newest rows"))
            self._renew_snapshots(chunk.start)
        missing = [table for table in self.counted if not self._has(table, chunk)]
        if missing or not scenes.exists():
            self._say(_words(chunk, "reading events"))
            since = chunk.since
            connection = self.lake.connect(
                chunk.until, since=since and since - SESSION_LOOKBACK, known_keys=False
            )
            try:
                timezone = self.plan.options.timezone
                visits = create_visits(connection, default_timezone=timezone, since=since)
                self.taxonomy = extend_taxonomy(self.taxonomy, visits["visits"])
                _write_text(scenes, self.taxonomy.to_json())
                for table in self.counted:
                    self._say(_words(chunk, table.name))
                    if table in missing:
                        self._count_table(connection, visits, table, chunk)
                    self.done += chunk.events
            finally:
                connection.close()
        self.taxonomy = SceneTaxonomy.from_json(scenes.read_text(encoding="utf-8"))
        for table in self.counted:
            for span in chunk.pieces:
                self.parts.add_counted(table, span)

    def _has(self, table: FeatureTable, chunk: Chunk) -> bool:
        return all(self.parts.place(table, span).exists() for span in chunk.pieces)

    def _count_table(
        self,
        connection: DuckDBPyConnection,
        visits: dict[Source, DuckDBPyRelation],
        table: FeatureTable,
        chunk: Chunk,
    ) -> None:
        """Counts one table's keys over the chunk, a portion of the keys at a time."""
        paths = {span: self.parts.place(table, span) for span in chunk.pieces}
        known = " AND ".join(f'"{key}" IS NOT NULL' for key in table.keys)
        if chunk.buckets == 1:
            lines = visits[table.source].filter(known)
            self._write(connection, self._counts(connection, lines, table, chunk, "TRUE"), table, paths)
            return
        ((_, whole),) = paths.items()
        portions = []
        for number in range(chunk.buckets):
            portion = whole.with_name(f"{whole.stem}-{number}-of-{chunk.buckets}.parquet")
            portions.append(portion)
            if portion.exists():
                continue
            self._say(_words(chunk, f"{table.name} {number + 1} of {chunk.buckets}"))
            bucket = f"{_key_hash(table)} % {chunk.buckets} = {number}"
            lines = visits[table.source].filter(f"{known} AND {bucket}")
            write_rows(self._counts(connection, lines, table, chunk, bucket), table, portion)
        write_rows(self.scratch.sql(f"SELECT * FROM {read_files(portions)}"), table, whole)

    def _counts(
        self,
        connection: DuckDBPyConnection,
        lines: DuckDBPyRelation,
        table: FeatureTable,
        chunk: Chunk,
        bucket: str,
    ) -> DuckDBPyRelation:
        """The rows that the chunk adds to the table."""
        assert table.counts is not None
        if chunk.since is None:
            return count_changes(lines, table.counts, until=chunk.until)
        past = self.parts.past(table).before(chunk.start)
        state, expiring = create_state(connection, table, lines, past, chunk.since, chunk.until, bucket)
        return count_changes(
            lines, table.counts, until=chunk.until, since=chunk.since, state=state, expiring=expiring
        )

    @staticmethod
    def _write(
        connection: DuckDBPyConnection,
        rows: DuckDBPyRelation,
        table: FeatureTable,
        paths: dict[Span, Path],
    ) -> None:
        """Each span's rows go to its file."""
        if len(paths) == 1:
            ((_, path),) = paths.items()
            write_rows(rows, table, path)
            return
        connection.execute(f"CREATE OR REPLACE TEMP TABLE counted AS {rows.sql_query()}")
        spans = list(paths)
        for number, (start, end) in enumerate(spans):
            bounds = [f"{TIMESTAMP} > {at(start)}"] if number else []
            bounds += [f"{TIMESTAMP} <= {at(end)}"] if number + 1 < len(spans) else []
            write_rows(connection.table("counted"), table, paths[start, end], " AND ".join(bounds) or "TRUE")
        connection.execute("DROP TABLE counted")


def _key_hash(table: FeatureTable) -> str:
    # As text: lines keep their keys in a type of their own, and its hashes are others.
    texts = ", ".join(f'CAST("{key}" AS VARCHAR)' for key in table.keys)
    return f"hash({texts})"


def _words(chunk: Chunk, what: str) -> str:
    last = chunk.pieces[-1][1]
    return f"{chunk.start}..{last}: {what}"


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
