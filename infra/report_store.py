"""Reports for people (HTML files) and for machines (summary rows in Postgres)."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from sqlalchemy import Table, delete, insert, select, text

from features.errors import UsageError
from infra.database import Database
from infra.tables import drift_summary, quality_summary

DRIFT, DATA_DRIFT = "drift", "data_drift"
"""Kinds of drift measurements: of what a model scores, and of the events themselves."""

_PLAIN_NAME = r"[A-Za-z0-9][A-Za-z0-9._=-]{0,149}"


class ReportStore:
    """Writes and finds reports."""

    def __init__(self, database: Database, reports_dir: Path, note: str = "") -> None:
        """Reports in `database` and `reports_dir`.

        Args:
            note: What every page says above all else, such as that nothing in it is real; '' says nothing.
        """
        self._database = database
        self._reports_dir = reports_dir
        self._note = note

    def write_html(self, kind: str, name: str, html: str) -> Path:
        """The file `<reports_dir>/<kind>/<name>.html`, replaced whole: nobody ever sees half of it.

        Raises:
            UsageError: `kind` or `name` is no plain file name.
        """
        for part in (kind, name):
            if not re.fullmatch(_PLAIN_NAME, part):
                raise UsageError(f"report {part!r}: use letters, digits, dots, dashes and underscores.")
        folder = self._reports_dir / kind
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.html"
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".part")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(noted(html, self._note))
                file.flush()
                os.fsync(descriptor)
                os.fchmod(descriptor, 0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return path

    def append_quality(
        self,
        *,
        subject: str,
        as_of: datetime,
        kind: str,
        rows: Iterable[Mapping[str, Any]],
        reference: str | None = None,
        report: Path | str | None = None,
    ) -> int:
        """How many rows `quality_summary` now holds for this subject, cut-off and kind.

        A rerun replaces them, so it leaves the same rows.

        Args:
            subject: What was measured: a table, a source.
            as_of: Knowledge cut-off of the measurement.
            kind: Which measurement.
            rows: One a column and measure: column_name, measure, verdict (ok, warn, fail), and optionally
                value, threshold, details (dict).
            reference: What it was compared with.
            report: Where to read more.
        """
        return self._replace(quality_summary, subject, as_of, kind, rows, reference, report)

    def append_drift(
        self,
        *,
        subject: str,
        as_of: datetime,
        kind: str,
        rows: Iterable[Mapping[str, Any]],
        reference: str | None = None,
        report: Path | str | None = None,
    ) -> int:
        """As `append_quality`, in `drift_summary`; `subject` is a model version or a frame."""
        return self._replace(drift_summary, subject, as_of, kind, rows, reference, report)

    def latest_quality(self, subject: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
        """The rows of the newest quality measurement (of that subject and kind), worst first."""
        return self._latest(quality_summary, subject, kind)

    def latest_drift(self, subject: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
        """The rows of the newest drift measurement (of that subject and kind), worst first."""
        return self._latest(drift_summary, subject, kind)

    def _replace(
        self,
        table: Table,
        subject: str,
        as_of: datetime,
        kind: str,
        rows: Iterable[Mapping[str, Any]],
        reference: str | None,
        report: Path | str | None,
    ) -> int:
        whole = {"subject": subject, "as_of": as_of, "kind": kind, "reference": reference}
        whole["report"] = None if report is None else str(report)
        optional: dict[str, Any] = {"value": None, "threshold": None, "details": {}}
        complete = [{**optional, **row, **whole} for row in rows]
        same = (table.c.subject == subject, table.c.as_of == as_of, table.c.kind == kind)
        with self._database.transaction() as connection:
            # Two writers of the same measurement would otherwise both delete nothing and then collide.
            identity = f"{table.name}\n{subject}\n{as_of.timestamp()}\n{kind}"
            connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:it, 0))"), {"it": identity}
            )
            connection.execute(delete(table).where(*same))
            if complete:
                connection.execute(insert(table), complete)
        return len(complete)

    def _latest(self, table: Table, subject: str | None, kind: str | None) -> list[dict[str, Any]]:
        wanted = [table.c.subject == subject] if subject is not None else []
        wanted += [table.c.kind == kind] if kind is not None else []
        newest = (
            select(table.c.subject, table.c.as_of, table.c.kind)
            .where(*wanted)
            .order_by(table.c.as_of.desc(), table.c.created_at.desc())
            .limit(1)
        )
        with self._database.transaction() as connection:
            found = connection.execute(newest).first()
            if found is None:
                return []
            query = select(table).where(
                table.c.subject == found.subject, table.c.as_of == found.as_of, table.c.kind == found.kind
            )
            worst_first = text("array_position(ARRAY['fail', 'warn', 'ok'], verdict), column_name, measure")
            return [dict(row._mapping) for row in connection.execute(query.order_by(worst_first))]


def noted(html: str, note: str) -> str:
    """The page with a note that nobody overlooks; the page itself where there is none.

    Examples:
        >>> noted("<body><h1>Drift</h1></body>", "made up").startswith("<body><p ")
        True
        >>> noted("<h1>Drift</h1>", "")
        '<h1>Drift</h1>'
    """
    if not note:
        return html
    style = "margin:0;padding:.6em 1.5em;background:#fff8c5;color:#24292f;font:bold 1em sans-serif"
    banner = f'<p style="{style}">{escape(note)}</p>'
    begins = re.search(r"<body[^>]*>", html)
    place = begins.end() if begins else 0
    return html[:place] + banner + html[place:]
