"""Ingest: a source's four tables, checked row by row, become the lake's content in one step."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

import duckdb
import pandas as pd
import pyarrow as pa

from features.contracts import CONTRACTS, FUTURE
from features.errors import ContractError, KairosError
from features.scene_names import scene_names
from features.scenes import SCENE_PARTS
from infra.event_lake import EventLake
from infra.lake_contents import contents_of
from infra.lake_files import disk_errors, parquet_literal
from infra.lake_manifest import Manifest, TableCounts
from infra.lake_writer import TableWriter
from infra.lock import exclusive_lock
from infra.older_days import (
    TimedSource,
    first_day_to_read,
    keep_older_days,
    midnight,
    older_events,
    read_as,
)
from infra.sources import Source

Progress = Callable[[str, int], None]
_WITH_SCENES = ("events", "users")  # promotions name stores and regions by the contract's own words


class QuarantineError(KairosError):
    """Too many rows were set aside to go on with the others."""


@dataclass(frozen=True)
class IngestSummary:
    """What an ingest did; `changed` is False when the lake's content stayed as it was."""

    manifest: Manifest
    changed: bool

    @property
    def accepted(self) -> Mapping[str, int]:
        """Accepted rows by table."""
        return {name: counts.accepted for name, counts in self.manifest.tables.items()}

    @property
    def quarantined(self) -> Mapping[str, Mapping[str, int]]:
        """Quarantined rows by table and reason."""
        return {name: counts.reasons for name, counts in self.manifest.tables.items()}


def ingest(
    source: Source,
    lake: EventLake,
    *,
    now: datetime,
    max_quarantine_share: float = 0.05,
    zones_by_place: Mapping[str, str] = MappingProxyType({}),
    overlap: timedelta | None = None,
    progress: Progress | None = None,
) -> IngestSummary:
    """Replaces the lake's content by the source's, or leaves it when the source has not changed.

    Killed at any time, it leaves the old content; run again, it leaves the same bytes. When too many rows
    of any table are quarantined the old content stays too, and the quarantine goes to `lake.refused`.

    Args:
        now: Later events are from the future, and quarantined; timezone-aware.
        max_quarantine_share: Largest bearable share of a table's rows in quarantine, 0 to 1.
        zones_by_place: Zone of users without one, by region or ISO country; the source's default comes after.
        overlap: Where the source tells events by their time, only those from so long before the newest one on
            are read, by whole UTC days, and older days stay as they are; None reads everything.
        progress: Called with a table and the rows read of it so far.

    Raises:
        ContractError: A whole file breaks its contract.
        KairosError: Too many quarantined rows, no events or items, a full disk, another ingest running.
    """
    with exclusive_lock(lake.lock_path, f"the event lake {lake.root}"), disk_errors(lake.root):
        lake.clean()
        told = source.fingerprint()
        zones = ",".join(f"{place}={zone}" for place, zone in sorted(zones_by_place.items()))
        fingerprint = f"{told}@{source.default_timezone}{f';{zones}' if zones else ''}" if told else ""
        held = lake.manifest()
        if held is not None and fingerprint and held.source_fingerprint == fingerprint:
            came_due = any(FUTURE in counts.reasons for counts in held.tables.values())
            if not came_due:
                _check_share(held.tables, max_quarantine_share, lake)
                return IngestSummary(held, changed=False)
        try:
            how = read_as(source, zones_by_place)
            first = first_day_to_read(source, held, how, overlap)
            staged = _stage(source, lake, fingerprint, now, zones_by_place, progress, first)
            manifest = replace(staged, read_as=how)
            _check_share(manifest.tables, max_quarantine_share, lake)
            changed = lake.replace(manifest)
        finally:
            shutil.rmtree(lake.staging, ignore_errors=True)
        shutil.rmtree(lake.refused, ignore_errors=True)
        return IngestSummary(manifest, changed)


