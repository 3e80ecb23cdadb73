"""`kairos features`: what a model can be told, and what each thing means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from flows.feature_list import FeatureRow

_TABLE_WIDTH = 130
"""Names are long: narrower terminals get two lines a feature."""

app = typer.Typer(help="The features: what there is and what it means.", no_args_is_help=True)


@app.callback()
def features() -> None:
    """The features: what there is and what it means."""


@app.command("list")
def list_features(
    as_json: Annotated[bool, typer.Option("--json")] = False,
    table: Annotated[
        str | None, typer.Option("--table", metavar="NAME", help="Only this table or on-demand view.")
    ] = None,
) -> None:
    """Every feature: grain, window, unit, what missing means, newest row, and which services read it."""
    from dataclasses import asdict

    from features.errors import UsageError
    from flows.commands.output import console, print_json
    from flows.feature_list import feature_rows
    from infra.feature_manifest import TablesManifest
    from infra.settings import load_settings

    manifest = TablesManifest.read(load_settings().features_dir / "current" / "manifest.json")
    rows = feature_rows(manifest.newest if manifest is not None else {})
    views = list(dict.fromkeys(row.view for row in rows))
    if table is not None:
        if table not in views:
            import difflib

            near = difflib.get_close_matches(table, views, n=1, cutoff=0.0)
            raise UsageError(
                f"--table {table!r} is no feature table or on-demand view; did you mean {near[0]}?"
            )
        views = [table]
        rows = [row for row in rows if row.view == table]
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    for view in views:
        _print_view(console(), [row for row in rows if row.view == view])
    if len(views) > 1:
        console().print(f"\n{len(rows)} features in {len(views)} views; --json tells their meanings too.")


def _print_view(out: Console, rows: list[FeatureRow]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from flows.commands.output import table

    first = rows[0]
    newest = f"{first.newest:%Y-%m-%d %H:%M} UTC" if first.newest is not None else "-"
    told = f"one row per {' x '.join(first.grain)}, {first.kind}, newest row {newest}"
    out.print(Text.assemble("\n", (first.view, "bold"), "  ", told))
    listed = [
        (row.feature, row.window, row.unit, row.null_means, ", ".join(row.services) or "-") for row in rows
    ]
    if out.width >= _TABLE_WIDTH:
        out.print(table(None, ("feature", "window", "unit", "missing means", "read by"), listed))
        return
    for name, window, unit, null_means, services in listed:
        out.print(Padding(Text(name), (0, 0, 0, 2)))
        over = ", ".join(part for part in (unit, window) if part)
        words = "; ".join((*filter(None, (over,)), f"missing: {null_means}", f"read by: {services}"))
        out.print(Padding(Text(words, style="dim"), (0, 0, 0, 6)))
