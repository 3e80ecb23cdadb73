"""A day's plan in shards on disk, in the bytes that are loaded, published without being in memory whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.errors import KairosError
from infra.plan_content import PLAN_TABLES, ContentDigest, PlanRows, joined


@dataclass(frozen=True)
class PlannedShard:
    """One shard's part of the plan: a file a table, and a page that says what they hold, written last.

    Attributes:
        stem: What the files' paths begin with; it names everything the plan follows from.
    """

    stem: Path

    @property
    def exist(self) -> bool:
        """Whether the part is complete."""
        return self._page.exists()

    def file(self, table: str) -> Path:
        """Where a table's rows lie: Arrow's file format, one value a row as a binary COPY takes it."""
        return self.stem.with_name(f"{self.stem.name}.{table}.arrow")

    def write(self, rows: PlanRows, summary: dict[str, int]) -> None:
        """Nothing; replaces the part, the page that makes it count last."""
        self.stem.parent.mkdir(parents=True, exist_ok=True)
        self._page.unlink(missing_ok=True)
        checksums = {}
        for table in PLAN_TABLES:
            content = _as_file(rows.chunks(table))
            checksums[table] = hashlib.sha256(content).hexdigest()
            with _replacing(self.file(table)) as partial, partial.open("wb") as file:
                file.write(content)
        with _replacing(self._page) as partial:
            page = {"digest": asdict(rows.digest), "summary": summary, "checksums": checksums}
            partial.write_text(json.dumps(page), encoding="utf-8")

    @cached_property
    def digest(self) -> ContentDigest:
        """What the part holds."""
        return ContentDigest(**self._told["digest"])

    @property
    def summary(self) -> dict[str, int]:
        """Its counts."""
        return dict(self._told["summary"])

    @cached_property
    def _told(self) -> dict[str, Any]:
        """What the page says.

        Raises:
            KairosError: It was not planned.
        """
        if not self.exist:
            raise KairosError(f"no plan in {self._page}; run kairos score again.")
        content: dict[str, Any] = json.loads(self._page.read_text(encoding="utf-8"))
        return content

    def chunks(self, table: str) -> Iterator[pa.BinaryArray]:
        """As `infra.plan_content.PlanContent`; a shard's file is small, and proven before a row of it counts.

        Raises:
            KairosError: The file was damaged.
        """
        path = self.file(table)
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self._told["checksums"][table]:
            raise KairosError(
                f"{path} has another checksum than when it was written; delete it and {self._page.name}, and "
                "run kairos score again."
            )
        with pa.ipc.open_file(pa.BufferReader(content)) as reader:
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number).column(0)

    @property
    def _page(self) -> Path:
        return self.stem.with_name(f"{self.stem.name}.json")


@dataclass(frozen=True)
class PlannedShards:
    """All parts of a plan, in any order; reads as one (`infra.plan_content.PlanContent`)."""

    shards: tuple[PlannedShard, ...]

    @property
    def missing(self) -> list[int]:
        """Numbers of the shards that are still to be planned."""
        return [number for number, shard in enumerate(self.shards) if not shard.exist]

    @cached_property
    def digest(self) -> ContentDigest:
        """Of all rows.

        Raises:
            KairosError: A part is missing, or there twice.
        """
        return joined([shard.digest for shard in self.shards])

    def chunks(self, table: str) -> Iterator[pa.BinaryArray]:
        """The table's rows in canonical order, whatever the order of the parts."""
        for shard in sorted(self.shards, key=lambda one: one.digest.first):
            yield from shard.chunks(table)

    @property
    def summary(self) -> dict[str, int]:
        """The parts' counts, added up."""
        total: dict[str, int] = {}
        for shard in self.shards:
            for name, count in shard.summary.items():
                total[name] = total.get(name, 0) + count
        rules = sorted(name for name in total if name.startswith("rule_"))
        return {name: total[name] for name in (*(n for n in total if n not in rules), *rules)}


def _as_file(chunks: Iterator[pa.BinaryArray]) -> bytes:
    schema = pa.schema([("row", pa.binary())])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        for chunk in chunks:
            writer.write_batch(pa.record_batch([chunk], schema))
    return bytes(memoryview(sink.getvalue()))


class _replacing:
    """A path to write to, which becomes the file when the block ends well and vanishes otherwise."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")

    def __enter__(self) -> Path:
        return self._partial

    def __exit__(self, failed: object, *_: object) -> None:
        if failed is None:
            self._partial.replace(self._path)
        self._partial.unlink(missing_ok=True)


def planned_shards(folder: Path, inputs: str, count: int) -> PlannedShards:
    """Where the parts of a plan belong that follows from `inputs`."""
    return PlannedShards(
        tuple(PlannedShard(folder / f"{inputs}.{number:04d}-of-{count:04d}") for number in range(count))
    )


def remove_plans(folder: Path, plan_date: date) -> None:
    """Nothing; no part of a plan for the day is left under `folder`: what counts is published."""
    for page in folder.glob(f"*/{plan_date.isoformat()}-*.json"):
        page.unlink(missing_ok=True)  # first, so that what is half removed does not count
    for path in folder.glob(f"*/*{plan_date.isoformat()}-*"):
        path.unlink(missing_ok=True)
