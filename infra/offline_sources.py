"""Feast data sources as DuckDB relations: a Parquet file, a folder or a glob of segments, anything else."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection
from feast.data_format import DeltaFormat, ParquetFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.duckdb import _read_data_source
from feast.infra.offline_stores.file_source import FileSource

from features.errors import KairosError
from infra.asof_sql import literal, quoted, reason

_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class ParquetFiles:
    """The local Parquet files of a source: `place` is a file, a folder (all files below it) or a glob."""

    place: Path

    @property
    def is_glob(self) -> bool:
        return bool(_WILDCARDS & set(str(self.place))) and not self.place.exists()

    @cached_property
    def paths(self) -> list[str]:
        """The files there are now, in name order."""
        if self.place.is_dir():
            return sorted(str(path) for path in self.place.rglob("*.parquet"))
        if self.is_glob:
            return sorted(glob.glob(str(self.place), recursive=True))  # noqa: PTH207 - pathlib cannot from '/'
        return [str(self.place)] if self.place.exists() else []

    def require(self, name: str) -> list[str]:
        """The files, at least one, and alike in names and types of their columns.

        DuckDB would cast the columns of later files to those of the first, 0.5 to 0 if need be.

        Raises:
            KairosError: There is no file, or two differ.
        """
        if not self.paths:
            raise KairosError(
                f"source {name!r} has no Parquet file at {self.place}; write it, or correct the path."
            )
        first = _columns(self.paths[0])
        for path in self.paths[1:]:
            columns = _columns(path)
            if columns != first:
                here, there = (
                    ", ".join(f"{n} {t}" for n, t in sorted(c)) for c in (columns - first, first - columns)
                )
                raise KairosError(
                    f"source {name!r} has files that differ: {path} has {here or 'nothing else'} where "
                    f"{self.paths[0]} has {there or 'nothing'}; write all segments with the same columns."
                )
        return self.paths

    def place_for_append(self, name: str) -> Path:
        """A path for one more file of the source; the file itself where it is a single one.

        Raises:
            KairosError: The glob has wildcards in its folders, or would not match any name.
        """
        if not self.is_glob and not self.place.is_dir():
            return self.place
        folder, pattern = (self.place.parent, self.place.name) if self.is_glob else (self.place, "*.parquet")
        if _WILDCARDS & set(str(folder)) or pattern.count("*") != 1 or _WILDCARDS & set(pattern) != {"*"}:
            raise KairosError(
                f"source {name!r} reads {self.place}, which names no one folder to write to; "
                "use a file, a folder, or FOLDER/*.parquet."
            )
        return folder / pattern.replace("*", uuid4().hex)


@dataclass(frozen=True)
class Relation:
    """A source as DuckDB reads it.

    Attributes:
        sql: Can stand after FROM.
        types: DuckDB type of each column.
    """

    sql: str
    types: dict[str, str]


def parquet_files(source: DataSource | None, repo_path: Path | str | None) -> ParquetFiles | None:
    """The source's files if it is local Parquet, relative paths taken from `repo_path`; else None.

    Links are followed now: where a link to a folder of tables moves on, one retrieval reads one folder.
    """
    if not isinstance(source, FileSource) or not isinstance(source.file_format, ParquetFormat | None):
        return None
    path = source.path.removeprefix("file://")
    return None if "://" in path else ParquetFiles((Path(repo_path or ".") / path).resolve())


def open_source(
    con: DuckDBPyConnection, source: DataSource, repo_path: Path | str | None, *times: str | None
) -> Relation:
    """The source's rows.

    Parquet is read in place and Delta by deltalake; all else goes through Feast's own reader, into memory.

    Args:
        con: Where the relation is to be used.
        source: Any source that Feast's DuckDB store can read.
        repo_path: What relative paths start from.
        times: Columns that are instants. Nanoseconds are cut to microseconds in them like in the entity
            frame: a cast would round some up and miss equals.

    Raises:
        KairosError: Files are missing, differ, or are no Parquet.
    """
    files = parquet_files(source, repo_path)
    try:
        if files is not None:
            names = ", ".join(literal(_escaped(path)) for path in files.require(source.name))
            sql = f"read_parquet([{names}], union_by_name = false)"
        else:
            sql = f"source_{uuid4().hex}"
            con.register(sql, _foreign_rows(source, repo_path))
        types = {name: kind for name, kind, *_ in con.sql(f"DESCRIBE SELECT * FROM {sql}").fetchall()}
    except (duckdb.Error, pa.ArrowInvalid) as error:
        raise KairosError(
            f"source {source.name!r} cannot be read: {reason(error)}; check its files."
        ) from error
    cut = [name for name in dict.fromkeys(times) if name and types.get(name, "").endswith("_NS")]
    if cut:
        columns = ", ".join(f"make_timestamptz(epoch_ns({quoted(n)}) // 1000) AS {quoted(n)}" for n in cut)
        sql = f"(SELECT * REPLACE ({columns}) FROM {sql})"
    return Relation(sql, types | dict.fromkeys(cut, "TIMESTAMP WITH TIME ZONE"))


def _columns(path: str) -> frozenset[tuple[str, str]]:
    stat = Path(path).stat()
    return _columns_of(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16_384)
def _columns_of(path: str, changed_ns: int, size: int) -> frozenset[tuple[str, str]]:
    """Name and type of each column, without what only Arrow's own reader minds: zones and encodings."""
    schema = pq.read_schema(path)
    return frozenset((name, _plain(kind)) for name, kind in zip(schema.names, schema.types, strict=True))


def _plain(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_timestamp(kind) and kind.tz:
        kind = pa.timestamp(kind.unit, "UTC")
    return str(kind).removeprefix("large_")


def _escaped(path: str) -> str:
    """The path so that DuckDB takes no character of it for a wildcard."""
    return "".join(f"[{letter}]" if letter in _WILDCARDS else letter for letter in path)


def delta_place(source: DataSource | None, repo_path: Path | str | None) -> Path | None:
    """The source's folder if it is a local Delta table, else None."""
    if not isinstance(source, FileSource) or not isinstance(source.file_format, DeltaFormat):
        return None
    return None if "://" in source.path else Path(repo_path or ".") / source.path


def _foreign_rows(source: DataSource, repo_path: Path | str | None) -> object:
    place = delta_place(source, repo_path)
    if place is None:
        return _read_data_source(source, str(repo_path)).to_pyarrow()
    # By deltalake, an optional package, without the DuckDB extension that Feast's reader would download.
    return import_module("deltalake").DeltaTable(str(place)).to_pyarrow_dataset()
