"""Which version of the feature tables a moment asks for, and how it is built."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache

from features.errors import KairosError
from flows.fingerprints import code_fingerprint, fingerprint_of
from flows.moments import shop_timezone
from flows.wiring import Stores
from infra.feature_manifest import LateEvents, TablesManifest
from infra.feature_plan import BuildOptions, BuildPlan, plan_build

_COUNTING = (
    "features",
    "infra.event_lake",
    "infra.feature_build",
    "infra.feature_files",
    "infra.feature_parts",
    "infra.feature_state",
    "infra.feature_wholes",
)
"""What a row of a table follows from besides events: change it, and everything is counted anew."""
_JOINING = ("infra.asof_join", "infra.asof_sql", "infra.offline_store", "infra.feature_store")


def build_options(stores: Stores) -> BuildOptions:
    """How the settings want feature tables built."""
    settings = stores.settings
    return BuildOptions(
        code=code_fingerprint(*_COUNTING),
        timezone=shop_timezone(settings),
        late_hours=settings.late_events_hours,
        chunk_events=settings.feature_chunk_events,
    )


def plan_features(stores: Stores, as_of: datetime, recount_from: date | None = None) -> BuildPlan:
    """What has to be counted so that the tables are those of `as_of`.

    Args:
        stores: With a filled lake.
        as_of: Knowledge cut-off.
        recount_from: Count this UTC day and all after it anew.
    """
    versions = tuple(str(folder) for folder, _ in stores.features.tables.versions().values())
    return _planned(stores, as_of, recount_from, build_options(stores), stores.lake.fingerprint(), versions)


@lru_cache(maxsize=2)
def _planned(
    stores: Stores,
    as_of: datetime,
    recount_from: date | None,
    options: BuildOptions,
    lake: str,
    versions: tuple[str, ...],
) -> BuildPlan:
    del lake, versions  # other events or other tables make it another plan
    return plan_build(stores.lake, stores.features.tables, as_of, options, recount_from=recount_from)


def features_fingerprint(stores: Stores, as_of: datetime) -> str:
    """What features of `as_of` follow from: the events that are counted, the cut-off, the definitions."""
    return fingerprint_of(plan_features(stores, as_of).fingerprint, code_fingerprint(*_JOINING))


def built_manifest(stores: Stores) -> TablesManifest:
    """What the version in use holds.

    Raises:
        KairosError: Nothing was built yet.
    """
    manifest = stores.features.tables.manifest()
    if manifest is None:
        raise KairosError(f"no feature tables in {stores.settings.features_dir}; run `kairos materialize`.")
    return manifest


def late_words(late: LateEvents) -> str:
    """What is left out and how to count it; '' when nothing is.

    Examples:
        >>> late_words(LateEvents(3, 2, date(2017, 3, 1)))
        '3 late events on 2 days are left out; kairos backfill --from 2017-03-01 counts them'
    """
    if late.first is None:
        return ""
    events = f"{late.events:,} late event{'s' if late.events != 1 else ''}"
    days = f"{late.days} day{'s' if late.days != 1 else ''}"
    verb = "is" if late.events == 1 else "are"
    return f"{events} on {days} {verb} left out; kairos backfill --from {late.first} counts them"
