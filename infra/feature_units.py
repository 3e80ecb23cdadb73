"""Digests that name a part of the feature tables by all it follows from, and the days they are made of."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from features.table import FeatureTable
from infra.feature_attributes import attribute_digests

if TYPE_CHECKING:
    from infra.feature_plan import BuildPlan

ONE_DAY = timedelta(days=1)


def day_of(moment: datetime) -> date:
    """The UTC day an instant belongs to."""
    return moment.astimezone(UTC).date()


def midnight(day: date) -> datetime:
    """The instant at which a UTC day begins."""
    return datetime.combine(day, time(), UTC)


def digest_of(*parts: object) -> str:
    """16 hex digits that change whenever a part's text does."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:16]


class Units:
    """Digests of all that the rows of a table follow from: where two are equal, so are all rows before."""

    def __init__(self, plan: BuildPlan) -> None:
        self._plan = plan
        self._days: list[date] = sorted(plan.days)
        self._past: list[str] = []
        past = plan.options.recipe
        for day in self._days:
            past = digest_of(past, day, plan.days[day].digest)
            self._past.append(past)
        assert plan.attributes is not None
        self._attributes = attribute_digests(plan.attributes)

    def name(self, what: str, end: date) -> str:
        """The digest of what `what` holds when every day before `end` is counted."""
        counted = bisect_left(self._days, end)
        known = bisect_left(self._attributes, (end, ""))
        cut = self._plan.as_of.astimezone(UTC) if midnight(end) > self._plan.as_of else ""
        return digest_of(what, end, self._past[:counted][-1:], self._attributes[:known][-1:], cut)

    def whole(self, table: FeatureTable, *inputs: str) -> str:
        """The digest of a table that is built as a whole from these inputs."""
        return digest_of("whole", table.name, self._plan.options.recipe, *inputs)
