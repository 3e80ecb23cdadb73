"""The one primitive of all feature tables: counts per key as of every instant at which they changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from duckdb import DuckDBPyRelation

from features.windows import TimeWindow

SECONDS_PER_DAY = 86_400
GRID_SECONDS = 900
"""Every local midnight of every zone since 1972 is a whole multiple of it."""
UNITS = 10_000
"""Sums are kept in whole ten-thousandths: they add up to the same bits in any order, doubles do not."""

Measure = Literal["gain", "quantity", "amount"]


@dataclass(frozen=True)
class Counts:
    """What to count per key.

    Attributes:
        keys: Columns to count by.
        prefix: Put before every result column.
        recency: The instants of the first and the last event.
        visits: The number of sessions that began, each counting one, and when the last two did.
        half_lives_days: One exponentially decayed count each.
        windows_hours: One count over the last so many hours each; whole multiples of the grid.
        totals: Of weight, quantity and amount: those to sum since the beginning.
        measure: What is counted, decayed and summed over windows: 'gain', a session's worth, or the lines'
            'quantity' or 'amount'. It gives the running column its name, 'sessions' for gain.
        where: SQL condition on the lines, written by us, never by a user.
        grid_seconds: Rows begin at whole multiples of it; a multiple of GRID_SECONDS.
    """

    keys: tuple[str, ...]
    prefix: str
    recency: bool = True
    visits: bool = False
    half_lives_days: tuple[int, ...] = ()
    windows_hours: tuple[int, ...] = ()
    totals: tuple[str, ...] = ()
    where: str = "TRUE"
    grid_seconds: int = GRID_SECONDS
    measure: Measure = "gain"

    def __post_init__(self) -> None:
        if self.grid_seconds <= 0 or self.grid_seconds % GRID_SECONDS:
            raise ValueError(f"grid_seconds == {self.grid_seconds}, must be a multiple of {GRID_SECONDS}.")
        if any(days <= 0 for days in self.half_lives_days):
            raise ValueError(f"half_lives_days == {self.half_lives_days}, must be > 0.")
        if any(hours <= 0 or hours * 3600 % self.grid_seconds for hours in self.windows_hours):
            raise ValueError(f"windows_hours == {self.windows_hours}, must be multiples of the grid, > 0.")

    @property
    def running(self) -> str:
        """What the count since the beginning is called, after the prefix."""
        return "sessions" if self.measure == "gain" else self.measure

    @property
    def keeps_last(self) -> bool:
        """Whether rows say when the key's last event was: recency asks for it, and decays need it."""
        return self.recency or bool(self.half_lives_days)

    @property
    def columns(self) -> tuple[str, ...]:
        """Result columns after keys and event_timestamp."""
        names = [self.running]
        if self.visits:
            names += ["visits", "began_epoch_seconds", "previous_epoch_seconds"]
        if self.recency:
            names += ["first_epoch_seconds", "last_epoch_seconds"]
        elif self.keeps_last:
            names += ["last_epoch_seconds"]
        names += [f"decayed_{days}d" for days in self.half_lives_days]
        names += [f"last_{hours}h" for hours in self.windows_hours]
        names += list(self.totals)
        names += ["gained"] if self.windows_hours else []
        return tuple(f"{self.prefix}_{name}" for name in names)

    def leaving(self, since: datetime, until: datetime) -> list[TimeWindow]:
        """Where the `event_timestamp` of rows lies (after start, up to end) that leave a window meanwhile."""
        lengths = [timedelta(hours=hours) for hours in self.windows_hours]
        # The step in which `until` falls is counted too: its row begins at the step's end.
        steps = -int(-until.timestamp() // self.grid_seconds)
        end = datetime.fromtimestamp(steps * self.grid_seconds, UTC)
        return [TimeWindow(since - length, end - length) for length in lengths]


def count_changes(
    lines: DuckDBPyRelation,
    counts: Counts,
    *,
    until: datetime,
    since: datetime | None = None,
    state: DuckDBPyRelation | None = None,
    expiring: DuckDBPyRelation | None = None,
) -> DuckDBPyRelation:
    """Running counts, one row per key and grid instant after which they changed.

    A session counts once per key (`features.visits` says what each line adds). A decayed count is given **as
    of the key's last event**: its value at a later t is `count * 2 ** -((t - last) / half_life)`, which the
    reader applies, so that a row stays exact until the key's next event. A windowed count is exact at every
    instant of the grid: rows are also given where events leave the window. Of sessions that begin within one
    grid step only the first is told apart.

    The row's `event_timestamp` is the first grid instant at or after the end of the events it counts: a join
    on `event_timestamp <= t` can never see an event at or after t.

    Counting may stop at any UTC midnight and go on from the newest rows: the result is that of one run, to
    the bit except for decayed counts, whose last digits depend on the order of addition.

    Args:
        lines: One of the relations of `features.visits`; those outside [since, until) are ignored.
        counts: What to count.
        until: Knowledge cut-off, zone-aware.
        since: Where counting goes on, a UTC midnight; None counts from the beginning.
        state: The newest row before `since` of each key in `lines` or `expiring`; more do no harm.
        expiring: The table's own rows within `counts.leaving(since, until)`; more do no harm.

    Returns:
        (*keys, event_timestamp, *counts.columns), counts in purchase equivalents.

    Raises:
        ValueError: A bound has no zone.

    Source:
        Exponential decay by forward weights (Cormode et al., "Forward Decay", ICDE 2009), anchored where
        counting begins so that weights stay finite over a thousand half-lives.
    """
    for name, moment in (("until", until), ("since", since)):
        if moment is not None and moment.tzinfo is None:
            raise ValueError(f"{name} == {moment}, must carry a time zone; pass UTC.")
    first_second = int(since.timestamp()) if since is not None else None
    parts = {"lines": lines, "state": state, "expiring": expiring}
    # A view per relation: a relation can be queried with others only where they share a connection and names.
    sql = _Sql(counts, first_second, int(until.timestamp()))
    names = {name: f"({relation.sql_query()})" for name, relation in parts.items() if relation is not None}
    return lines.query("lines_of_counts", sql.render(names))


@dataclass(frozen=True)
class _Sql:
    """The query of one `count_changes`."""

    counts: Counts
    since: int | None
    until: int

    def render(self, relations: dict[str, str]) -> str:
        counts = self.counts
        steps = [f"added AS ({self._added()})"]
        moves = "added"
        if counts.windows_hours:
            steps.append(f"moves AS ({self._moves(relations.get('expiring'))})")
            moves = "moves"
        steps.append(f"steps AS ({self._with_state(moves, relations.get('state'))})")
        return f"WITH {', '.join(steps)} {self._running()}"

    @property
    def _keys(self) -> str:
        return ", ".join(self.counts.keys)

    @property
    def _windows(self) -> list[str]:
        return [f"in_{hours}h" for hours in self.counts.windows_hours]

    def _added(self) -> str:
        """What each grid step adds to each key."""
        grid, totals = self.counts.grid_seconds, self.counts.totals
        step = "bucket" if grid == GRID_SECONDS else f"bucket * {GRID_SECONDS} // {grid}"
        begin = f"AND bucket >= {self.since // GRID_SECONDS}" if self.since is not None else ""
        wanted = [f"sum({self.counts.measure})::BIGINT AS gain"]
        if self.counts.recency:
            wanted.append("min(first_at) AS first_at")
        if self.counts.visits:
            wanted += ["count(*) FILTER (opens) AS begun", "min(first_at) FILTER (opens) AS opened"]
        if self.counts.keeps_last:
            wanted.append("max(last_at) AS last_at")
        wanted += [f"sum({total})::BIGINT AS {total}" for total in totals]
        return (
            f"SELECT {', '.join(f'{key}::VARCHAR AS {key}' for key in self.counts.keys)}, "
            f"* EXCLUDE ({self._keys}) FROM (SELECT {self._keys}, {step} AS step, {', '.join(wanted)} "
            f"FROM lines_of_counts WHERE first_at < {self.until} {begin} AND ({self.counts.where}) "
            f"GROUP BY {self._keys}, step)"
        )

    def _moves(self, expiring: str | None) -> str:
        """The same with what enters and leaves each window."""
        grid, counts = self.counts.grid_seconds, self.counts
        others = [name for name in self._measures() if name != "gain"]
        first = self.since // grid if self.since is not None else 0
        arrivals = f"SELECT {self._keys}, step, gain, {''.join(f'{name}, ' for name in others)}" + ", ".join(
            f"gain AS {name}" for name in self._windows
        )
        parts = [f"{arrivals} FROM added"]
        leavers = ["SELECT * FROM (SELECT {keys}, step, gain FROM added)"]
        if expiring is not None:
            leavers.append(
                "SELECT {keys}, epoch_us(event_timestamp) // 1000000 // "
                f"{grid} - 1 AS step, round({counts.prefix}_gained * {UNITS})::BIGINT AS gain FROM {expiring}"
                f" WHERE {counts.prefix}_gained > 0"
                + (f" AND epoch_us(event_timestamp) <= {self.since} * 1000000::BIGINT" if self.since else "")
            )
        gone = " UNION ALL ".join(leavers).format(keys=self._keys)
        nothing = dict.fromkeys(("first_at", "opened", "last_at"), "NULL")
        for hours in counts.windows_hours:
            later = hours * 3600 // grid
            columns = ["0 AS gain", *(f"{nothing.get(name, '0')} AS {name}" for name in others)]
            columns += [
                f"{'-gain' if other == hours else '0'} AS in_{other}h" for other in counts.windows_hours
            ]
            parts.append(
                f"SELECT {self._keys}, step + {later} AS step, {', '.join(columns)} FROM ({gone}) "
                f"WHERE gain > 0 AND step + {later} >= {first} AND (step + {later}) * {grid} < {self.until}"
            )
        merged = {"first_at": "min(first_at)", "opened": "min(opened)", "last_at": "max(last_at)"}
        wanted = [
            f"{merged.get(name, f'sum({name})::BIGINT')} AS {name}"
            for name in (*self._measures(), *self._windows)
        ]
        return (
            f"SELECT {self._keys}, step, {', '.join(wanted)} FROM ({' UNION ALL '.join(parts)}) "
            f"GROUP BY {self._keys}, step"
        )

    def _measures(self) -> list[str]:
        counts = self.counts
        names = ["gain"]
        names += ["first_at"] if counts.recency else []
        names += ["begun", "opened"] if counts.visits else []
        names += ["last_at"] if counts.keeps_last else []
        return [*names, *counts.totals]

    def _with_state(self, moves: str, state: str | None) -> str:
        """The steps behind one another, before them two that hold all the past."""
        counts, prefix = self.counts, self.counts.prefix
        measures = [*self._measures(), *self._windows]
        steps = f"SELECT {self._keys}, step, {', '.join(measures)}"
        steps += "".join(f", gain * {self._weight('last_at', d)} AS w_{d}" for d in counts.half_lives_days)
        steps += f" FROM {moves}"
        if state is None:
            return steps
        stored = {
            "gain": f"round({prefix}_{counts.running} * {UNITS})::BIGINT",
            "first_at": f"{prefix}_first_epoch_seconds::BIGINT",
            "opened": f"{prefix}_began_epoch_seconds::BIGINT",
            "begun": f"{prefix}_visits::BIGINT",
            "last_at": f"{prefix}_last_epoch_seconds::BIGINT",
        }
        stored |= {total: f"round({prefix}_{total} * {UNITS})::BIGINT" for total in counts.totals}
        stored |= {
            f"in_{hours}h": f"round({prefix}_last_{hours}h * {UNITS})::BIGINT"
            for hours in counts.windows_hours
        }
        past = f"SELECT {self._keys}, -1 AS step, {', '.join(stored[name] for name in measures)}"
        past += "".join(
            f", {prefix}_decayed_{d}d * {UNITS} * {self._weight(f'{prefix}_last_epoch_seconds', d)}"
            for d in counts.half_lives_days
        )
        steps += f" UNION ALL {past} FROM {state}"
        if counts.visits:
            before = {
                "opened": f"{prefix}_previous_epoch_seconds::BIGINT",
                "first_at": "NULL",
                "last_at": "NULL",
            }
            older = f"SELECT {self._keys}, -2 AS step, {', '.join(before.get(m, '0') for m in measures)}"
            steps += f" UNION ALL {older}{', 0' * len(counts.half_lives_days)} FROM {state}"
        return steps

    def _weight(self, instant: str, half_life_days: int) -> str:
        # Any instant near the lines keeps the powers of two finite.
        origin = self.since if self.since is not None else "(SELECT min(first_at) FROM lines_of_counts)"
        return f"pow(2, ({instant} - {origin}) / {half_life_days * SECONDS_PER_DAY}.0)"

    def _running(self) -> str:
        counts, prefix = self.counts, self.counts.prefix
        columns = [f"sum(gain) OVER past / {UNITS}.0 AS {prefix}_{counts.running}"]
        if counts.visits:
            columns.append(f"(sum(begun) OVER past)::DOUBLE AS {prefix}_visits")
            begins = {
                "began": "last_value(opened IGNORE NULLS) OVER past",
                "previous": "if(opened IS NOT NULL, lag(opened IGNORE NULLS) OVER past, "
                "lag(opened, 2 IGNORE NULLS) OVER past)",
            }
            columns += [
                f"({instant})::DOUBLE AS {prefix}_{name}_epoch_seconds" for name, instant in begins.items()
            ]
        # Steps at which events leave a window hold none of their own.
        last = "last_value(last_at IGNORE NULLS) OVER past" if counts.windows_hours else "last_at"
        if counts.recency:
            columns.append(
                f"(first_value(first_at IGNORE NULLS) OVER past)::DOUBLE AS {prefix}_first_epoch_seconds"
            )
        if counts.keeps_last:
            columns.append(f"({last})::DOUBLE AS {prefix}_last_epoch_seconds")
        columns += [
            f"sum(w_{d}) OVER past / {UNITS}.0 / {self._weight(f'({last})', d)} AS {prefix}_decayed_{d}d"
            for d in counts.half_lives_days
        ]
        columns += [
            f"sum({name}) OVER past / {UNITS}.0 AS {prefix}_last_{hours}h"
            for name, hours in zip(self._windows, counts.windows_hours, strict=True)
        ]
        columns += [f"sum({total}) OVER past / {UNITS}.0 AS {prefix}_{total}" for total in counts.totals]
        columns += [f"gain / {UNITS}.0 AS {prefix}_gained"] if counts.windows_hours else []
        visible = f"make_timestamptz((step + 1) * {counts.grid_seconds} * 1000000)"
        return (
            f"SELECT * EXCLUDE (step) FROM (SELECT {self._keys}, step, {visible} AS event_timestamp, "
            f"{', '.join(columns)} FROM steps "
            f"WINDOW past AS (PARTITION BY {self._keys} ORDER BY step "
            "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) WHERE step >= 0"
        )


def utc_midnight(moment: datetime) -> datetime:
    """The UTC midnight at or before an instant.

    >>> utc_midnight(datetime(2017, 3, 1, 13, tzinfo=UTC)).isoformat()
    '2017-03-01T00:00:00+00:00'
    """
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
