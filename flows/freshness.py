"""How old the newest row of each feature view is, and whether that is too old to score with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from features.errors import RefusedError
from features.table import FeatureTable
from features.tables import FEATURE_TABLES
from flows.alerts import raise_alert, recovered
from flows.feature_versions import built_manifest
from flows.wiring import Stores
from monitoring.alert_words import AlertFacts


@dataclass(frozen=True)
class ViewFreshness:
    """A feature view at a cut-off.

    Attributes:
        view: Its name.
        newest: Its latest valid `event_timestamp`; None without rows.
        age_hours: From then to the cut-off; None without rows.
        limit_hours: Older views are not scored with; None for those that may rest.
    """

    view: str
    newest: datetime | None
    age_hours: float | None
    limit_hours: float | None

    @property
    def too_old(self) -> bool:
        """Whether scoring must wait; a view without any row counts as too old."""
        return self.limit_hours is not None and (self.age_hours is None or self.age_hours > self.limit_hours)


def view_freshness(
    newest: Mapping[str, datetime | None],
    as_of: datetime,
    limit_hours: float | None = None,
    tables: Sequence[FeatureTable] = FEATURE_TABLES,
) -> list[ViewFreshness]:
    """One entry a view, as the tables are declared.

    Args:
        newest: Latest valid row by table.
        as_of: Knowledge cut-off.
        limit_hours: Stands in for the limit of every table that has one.
        tables: The views.
    """
    found = []
    for table in tables:
        last = newest.get(table.name)
        age = (as_of - last).total_seconds() / 3600.0 if last is not None else None
        limit = table.max_age_hours
        if limit is not None and limit_hours is not None:
            limit = limit_hours
        found.append(ViewFreshness(table.name, last, age, limit))
    return found


def require_fresh(stores: Stores, as_of: datetime) -> None:
    """Nothing; every view is young enough to be scored with.

    Raises:
        RefusedError: One is not; names view, age, limit and the fix.
    """
    limit = stores.settings.max_feature_age_hours
    views = view_freshness(built_manifest(stores).newest, as_of, limit)
    old = [view for view in views if view.too_old]
    if not old:
        recovered(stores, "stale_features")
        return
    worst = max(old, key=lambda view: float("inf") if view.age_hours is None else view.age_hours)
    if worst.newest is None:
        state = "has no row"
    else:
        state = f"has its newest row at {worst.newest:%Y-%m-%d %H:%M} UTC, {worst.age_hours:.1f} hours old"
    more = f" (and {len(old) - 1} more views)" if len(old) > 1 else ""
    facts = AlertFacts(
        f"view {worst.view} {state}, must be at most {worst.limit_hours:g} hours old{more}",
        "no newer events came in, or materialisation did not run",
        "nothing is scored; the plan that is live stays",
    )
    raise_alert(stores, "stale_features", facts)
    raise RefusedError(
        f"feature view {worst.view} {state} as of {as_of:%Y-%m-%d %H:%M} UTC, must be at most "
        f"{worst.limit_hours:g}{more}; ingest newer events (kairos ingest), then run kairos materialize, "
        "or raise KAIROS_MAX_FEATURE_AGE_HOURS."
    )
