"""From a source to feature tables, without a server: what the flows ingest and materialize do offline."""

from __future__ import annotations

import re
import time
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime

from flows.feature_versions import plan_features
from flows.materialize import resolved_as_of
from flows.moments import shop_timezone
from flows.progress import advance, say, step
from flows.wiring import Stores
from infra.event_lake import EventLake
from infra.feature_build import build_tables
from infra.ingestion import ingest
from infra.settings import Settings, load_settings
from infra.sources import source_of


@dataclass(frozen=True)
class Prepared:
    """A source, ready to be learnt from.

    Attributes:
        as_of: Knowledge cut-off.
        features_seconds: What building the feature tables took.
        built: Whether they were built now; False where they stood already.
    """

    as_of: datetime
    features_seconds: float
    built: bool


def own_settings(settings: Settings) -> Settings:
    """The settings to work under: another source than the home's never replaces what the home holds.

    Such a source gets a home of its own in `KAIROS_HOME/bench/sources`; the results stay in the home's.
    """
    held = EventLake(settings.lake_dir).manifest()
    source = source_of(settings)
    if held is None or held.source == source.name:
        return settings
    slug = re.sub(r"[^A-Za-z0-9]+", "-", source.name).strip("-").lower()[-60:].strip("-")
    return load_settings(home=settings.home / "bench" / "sources" / slug)


def prepare(stores: Stores) -> Prepared:
    """The source's events in the lake and every feature table as of the end of the data."""
    settings = stores.settings
    shop_timezone(settings)
    source = source_of(settings)
    with step("ingest") as current:
        summary = ingest(
            source,
            stores.lake,
            now=datetime.now(UTC),
            max_quarantine_share=settings.max_quarantine_share,
            progress=lambda table, rows: say(f"{table}: {rows:,} rows"),
        )
        current.say(f"{summary.accepted['events']:,} events of {summary.accepted['users']:,} users")
    as_of = resolved_as_of(stores, None)
    began = time.monotonic()
    with step("features") as current:
        plan = plan_features(stores, as_of)
        stands = plan.standing is not None

        def show(what: str, done: float, total: float) -> None:
            say(what)
            advance(done, total)

        manifest = build_tables(plan, stores.lake, stores.features.tables, progress=show)
        with warnings.catch_warnings():
            _ = stores.features.feast  # importing Feast sets filters of its own
            warnings.simplefilter("ignore")  # it calls what it has offered for years experimental
            stores.features.apply()
        words = f"{len(manifest.tables)} tables, {sum(manifest.rows.values()):,} rows"
        current.skip(words) if stands else current.say(words)
    return Prepared(as_of, time.monotonic() - began, not stands)