def _stage(
    source: Source,
    lake: EventLake,
    fingerprint: str,
    now: datetime,
    zones_by_place: Mapping[str, str],
    progress: Progress | None,
    first_day: date | None = None,
) -> Manifest:
    """The manifest of the files now in `lake.staging`; events before `first_day` are the lake's own."""
    counts: dict[str, TableCounts] = {}
    degraded: list[str] = []
    notes = list(source.notes())
    connection = lake.open_scratch()
    try:
        for name, contract in CONTRACTS.items():
            writer = TableWriter(
                contract,
                lake.staging,
                now=now,
                default_timezone=source.default_timezone,
                zones_by_place=zones_by_place,
            )
            parts = [part for part in SCENE_PARTS if part in contract.column_names]
            taken: dict[str, str] = {}
            from_day = first_day if name == "events" else None
            for chunk in _chunks(source, name, from_day):
                told, names = renamed(chunk, parts if name in _WITH_SCENES else ())
                taken |= names
                try:
                    writer.append(told)
                except ContractError as error:
                    raise source.mapping.explained(name, error) from None
                if progress is not None:
                    progress(name, writer.rows_read)
            if name == "users" and writer.rows_read == 0:
                writer.append(_users_of_events(connection, lake))
            writer.close(connection)
            counts[name] = writer.counts()
            if from_day is not None and (held := lake.manifest()) is not None:
                keep_older_days(lake.root / "current", lake.staging, from_day)
                accepted = counts[name].accepted + older_events(held, from_day)
                counts[name] = replace(counts[name], accepted=accepted)
            degraded.extend(writer.degraded())
            if taken:
                words = ", ".join(f"{column} as {part}" for column, part in taken.items())
                notes.append(f"{name}: read {words}")
            if name in ("events", "items") and writer.rows_read == 0 and from_day is None:
                raise KairosError(f"source {source.name} has no {name}; put some in, or set KAIROS_SOURCE.")
        shutil.rmtree(lake.staging / "raw")
        first, last = _span(connection, lake)
    finally:
        connection.close()
    contents = contents_of(lake.staging)
    return Manifest(
        source=source.name,
        source_fingerprint=fingerprint,
        fingerprint=contents.fingerprint,
        tables=counts,
        first_event=first,
        last_event=last,
        notes=tuple(notes),
        degraded=tuple(degraded),
        days=contents.days,
        digests=contents.digests,
    )


def _chunks(source: Source, table: str, first_day: date | None) -> Iterator[pa.Table | pd.DataFrame]:
    """The table's chunks, of events only those from `first_day` on."""
    if first_day is None:
        return source.read(table)
    assert isinstance(source, TimedSource)
    return source.events_since(midnight(first_day))


def renamed(
    chunk: pa.Table | pd.DataFrame, parts: Sequence[str]
) -> tuple[pa.Table | pd.DataFrame, dict[str, str]]:
    """(the chunk with what stands for a part of a scene under the part's name, what was renamed).

    Examples:
        >>> told, names = renamed(pa.table({"user_id": ["u"], "country": ["fr"]}), ("region",))
        >>> told.column_names, names
        (['user_id', 'region'], {'country': 'region'})
    """
    columns = chunk.columns.tolist() if isinstance(chunk, pd.DataFrame) else chunk.column_names
    names = scene_names(columns, parts)
    if not names:
        return chunk, names
    if isinstance(chunk, pd.DataFrame):
        return chunk.rename(columns=names), names
    return chunk.rename_columns([names.get(column, column) for column in columns]), names


def _users_of_events(connection: duckdb.DuckDBPyConnection, lake: EventLake) -> pa.Table:
    """(user_id) of everyone with an event: all that is known without a users table."""
    files = parquet_literal(lake.staging, "events/*/*.parquet")
    if not list((lake.staging / "events").glob("*")):
        return pa.table({"user_id": pa.array([], pa.string())})
    return connection.sql(
        f"SELECT DISTINCT user_id FROM read_parquet({files}) ORDER BY user_id"
    ).to_arrow_table()


def _span(connection: duckdb.DuckDBPyConnection, lake: EventLake) -> tuple[datetime | None, datetime | None]:
    """First and last `event_ts` of the staged events."""
    days = sorted((lake.staging / "events").glob("day=*"))
    if not days:
        return None, None
    bounds = []
    for pick, day in (("min", days[0]), ("max", days[-1])):
        files = parquet_literal(day, "*.parquet")
        query = f"SELECT epoch_us({pick}(event_ts)) FROM read_parquet({files})"
        microseconds = connection.execute(query).fetchall()[0][0]
        bounds.append(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds))
    return bounds[0], bounds[1]


def _check_share(tables: Mapping[str, TableCounts], bound: float, lake: EventLake) -> None:
    """Passes when no table has too many quarantined rows; otherwise keeps the quarantine for a look."""
    for name, counts in tables.items():
        if counts.quarantine_share <= bound:
            continue
        folder = lake.staging / "quarantine"
        if folder.exists():
            shutil.rmtree(lake.refused, ignore_errors=True)
            shutil.move(folder, lake.refused)
            kept = lake.refused
        else:
            kept = lake.root / "current" / "quarantine"
        top = ", ".join(f"{reason} ({rows})" for reason, rows in list(counts.reasons.items())[:3])
        raise QuarantineError(
            f"{name}: {counts.quarantined} of {counts.read} rows quarantined, a share of "
            f"{counts.quarantine_share:.3f}, must be <= {bound}: {top}; repair them (see "
            f"{kept / f'{name}.parquet'}) or raise "
            "KAIROS_MAX_QUARANTINE_SHARE."
        )
