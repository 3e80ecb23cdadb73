"""The SQL of the point-in-time join: one ASOF join a feature view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_ONE_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class AsofSource:
    """One feature view as the join sees it.

    Attributes:
        view: Named in errors.
        relation: SQL that can stand after FROM, with timestamps to the microsecond.
        keys: (entity frame column, relation column); empty for a view without entities.
        timestamp: Relation column: from this instant on a row's values may be used.
        created: Of rows that share keys and timestamp the one created last wins; None takes any of them.
        features: (relation column, result column).
        ttl: A row older than this at the asked instant counts as missing; None keeps it for ever.
        only_created: A row counts only from the instant it was created on; needs `created`.
    """

    view: str
    relation: str
    keys: tuple[tuple[str, str], ...]
    timestamp: str
    created: str | None
    features: tuple[tuple[str, str], ...]
    ttl: timedelta | None = None
    only_created: bool = False

    @property
    def at(self) -> str:
        """SQL of a row's instant."""
        return instant_of(self.timestamp)


def quoted(name: str) -> str:
    """The SQL identifier for `name`."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The SQL string for `text`."""
    return "'" + text.replace("'", "''") + "'"


def reason(error: Exception) -> str:
    """The first line of DuckDB's message; the others show the statement or list every function."""
    return str(error).partition("\n")[0]


def instant(moment: datetime) -> str:
    """The SQL literal; a naive moment is UTC."""
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"TIMESTAMPTZ '{zoned.astimezone(UTC).isoformat()}'"


def instant_of(column: str) -> str:
    """SQL of the column as an instant; naive timestamps and dates are UTC."""
    return f"CAST({quoted(column)} AS TIMESTAMPTZ)"


def known_rows(
    source: AsofSource, first: datetime | None = None, last: datetime | None = None, asked: str | None = None
) -> str:
    """SQL of the source's rows: known_from, valid_from, key_0.., f_0..; unique where `created` is given.

    `known_from` is when a row begins to answer, `valid_from` its own instant, by which it grows old. The two
    differ only with `only_created`: a row is known from max(instant, created) on, and it answers from then
    on only if no row known by then has a later instant. Such rows are left out, so that the ASOF join, which
    looks at `known_from` alone, finds the right one.

    Args:
        source: The view.
        first: Rows that no instant from here on can see may be left out.
        last: Rows that no instant up to here can see may be left out.
        asked: A table with key_0..: rows with other keys are left out, which saves most of a sort.
    """
    at = source.at
    keys = [quoted(raw) for _, raw in source.keys]
    created = instant_of(source.created) if source.created else None
    known = f"greatest({at}, {created})" if source.only_created and created else at
    columns = [f"{known} AS known_from", f"{at} AS valid_from"]
    columns += [f"{key} AS key_{number}" for number, key in enumerate(keys)]
    columns += [f"{quoted(raw)} AS f_{number}" for number, (raw, _) in enumerate(source.features)]
    conditions = [f"{at} <= {instant(last)}"] if last else []
    if first and source.ttl:
        conditions.append(f"{at} >= {instant(first - source.ttl)}")
    newest = []
    if created and source.only_created:
        conditions.append(f"{created} IS NOT NULL")  # greatest() would ignore the null
        partition = f"PARTITION BY {', '.join(keys)} " if keys else ""
        newest.append(f"{at} = max({at}) OVER ({partition}ORDER BY {known})")
    if created:
        partition = ", ".join([*keys, known])
        newest.append(
            f"row_number() OVER (PARTITION BY {partition} ORDER BY {at} DESC, {created} DESC NULLS LAST) = 1"
        )
    wanted = ""
    if asked and keys:
        names = [f"key_{number}" for number in range(len(keys))]
        matches = [f"stored.{key} = wanted.{name}" for key, name in zip(keys, names, strict=True)]
        distinct = f"SELECT DISTINCT {', '.join(names)} FROM {asked}"
        wanted = f" SEMI JOIN ({distinct}) AS wanted ON {' AND '.join(matches)}"
    # Raw columns everywhere, not their aliases: DuckDB would take `key_0` for that of `asked`.
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    qualify = f" QUALIFY {' AND '.join(newest)}" if newest else ""
    return f"SELECT {', '.join(columns)} FROM {source.relation} AS stored{wanted}{where}{qualify}"


