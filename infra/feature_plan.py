"""What a build of the feature tables has to count and what it may keep, decided before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from infra.event_lake import EventLake
from infra.feature_attributes import attribute_digests, changed_attributes, counted_attributes
from infra.feature_chunks import Chunk, plan_chunks
from infra.feature_manifest import LateEvents, TablesManifest
from infra.feature_tables import ATTRIBUTES, FeatureTables
from infra.feature_units import ONE_DAY, day_of, digest_of
from infra.lake_manifest import DayContent

Days = Mapping[date, DayContent]


@dataclass(frozen=True)
class BuildOptions:
    """How feature tables are built.

    Attributes:
        code: Digest of the code that decides a row.
        timezone: Of users who have none.
        late_hours: Days so long before the last build are counted anew where their events changed.
        chunk_events: Events counted at a time: what bounds memory.
    """

    code: str
    timezone: str = "UTC"
    late_hours: float = 48.0
    chunk_events: int = 25_000_000

    @property
    def recipe(self) -> str:
        """Digest of what decides a row besides the events."""
        return digest_of(self.code, self.timezone)

    @property
    def late(self) -> timedelta:
        return timedelta(hours=self.late_hours)


@dataclass(frozen=True)
class BuildPlan:
    """A build, decided.

    Attributes:
        fingerprint: Of the rows it leaves.
        standing: The version that already is what was asked for; then there is nothing to do.
        base: Folder and manifest of the version it goes on from; None counts everything.
        since: First UTC day that is counted; None with nothing to keep.
        end: First UTC day after the last.
        days: The events counted, by day, those kept included.
        attributes: (kind, key, value, first_day) as counted.
        chunks: What is counted, in order.
        late: What is left out although it changed.
        reason: Why these days, in words.
    """

    fingerprint: str
    as_of: datetime
    options: BuildOptions
    standing: TablesManifest | None
    base: tuple[Path, TablesManifest] | None
    since: date | None
    end: date
    days: Days
    attributes: pa.Table | None
    inputs: Mapping[str, str]
    chunks: tuple[Chunk, ...]
    late: LateEvents
    reason: str

    @property
    def mode(self) -> str:
        """'none', 'full' or 'increment'."""
        return "none" if self.standing is not None else "increment" if self.base is not None else "full"

    @property
    def first(self) -> date:
        """First day that is counted or kept."""
        return min(self.days)

    @property
    def tail_start(self) -> date:
        """From this day on later events may change what was counted: a file a day."""
        return day_of(self.as_of - self.options.late)

    @property
    def recounted(self) -> int:
        """UTC days to count."""
        return sum((chunk.end - chunk.start).days for chunk in self.chunks)


def plan_build(
    lake: EventLake,
    tables: FeatureTables,
    as_of: datetime,
    options: BuildOptions,
    *,
    recount_from: date | None = None,
) -> BuildPlan:
    """What to do so that the tables are those of `as_of`.

    Args:
        lake: Filled.
        tables: Any earlier versions are gone on from.
        as_of: Knowledge cut-off.
        options: How tables are built.
        recount_from: Also count this UTC day and all after it anew, however long past.
    """
    manifest = lake.manifest()
    assert manifest is not None
    end = day_of(as_of - timedelta(microseconds=1)) + ONE_DAY
    told = {date.fromisoformat(day): content for day, content in manifest.days.items()}
    days = {day: content for day, content in told.items() if day < end}
    best: _Option | None = None
    reasons: list[str] = []
    for folder, known in tables.versions().values():
        if recount_from is None and _stands(known, as_of, options, days, manifest.digests):
            return _standing(known, as_of, options, end)
        option = _option(lake, folder, known, as_of, options, days, end, recount_from)
        if isinstance(option, str):
            reasons.append(option)
        elif best is None or option.events(days) < best.events(days):
            best = option
    if best is None or best.since <= min(best.days):
        reason = reasons[0] if reasons else "first build"
        if best is not None:
            reason = best.reason
        best = None
    since = best.since if best is not None else None
    counted = dict(best.days) if best is not None else days
    known_attributes = best.folder / ATTRIBUTES if best is not None else None
    attributes = counted_attributes(lake, as_of, options.timezone, known_attributes, since)
    digests = attribute_digests(attributes)
    return BuildPlan(
        fingerprint=_fingerprint(options, as_of, counted, digests, manifest.digests),
        as_of=as_of,
        options=options,
        standing=None,
        base=(best.folder, best.manifest) if best is not None else None,
        since=since,
        end=end,
        days=counted,
        attributes=attributes,
        inputs=dict(manifest.digests),
        chunks=plan_chunks(
            {day: content.events for day, content in days.items()},
            since,
            end,
            as_of,
            tail_start=day_of(as_of - options.late),
            limit=options.chunk_events,
        ),
        late=best.late if best is not None else LateEvents(),
        reason=best.reason if best is not None else reason,
    )


@dataclass(frozen=True)
class _Option:
    """Going on from one version."""

    folder: Path
    manifest: TablesManifest
    since: date
    days: Days
    late: LateEvents
    reason: str

    def events(self, lake_days: Days) -> int:
        return sum(content.events for day, content in lake_days.items() if day >= self.since)


def _option(
    lake: EventLake,
    folder: Path,
    known: TablesManifest,
    as_of: datetime,
    options: BuildOptions,
    days: Days,
    end: date,
    recount_from: date | None,
) -> _Option | str:
    """How to go on from a version, or why that is impossible."""
    if known.recipe != options.recipe:
        return "code or settings changed"
    counted = {date.fromisoformat(day): content for day, content in known.days.items()}
    since, reason = end, "no day changed"
    if as_of != known.as_of:
        since, reason = min(day_of(as_of), day_of(known.as_of)), "the cut-off moved"
    reach = day_of(known.as_of - options.late)
    if recount_from is not None:
        reach, since, reason = min(reach, recount_from), min(since, recount_from), "asked for"
    changed = sorted(day for day in {*days, *counted} if day < since and days.get(day) != counted.get(day))
    if any(day >= reach for day in changed):
        since = next(day for day in changed if day >= reach)
        reason = f"events of {since} changed" if recount_from is None else reason
    same = all(known.inputs.get(name) == lake_digest for name, lake_digest in _dimensions(lake).items())
    moved = None if same else changed_attributes(lake, folder / ATTRIBUTES, options.timezone, since)
    if moved is not None:
        if moved.since < reach:
            return moved.words
        since, reason = min(since, moved.since), moved.words
    left = [day for day in changed if day < since]
    late = LateEvents(
        sum(max(1, abs(_events(days, day) - _events(counted, day))) for day in left),
        len(left),
        left[0] if left else None,
    )
    kept = {day: content for day, content in counted.items() if day < since}
    fresh = {day: content for day, content in days.items() if day >= since}
    return _Option(folder, known, since, kept | fresh, late, reason)


def _events(days: Days, day: date) -> int:
    return days[day].events if day in days else 0


def _dimensions(lake: EventLake) -> dict[str, str]:
    manifest = lake.manifest()
    assert manifest is not None
    return {name: manifest.digests[name] for name in ("users", "items")}


def _stands(
    known: TablesManifest,
    as_of: datetime,
    options: BuildOptions,
    days: Days,
    inputs: Mapping[str, str],
) -> bool:
    """Whether a version is what was asked for, all that may still change included."""
    if (known.as_of, known.recipe, dict(known.inputs)) != (as_of, options.recipe, dict(inputs)):
        return False
    told = {day.isoformat(): content for day, content in days.items()}
    reach = day_of(as_of - options.late).isoformat()
    return (
        all(told.get(day) == known.days.get(day) for day in {*told, *known.days} if day >= reach)
        and _late_of(known, told) == known.late
    )


def _late_of(known: TablesManifest, told: Mapping[str, DayContent]) -> LateEvents:
    nothing = DayContent(0, "")
    left = sorted(day for day in {*told, *known.days} if told.get(day) != known.days.get(day))
    return LateEvents(
        sum(max(1, abs(told.get(d, nothing).events - known.days.get(d, nothing).events)) for d in left),
        len(left),
        date.fromisoformat(left[0]) if left else None,
    )


def _standing(known: TablesManifest, as_of: datetime, options: BuildOptions, end: date) -> BuildPlan:
    days = {date.fromisoformat(day): content for day, content in known.days.items()}
    return BuildPlan(
        fingerprint=known.fingerprint,
        as_of=as_of,
        options=options,
        standing=known,
        base=None,
        since=None,
        end=end,
        days=days,
        attributes=None,
        inputs=known.inputs,
        chunks=(),
        late=known.late,
        reason="unchanged",
    )


def _fingerprint(
    options: BuildOptions,
    as_of: datetime,
    days: Days,
    attributes: list[tuple[date, str]],
    inputs: Mapping[str, str],
) -> str:
    counted = [(day, days[day].digest) for day in sorted(days)]
    known = attributes[-1][1] if attributes else ""
    # Of the other tables only promotions are read as a whole; zones and categories are in `known`.
    return digest_of(options.recipe, as_of.astimezone(UTC).isoformat(), counted, known, inputs["promotions"])
