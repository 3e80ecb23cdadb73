"""A folder of Parquet or CSV files in the shape of the contract."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from features.contract import SET_ASIDE
from features.contracts import CONTRACTS
from features.errors import ContractError, KairosError, UsageError
from features.mapped_rows import mapped_rows, mapped_types
from features.source_mapping import SourceMapping

_CHUNK_ROWS = 250_000
_REQUIRED = ("events", "items")


class FilesSource:
    """`DIR/events/*.parquet` or `DIR/events.parquet`, and so on for every table; CSV likewise.

    CSV values are read as text and typed by the contract, so a bad value costs its row, not the file.
    """

    def __init__(
        self, folder: Path, default_timezone: str = "UTC", mapping: SourceMapping = SourceMapping()
    ) -> None:
        """Nothing is read yet."""
        self.name = f"parquet:{folder}"
        self.default_timezone = default_timezone
        self.mapping = mapping
        self._folder = folder

    def fingerprint(self) -> str:
        """Digest of every file's name, size and modification time, and of how they are read."""
        digest = hashlib.sha256()
        if self.mapping != SourceMapping():
            digest.update(f"{self.mapping}\n".encode())
        for table in CONTRACTS:
            for path in self._files(table):
                stat = path.stat()
                digest.update(
                    f"{path.relative_to(self._folder)} {stat.st_size} {stat.st_mtime_ns}\n".encode()
                )
        return f"{self.name}:{digest.hexdigest()[:16]}"

    def notes(self) -> tuple[str, ...]:
        """What is read as what."""
        return self.mapping.notes()

    def read(self, table: str) -> Iterator[pa.Table]:
        """Chunks of a table's files in order of their names.

        Raises:
            KairosError: No folder, or no file of a required table.
            ContractError: A file that is not what its name says, or lacks columns.
        """
        for path in self._files(table):
            contract = CONTRACTS[table]
            try:
                schema, chunks = _opened(path)
                types = {field.name: str(field.type) for field in schema}
                contract.check_file(mapped_types(self.mapping, table, types))
                yield from (mapped_rows(self.mapping, table, chunk) for chunk in chunks)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
                reason = str(error).splitlines()[0]
                raise ContractError(
                    f"{table}: found {path} unreadable ({reason}), expected "
                    f"{'CSV with a header line' if path.suffix == '.csv' else 'Parquet'}; write it again."
                ) from error
            except ContractError as error:
                raise ContractError(f"{path}: {self.mapping.explained(table, error)}") from None

    def _files(self, table: str) -> list[Path]:
        """The table's files; empty for an optional table that is not there."""
        if not self._folder.is_dir():
            raise UsageError(
                f"source {self.name}: there is no such folder; create it or correct KAIROS_SOURCE."
            )
        name = self.mapping.name_of(table)
        for suffix in ("parquet", "csv"):
            single = self._folder / f"{name}.{suffix}"
            found = sorted((self._folder / name).glob(f"**/*.{suffix}")) + (
                [single] if single.is_file() else []
            )
            if found:
                return found
        if table in _REQUIRED:
            raise KairosError(
                f"source {self.name}: found no {name}; put {name}.parquet, {name}.csv or a folder "
                f"{name}/ of such files there, or name yours under [tables] in kairos.toml."
            )
        return []


def _opened(path: Path) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """(schema, chunks) of one file."""
    if path.suffix == ".csv":
        return _opened_csv(path)
    file = pq.ParquetFile(path)
    batches = file.iter_batches(batch_size=_CHUNK_ROWS)
    return file.schema_arrow, (pa.Table.from_batches([batch]) for batch in batches if batch.num_rows)


def _opened_csv(path: Path) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """(schema, chunks) with every value as text; lines with too few or too many fields come last."""
    broken: list[str] = []

    def keep(row: csv.InvalidRow) -> str:
        broken.append(row.text or "")
        return "skip"

    parse = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep)
    names = csv.open_csv(path, parse_options=parse).schema.names
    broken.clear()  # the first look was for the header only
    reader = csv.open_csv(
        path,
        parse_options=parse,
        convert_options=csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=True,
            null_values=["", "NULL"],
        ),
    )

    def chunks() -> Iterator[pa.Table]:
        yield from (pa.Table.from_batches([batch]) for batch in reader if batch.num_rows)
        if broken:
            nothing = {name: pa.nulls(len(broken), pa.string()) for name in names}
            reasons = pa.array(["wrong number of fields"] * len(broken))
            yield pa.table(nothing | {names[0]: pa.array(sorted(broken)), SET_ASIDE: reasons})

    return reader.schema, chunks()
