"""What a simulated market remembers between runs: how far its days have gone, and what pushes brought about.

today.json   the market, and the first day that has not happened yet
days/DATE.parquet   what the pushes sent on that day brought about, as it happened

A day is written whole or not at all, and again with the same bytes. Days from today on are ignored: turning
back the clock and living a day again overwrites it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import KairosError, UsageError
from infra.sources.simulated.days import date_of
from infra.sources.simulated.event_table import SCHEMA
from infra.sources.simulated.params import MarketParams, spec_of


class MarketDiary:
    """The memory of one market in one folder; without a folder it stays at the end of its history."""

    def __init__(self, params: MarketParams, folder: Path | None) -> None:
        """Nothing is read or written yet."""
        self._params = params
        self._folder = folder
        self._market = hashlib.sha256(repr(params).encode()).hexdigest()[:16]

    @property
    def today(self) -> date:
        """The first day that has not happened yet.

        Raises:
            KairosError: The folder holds the days of another market.
        """
        path = self._path("today.json")
        if path is None or not path.exists():
            return self.history_end
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["market"] != self._market:
            raise KairosError(
                f"{path.parent} holds days of another market ({told['spec']}), not of "
                f"{spec_of(self._params)}; set KAIROS_SOURCE back, or KAIROS_HOME to another folder."
            )
        return date.fromisoformat(told["today"])

    @property
    def history_end(self) -> date:
        """The day after the history that nobody planned."""
        return date_of(self._params, self._params.days)

    def turn_to(self, day: date) -> None:
        """Nothing; all days before `day` have happened, none from it on.

        Raises:
            UsageError: As `check_next` does.
        """
        self.check_next(day)
        self._write_today(day)

    def check_next(self, day: date) -> None:
        """Nothing; `day` may be lived next.

        Raises:
            KairosError: The folder holds the days of another market.
            UsageError: A day of the history, or beyond the next one to come.
        """
        today = self.today
        if not self.history_end <= day <= today:
            raise UsageError(
                f"{day} cannot be simulated next: it must be one of {self.history_end}..{today}, as days "
                "are lived one after the other."
            )

    def write_day(self, day: date, happened: pa.Table) -> None:
        """Nothing; what the pushes sent on `day` brought about is kept, and the next day is today."""
        path = self._needed(f"days/{day}.parquet")
        with _replacing(path) as staged:
            pq.write_table(happened.cast(SCHEMA), staged, compression="zstd")
        self._write_today(date.fromordinal(day.toordinal() + 1))

    def read_days(self) -> pa.Table:
        """`SCHEMA` rows of all days that have happened."""
        tables = [pq.read_table(path, schema=SCHEMA) for path in self._days()]
        return pa.concat_tables(tables) if tables else SCHEMA.empty_table()

    def fingerprint(self) -> str:
        """Digest that changes with the market, its today and what pushes brought about."""
        digest = hashlib.sha256(f"{self._market} {self.today}".encode())
        for path in self._days():
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]

    def pushes_file(self, day: date) -> Path:
        """Where a gateway leaves the pushes sent on `day`."""
        return self._needed(f"pushes/{day}.ndjson")

    def _days(self) -> list[Path]:
        folder, today = self._path("days"), self.today
        if folder is None:
            return []
        return [path for path in sorted(folder.glob("*.parquet")) if date.fromisoformat(path.stem) < today]

    def _write_today(self, day: date) -> None:
        told = {"market": self._market, "spec": spec_of(self._params), "today": day.isoformat()}
        with _replacing(self._needed("today.json")) as staged:
            staged.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    def _path(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / name

    def _needed(self, name: str) -> Path:
        path = self._path(name)
        if path is None:
            raise UsageError("this market was opened without a home to keep its days in; set KAIROS_HOME.")
        return path


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place once all is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.staged")
    yield staged
    staged.replace(path)
