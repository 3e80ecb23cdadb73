"""`kairos check-data`: would this source be accepted?"""

from __future__ import annotations

from typing import Annotated

import typer


def check_data(
    source: Annotated[str, typer.Argument(help="complete-journey, parquet:DIR or sql:URL")],
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Check a source against the contracts, row by row, without changing anything."""
    import tempfile
    from dataclasses import asdict
    from datetime import UTC, datetime
    from pathlib import Path

    from features.errors import KairosError
    from flows.commands.output import console, print_json, progress_console, table
    from flows.progress import showing_progress, step
    from infra.event_lake import EventLake
    from infra.ingestion import ingest
    from infra.settings import load_settings
    from infra.sources import open_source

    settings = load_settings()
    opened = open_source(source, default_timezone=settings.default_timezone)
    with (
        tempfile.TemporaryDirectory(prefix="kairos-check-") as folder,
        showing_progress(progress_console()),
        step("check") as current,
    ):
        # A real ingest, into a lake that is thrown away: nothing can pass here and fail there.
        manifest = ingest(
            opened,
            EventLake(Path(folder), memory_gb=settings.duckdb_memory_gb),
            now=datetime.now(UTC),
            max_quarantine_share=1.0,
            zones_by_place=settings.zones_by_place,
            progress=lambda name, rows: current.say(f"{name}: {rows:,} rows"),
        ).manifest
        current.say(f"events from {manifest.first_event} to {manifest.last_event}")
    if as_json:
        print_json(asdict(manifest))
    else:
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
        console().print(table(None, ("table", "accepted", "repeats", "quarantined", "why"), rows))
        for note in (*manifest.notes, *manifest.degraded):
            console().print(f"- {note}", markup=False, soft_wrap=True)
    bound = settings.max_quarantine_share
    for name, counts in manifest.tables.items():
        if counts.quarantine_share > bound:
            raise KairosError(
                f"{name}: {counts.quarantine_share:.1%} of the rows would be quarantined, must be "
                f"<= {bound:.1%}; repair them, or raise KAIROS_MAX_QUARANTINE_SHARE."
            )
