"""The one composition root: settings in, opened stores out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache

from infra.alert_store import AlertStore
from infra.database import Database, open_database
from infra.event_lake import EventLake
from infra.experiment_readouts import ExperimentReadouts
from infra.experiment_store import ExperimentStore
from infra.experiment_units import ExperimentUnits
from infra.feature_store import KairosFeatureStore
from infra.lock import exclusive_lock
from infra.model_registry import ModelRegistry
from infra.plan_sizes import PlanSizes
from infra.plan_store import PlanStore
from infra.push_stops import PushStops
from infra.report_store import ReportStore
from infra.restore_journal import require_no_restore
from infra.rollout_store import RolloutStore
from infra.settings import Settings, load_settings
from infra.sources import reality_note


@dataclass(frozen=True)
class Stores:
    """Everything a flow reads and writes.

    Attributes:
        database: Migrated to the newest schema.
    """

    settings: Settings
    database: Database
    lake: EventLake
    features: KairosFeatureStore
    registry: ModelRegistry
    rollouts: RolloutStore
    plans: PlanStore
    sizes: PlanSizes
    stops: PushStops
    reports: ReportStore
    alerts: AlertStore
    experiments: ExperimentStore
    readouts: ExperimentReadouts
    units: ExperimentUnits


def open_stores(settings: Settings | None = None) -> Stores:
    """The stores of these settings (default: those in effect), opened once a process.

    Raises:
        KairosError: The database cannot be reached, or a setting is wrong; one line with the fix.
    """
    return _opened(settings or load_settings())


@lru_cache(maxsize=4)
def _opened(settings: Settings) -> Stores:
    require_no_restore(settings.home)
    database = open_database(settings)
    database.migrate()
    return Stores(
        settings=settings,
        database=database,
        lake=EventLake(settings.lake_dir, memory_gb=settings.duckdb_memory_gb),
        features=KairosFeatureStore(
            settings.home,
            database.url,
            settings.features_dir,
            duckdb_memory_gb=settings.duckdb_memory_gb,
        ),
        registry=ModelRegistry(database, settings.models_dir),
        rollouts=RolloutStore(database),
        plans=PlanStore(database, kept_batches=settings.kept_batches),
        sizes=PlanSizes(database),
        stops=PushStops(database),
        reports=ReportStore(database, settings.reports_dir, reality_note(settings.source)),
        alerts=AlertStore(database),
        experiments=ExperimentStore(database),
        readouts=ExperimentReadouts(database),
        units=ExperimentUnits(database),
    )


_writing: ContextVar[frozenset[str]] = ContextVar("kairos_writing", default=frozenset())


@contextmanager
def sole_writer(settings: Settings) -> Iterator[None]:
    """Nothing; no other process writes this home meanwhile. A flow inside a flow shares its caller's turn.

    Raises:
        KairosError: Another run is at work; names it and the fix.
    """
    lock = settings.home / "writing.lock"
    if str(lock) in _writing.get():
        yield
        return
    with exclusive_lock(lock, str(settings.home)):
        token = _writing.set(_writing.get() | {str(lock)})
        try:
            yield
        finally:
            _writing.reset(token)
