"""`kairos check-data`: would this source be accepted?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from infra.data_report import DataReport
    from infra.lake_manifest import Manifest


def check_data(
    source: Annotated[
        str | None,
        typer.Argument(
            help="complete-journey, simulated, parquet:DIR or sql:URL; that of the settings by default."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Check a source against the contracts, row by row, without changing anything."""
    import tempfile
    from dataclasses import asdict
    from datetime import UTC, datetime
    from pathlib import Path

    from features.errors import KairosError
    from flows.commands.output import print_json, progress_console
    from flows.progress import showing_progress, step
    from infra.data_report import data_report
    from infra.event_lake import EventLake
    from infra.ingestion import ingest
    from infra.settings import load_settings
    from infra.sources import source_of

    settings = load_settings()
    opened = source_of(settings, source)
    with (
        tempfile.TemporaryDirectory(prefix="kairos-check-") as folder,
        showing_progress(progress_console()),
        step("check") as current,
    ):
        # A real ingest, into a lake that is thrown away: nothing can pass here and fail there.
        lake = EventLake(Path(folder), memory_gb=settings.duckdb_memory_gb)
        manifest = ingest(
            opened,
            lake,
            now=datetime.now(UTC),
            max_quarantine_share=1.0,
            zones_by_place=settings.zones_by_place,
            progress=lambda name, rows: current.say(f"{name}: {rows:,} rows"),
        ).manifest
        report = data_report(
            lake, manifest, settings.train_weeks + settings.validation_weeks + settings.test_weeks
        )
        current.say(f"events from {manifest.first_event} to {manifest.last_event}")
    if as_json:
        print_json(asdict(manifest) | asdict(report))
    else:
        _print_report(manifest, report)
    bound = settings.max_quarantine_share
    for name, counts in manifest.tables.items():
        if counts.quarantine_share > bound:
            raise KairosError(
                f"{name}: {counts.quarantine_share:.1%} of the rows would be quarantined, must be "
                f"<= {bound:.1%}; repair them, or raise KAIROS_MAX_QUARANTINE_SHARE."
            )


def _print_report(manifest: Manifest, report: DataReport) -> None:
    from flows.commands.output import console, table

    out = console()
    rows = [
        (
            name,
            counts.accepted,
            counts.repeats,
            counts.quarantined,
            ", ".join(f"{reason} ({rows:,})" for reason, rows in counts.reasons.items()),
        )
        for name, counts in manifest.tables.items()
    ]
    out.print(table(None, ("table", "accepted", "repeats", "quarantined", "why"), rows))
    if manifest.first_event is not None and manifest.last_event is not None:
        days = (manifest.last_event - manifest.first_event).days + 1
        span = f"{manifest.first_event:%Y-%m-%d %H:%M} to {manifest.last_event:%Y-%m-%d %H:%M} UTC"
        out.print(f"\nEvents from {span}, {days:,} days")
    out.print(", ".join(f"{count:,} {kind}" for kind, count in report.event_types), soft_wrap=True)
    out.print(table("\nZones", ("zone", "users", "told by"), report.zones[:10]))
    if len(report.zones) > 10:
        out.print(f"and {len(report.zones) - 10} more zones")
    if report.unknown:
        shares = [
            (
                name,
                ", ".join(
                    f"{column} {_percent(share)}" for of, column, share in report.unknown if of == name
                ),
            )
            for name in dict.fromkeys(name for name, _, _ in report.unknown)
        ]
        out.print(table("\nUnknown", ("table", "column, share of rows"), shares))
    if report.problems:
        worst = [
            (
                number,
                problem.table,
                f"{problem.rows:,} ({_percent(problem.share)})",
                problem.what,
                problem.fix,
            )
            for number, problem in enumerate(report.problems, 1)
        ]
        out.print(table("\nWorst problems", ("", "table", "rows", "what", "fix"), worst))
    said = (*manifest.notes, *manifest.degraded)
    if said:
        out.print()
    for note in said:
        out.print(f"- {note}", markup=False, soft_wrap=True)


def _percent(share: float) -> str:
    return "<0.1%" if 0 < share < 0.001 else f"{share:.0%}" if share in (0, 1) else f"{share:.1%}"
