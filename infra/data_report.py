"""What a lake says of the source it was read from: zones, what is unknown, and the worst problems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from features.contracts import CONTRACTS
from features.data_problems import Problem, fix_of, worst
from features.scenes import UNKNOWN
from infra.event_lake import EventLake
from infra.lake_files import parquet_literal
from infra.lake_manifest import Manifest

_DAYS_A_WEEK = 7


@dataclass(frozen=True)
class DataReport:
    """A source, looked at.

    Attributes:
        zones: (zone, users, who told it: the user, their place or the default), most users first.
        unknown: (table, column, share of rows without it) of every column that some rows lack.
        event_types: (type, events), most first.
        problems: The ten worst, each with its fix.
    """

    zones: tuple[tuple[str, int, str], ...]
    unknown: tuple[tuple[str, str, float], ...]
    event_types: tuple[tuple[str, int], ...]
    problems: tuple[Problem, ...]


def data_report(lake: EventLake, manifest: Manifest, needed_weeks: int) -> DataReport:
    """The report on what the lake holds.

    Args:
        lake: Filled by the ingest that `manifest` tells of.
        needed_weeks: Of history, to train on.
    """
    connection = lake.connect()
    try:
        unknown = tuple(_unknown(connection, manifest))
        problems = [
            *_set_aside(connection, lake, manifest),
            *_poorer(connection, manifest, {(t, c): share for t, c, share in unknown}),
            *_too_short(manifest, needed_weeks),
        ]
        return DataReport(
            zones=tuple(connection.execute(_ZONES).fetchall()),
            unknown=unknown,
            event_types=tuple(connection.execute(_EVENT_TYPES).fetchall()),
            problems=tuple(worst(problems)),
        )
    finally:
        connection.close()


_ZONES = "SELECT timezone, count(*), timezone_source FROM users GROUP BY ALL ORDER BY 2 DESC, 1, 3"
_EVENT_TYPES = "SELECT event_type, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC, 1"
_STRANGERS = {
    "events about items that items does not list": (
        "SELECT count(*) FROM events ANTI JOIN items USING (item_id) WHERE item_id IS NOT NULL",
        "list them in items: what is not listed is never recommended",
    ),
    "events of users that users does not list": (
        "SELECT count(*) FROM events ANTI JOIN users USING (user_id)",
        "list them in users with push_consent: who is not listed gets no push",
    ),
}


def _unknown(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> Iterator[tuple[str, str, float]]:
    for name, contract in CONTRACTS.items():
        if not manifest.tables[name].accepted:
            continue
        # A column that no shop is expected to tell is no gap.
        asked = [column for column in contract.columns if column.expected and not column.required]
        missing = [
            f"avg(({column.name} IS NULL OR {column.name}::VARCHAR = '{UNKNOWN}')::INT)" for column in asked
        ]
        shares = connection.execute(f"SELECT {', '.join(missing)} FROM {name}").fetchall()[0]
        yield from (
            (name, column.name, share) for column, share in zip(asked, shares, strict=True) if share > 0
        )


def _set_aside(
    connection: duckdb.DuckDBPyConnection, lake: EventLake, manifest: Manifest
) -> Iterator[Problem]:
    """Quarantined rows by reason, each with an example."""
    folder = lake.root / "current" / "quarantine"
    for table, counts in manifest.tables.items():
        for reason, rows in counts.reasons.items():
            files = parquet_literal(folder, f"{table}.parquet")
            key = CONTRACTS[table].key
            query = f"SELECT * FROM read_parquet({files}) WHERE reason = ? ORDER BY {key} LIMIT 1"
            found = connection.sql(query, params=[reason])
            row = dict(zip(found.columns, found.fetchall()[0], strict=True))
            shown = [f"{name} {value}" for name, value in row.items() if _is_told(name, value, key, reason)]
            what = f"{reason}, such as {', '.join(shown)}" if shown else reason
            yield Problem(table, rows, counts.read, what, fix_of(table, reason), blocks=True)


def _is_told(column: str, value: str | None, key: str, reason: str) -> bool:
    """Whether the column helps to find the row: its key, and what its reason is about."""
    return value is not None and column != "reason" and (column == key or column in reason)


def _poorer(
    connection: duckdb.DuckDBPyConnection, manifest: Manifest, unknown: dict[tuple[str, str], float]
) -> Iterator[Problem]:
    """What is accepted, but tells less than it could."""
    users, items, events = (manifest.tables[name].accepted for name in ("users", "items", "events"))
    silent = _count(connection, "SELECT count(*) FROM users WHERE NOT push_consent")
    fix = "name the column of consent under [columns.users] as push_consent; it is never assumed"
    yield Problem("users", silent, users, "users without consent, who get no push", fix)
    zoneless = _count(
        connection, "SELECT count(*) FROM users WHERE timezone_source = 'default' AND timezone = 'UTC'"
    )
    fix = "set default_timezone to the shop's zone, or timezone_by_region, or map users.timezone"
    yield Problem("users", zoneless, users, "users without a zone, taken to live in UTC", fix)
    for what, (query, remedy) in _STRANGERS.items():
        yield Problem("events", _count(connection, query), events, what, remedy)
    pieces = {
        ("events", "session_id"): (events, "map the order or visit number: items bought together tell most"),
        ("events", "amount"): (events, "map what was paid"),
        ("items", "price"): (items, "map it: a push must be worth its interruption in money"),
        ("items", "category_path"): (items, "map it as 'a > b > c': new items are ranked by their category"),
    }
    for (table, column), (of, remedy) in pieces.items():
        share = unknown.get((table, column), 0.0)
        yield Problem(table, round(share * of), of, f"{table} without {column}", remedy)


def _too_short(manifest: Manifest, needed_weeks: int) -> Iterator[Problem]:
    if manifest.first_event is None or manifest.last_event is None:
        return
    days = (manifest.last_event - manifest.first_event).days + 1
    if days < needed_weeks * _DAYS_A_WEEK:
        events = manifest.tables["events"].accepted
        what = f"{days} days of events, training needs {needed_weeks} weeks"
        yield Problem("events", events, events, what, "add older events, or lower KAIROS_TRAIN_WEEKS")


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(connection.execute(query).fetchall()[0][0])
