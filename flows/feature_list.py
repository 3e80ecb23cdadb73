"""Every feature there is, in words: for `kairos features list`, without opening a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from features.table import FeatureColumn, OnDemand
from features.tables import FEATURE_TABLES, ON_DEMAND, SERVICES


@dataclass(frozen=True)
class FeatureRow:
    """One feature.

    Attributes:
        feature: Its name.
        view: The table or on-demand view that offers it.
        kind: 'stored', or 'on demand': computed at the request.
        grain: The keys it is one value for, those of the tables behind it where it is on demand.
        window: Over which past it is taken.
        unit: sessions, days, share, ...; '' for text.
        meaning, null_means: In words.
        dtype: float, int or str.
        newest: The view's newest row (of an on-demand view, that of its oldest table); None before a build.
        services: Names of the services that read it, on-demand features counting as readers of their tables.
    """

    feature: str
    view: str
    kind: str
    grain: tuple[str, ...]
    window: str
    unit: str
    meaning: str
    null_means: str
    dtype: str
    newest: datetime | None
    services: tuple[str, ...]


def feature_rows(newest: Mapping[str, datetime | None]) -> list[FeatureRow]:
    """Every stored and on-demand feature, as they are declared.

    Args:
        newest: Latest valid row by table; empty before the first build.
    """
    keys = {table.name: table.keys for table in FEATURE_TABLES}
    readers = _readers()
    rows = []
    for table in FEATURE_TABLES:
        for column in table.columns:
            rows.append(
                _row(column, table.name, "stored", table.keys, newest.get(table.name), readers[column.name])
            )
    for view in ON_DEMAND:
        grain = tuple(dict.fromkeys(key for name in view.tables for key in keys[name])) or ("request",)
        behind = [newest.get(name) for name in view.tables]
        known = [one for one in behind if one is not None]
        oldest = min(known) if known and len(known) == len(behind) else None
        for column in view.columns:
            rows.append(_row(column, view.name, "on demand", grain, oldest, readers[column.name]))
    return rows


def _row(
    column: FeatureColumn,
    view: str,
    kind: str,
    grain: tuple[str, ...],
    newest: datetime | None,
    services: tuple[str, ...],
) -> FeatureRow:
    return FeatureRow(
        feature=column.name,
        view=view,
        kind=kind,
        grain=grain,
        window=column.window or ("request" if kind == "on demand" else ""),
        unit=column.unit,
        meaning=column.meaning,
        null_means=column.null_means,
        dtype=column.dtype,
        newest=newest,
        services=services,
    )


def _readers() -> dict[str, tuple[str, ...]]:
    """Services by feature name."""
    declared = [*(table.columns for table in FEATURE_TABLES), *(view.columns for view in ON_DEMAND)]
    found: dict[str, list[str]] = {column.name: [] for columns in declared for column in columns}
    for service in SERVICES:
        for name in dict.fromkeys(_read_by(service.features)):
            found[name].append(service.name)
    return {name: tuple(services) for name, services in found.items()}


def _read_by(features: tuple[str, ...]) -> Iterator[str]:
    """The features, and the stored columns behind those computed on demand."""
    wanted, stored = set(features), {table.name: table.columns for table in FEATURE_TABLES}
    yield from features
    for view in ON_DEMAND:
        if _offers(view, wanted):
            yield from (column.name for name in view.tables for column in stored[name])


def _offers(view: OnDemand, wanted: set[str]) -> bool:
    return any(column.name in wanted for column in view.columns)