def answers_sql(source: AsofSource, first: datetime | None, last: datetime | None) -> str:
    """The query that answers the table `asked` (id, key_0.., at): id and features, unanswered ids left out.

    Args:
        source: The view.
        first: Earliest `at`.
        last: Latest `at`.
    """
    features = "".join(f", known.f_{i} AS {quoted(name)}" for i, (_, name) in enumerate(source.features))
    matches = [f"asked.key_{i} = known.key_{i}" for i in range(len(source.keys))]
    sql = (
        f"SELECT asked.id{features} FROM asked "
        f"ASOF JOIN ({known_rows(source, first, last, 'asked')}) AS known "
        f"ON {' AND '.join([*matches, 'asked.at >= known.known_from'])}"
    )
    return f"{sql} WHERE known.valid_from >= asked.at - {_interval(source.ttl)}" if source.ttl else sql


def statement(sources: Sequence[AsofSource], entities: str, timestamp: str) -> str:
    """The whole retrieval as one statement, for people to read and run; TimeZone must be UTC.

    Args:
        sources: The views.
        entities: SQL that can stand after FROM.
        timestamp: Its column of asked instants.
    """
    asked = f"CAST(entity.{quoted(timestamp)} AS TIMESTAMPTZ)"
    columns, joins = ["entity.*"], []
    for number, source in enumerate(sources):
        view = f"view_{number}"
        alive = f"{view}.valid_from >= {asked} - {_interval(source.ttl)}" if source.ttl else ""
        for i, (_, name) in enumerate(source.features):
            value = f"{view}.f_{i}"
            columns.append(f"{f'CASE WHEN {alive} THEN {value} END' if alive else value} AS {quoted(name)}")
        matches = [f"entity.{quoted(key)} = {view}.key_{i}" for i, (key, _) in enumerate(source.keys)]
        joins.append(
            f"ASOF LEFT JOIN ({known_rows(source)}) AS {view}\n"
            f"  ON {' AND '.join([*matches, f'{asked} >= {view}.known_from'])}"
        )
    return "\n".join([f"SELECT {', '.join(columns)}", f"FROM {entities} AS entity", *joins])


def observed_entities(sources: Sequence[AsofSource], start: datetime, end: datetime, timestamp: str) -> str:
    """SQL of the distinct (keys, instant) that any source holds from `start` to `end`, both included.

    A source lacking some of the keys gives rows that are null in them. Sources without keys count only where
    no source has any. Rows come in the order of time, then of keys.
    """
    asked = [source for source in sources if source.keys] or list(sources)
    keys = list(dict.fromkeys(key for source in asked for key, _ in source.keys))
    selects = []
    for source in asked:
        columns = [f"{source.at} AS {quoted(timestamp)}"]
        columns += [f"{quoted(raw)} AS {quoted(key)}" for key, raw in source.keys]
        conditions = [f"{source.at} BETWEEN {instant(start)} AND {instant(end)}"]
        conditions += [f"{quoted(raw)} IS NOT NULL" for _, raw in source.keys]
        selects.append(f"SELECT {', '.join(columns)} FROM {source.relation} WHERE {' AND '.join(conditions)}")
    order = ", ".join(quoted(name) for name in (timestamp, *keys))
    return f"SELECT DISTINCT {order} FROM ({' UNION ALL BY NAME '.join(selects)}) ORDER BY {order}"


def _interval(span: timedelta) -> str:
    return f"to_microseconds({span // _ONE_MICROSECOND})"
