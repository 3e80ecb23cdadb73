"""Writing to Feast's file sources: appended rows, logged features, saved datasets; whole files or nothing."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import FileLoggingDestination

from features.errors import KairosError
from infra.offline_sources import ParquetFiles


class ColumnsDifferError(KairosError, ValueError):
    """Rows to append do not have the columns of their source; a ValueError, as Feast's callers expect."""


def append_rows(files: ParquetFiles, rows: pa.Table, name: str) -> None:
    """Adds the rows to the source, in the types it has.

    A single file is written anew and replaced; a folder or a glob gets one more file.

    Args:
        files: The source's files; there must be one to tell the columns.
        rows: The same columns in the same order.
        name: The source's, for errors.

    Raises:
        ColumnsDifferError: The columns are not the source's.
        KairosError: The source has no file, or its glob leaves no place for another.
    """
    present = files.require(name)
    schema = pq.read_schema(present[0]).remove_metadata()
    _require_columns(rows, schema, name)
    place = files.place_for_append(name)
    with _Replacing(place) as partial, pq.ParquetWriter(partial, schema) as writer:
        if str(place) in present:
            for batch in pq.ParquetFile(place).iter_batches():
                writer.write_batch(batch.cast(schema))
        writer.write_table(rows.cast(schema))


def append_to_delta(place: Path, rows: pa.Table, name: str) -> None:
    """Adds the rows to a Delta table, in the types it has; needs the optional package deltalake.

    Raises:
        ColumnsDifferError: The columns are not the table's.
    """
    deltalake = import_module("deltalake")
    schema = deltalake.DeltaTable(str(place)).to_pyarrow_dataset().schema
    _require_columns(rows, schema, name)
    deltalake.write_deltalake(str(place), rows.cast(schema), mode="append")


def save_delta(rows: pa.Table, place: Path, allow_overwrite: bool) -> None:
    """Writes the rows as the newest content of a Delta table; needs the optional package deltalake.

    Raises:
        SavedDatasetLocationAlreadyExists: `place` exists and may not be overwritten.
    """
    if place.exists() and not allow_overwrite:
        raise SavedDatasetLocationAlreadyExists(location=str(place))
    import_module("deltalake").write_deltalake(str(place), rows, mode="overwrite", schema_mode="overwrite")


def append_to_log(
    data: pa.Table | Path, destination: FileLoggingDestination, repo_path: Path | str | None
) -> None:
    """Adds the rows to the log's folder, in folders column=value if the destination is partitioned."""
    rows = ds.dataset(data) if isinstance(data, Path) else data
    ds.write_dataset(
        rows,
        base_dir=Path(repo_path or ".") / destination.path,
        basename_template=f"{uuid4().hex}-{{i}}.parquet",
        format="parquet",
        partitioning=destination.partition_by or None,
        partitioning_flavor="hive" if destination.partition_by else None,
        existing_data_behavior="overwrite_or_ignore",
    )


def save_rows(rows: pa.Table, place: Path, allow_overwrite: bool) -> None:
    """Writes the rows as the only content of `place`: a file if it is named *.parquet, else a folder.

    Raises:
        SavedDatasetLocationAlreadyExists: `place` exists and may not be overwritten.
    """
    if place.exists() and not allow_overwrite:
        raise SavedDatasetLocationAlreadyExists(location=str(place))
    old: list[Path] = []
    if place.suffix != ".parquet" or place.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        old = list(place.rglob("*.parquet"))
        place = place / f"{uuid4().hex}.parquet"
    with _Replacing(place) as partial:
        pq.write_table(rows, partial)
    # Feast's own stores leave these, and the next read returns both the old rows and the new.
    for path in old:
        path.unlink(missing_ok=True)


def _require_columns(rows: pa.Table, schema: pa.Schema, name: str) -> None:
    if rows.column_names != schema.names:
        raise ColumnsDifferError(
            f"rows for source {name!r} have columns {rows.column_names}, must have {schema.names} in this "
            "order; reorder or complete them."
        )


class _Replacing:
    """A path to write to, which takes the place of `path` at the end unless there was an error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}.partial")

    def __enter__(self) -> Path:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return self._partial

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)
