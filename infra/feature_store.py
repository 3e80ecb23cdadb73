"""The feature store: feature tables as Parquet, their history by Feast, the newest rows in PostgreSQL.

Feast takes five seconds to import, so it is imported where it is first needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from duckdb import DuckDBPyRelation

from features.errors import KairosError
from features.table import FeatureTable, Service
from features.tables import FEATURE_TABLES, SERVICES, column_named
from infra.feature_files import TIMESTAMP
from infra.feature_online import online_changes
from infra.feature_tables import FeatureTables
from infra.registry_guard import refuse_foreign_code

if TYPE_CHECKING:
    from feast import FeatureStore

    from infra.online_rows import RowOnlineStore

PROJECT = "kairos"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class KairosFeatureStore:
    """Feast, configured in code; state under `home`, the feature tables' files in `tables_dir`."""

    def __init__(
        self, home: Path, database_url: str, tables_dir: Path, *, duckdb_memory_gb: float | None = None
    ) -> None:
        """Opens nothing yet.

        Args:
            home: The registry and spilled data live in `home/feast`.
            database_url: `postgresql+psycopg://...` for the online tables.
            tables_dir: Where `infra.feature_build` and `write_table` write and Feast reads.
            duckdb_memory_gb: What a join may use before it spills to disk; None is 80 % of the machine.
        """
        self._home = home
        self._database_url = database_url
        self._tables_dir = tables_dir
        self._memory_gb = duckdb_memory_gb
        self.tables = FeatureTables(tables_dir)

    def __repr__(self) -> str:
        return f"KairosFeatureStore(home={str(self._home)!r}, tables_dir={str(self._tables_dir)!r})"

    @property
    def registry_path(self) -> Path:
        return self._home / "feast" / "registry.db"

    @cached_property
    def feast(self) -> FeatureStore:
        """Feast's own store over this configuration.

        Raises:
            KairosError: The registry file holds code that Kairos did not write.
        """
        os.environ.setdefault("FEAST_USAGE", "False")
        from feast import FeatureStore, RepoConfig
        from feast.repo_config import MaterializationConfig, RegistryConfig

        from infra.offline_store import AsofOfflineStoreConfig
        from infra.online_store import PostgresRowOnlineStoreConfig

        spill = self._home / "feast" / "spill"
        spill.mkdir(parents=True, exist_ok=True)
        refuse_foreign_code(self.registry_path)
        memory_limit = f"{self._memory_gb}GB" if self._memory_gb is not None else None
        config = RepoConfig(
            project=PROJECT,
            provider="infra.online_provider.ArrowProvider",
            batch_engine="infra.online_engine.ArrowComputeEngine",
            registry=RegistryConfig(path=str(self.registry_path)),
            offline_store=AsofOfflineStoreConfig(memory_limit=memory_limit, temp_directory=str(spill)),
            online_store=PostgresRowOnlineStoreConfig(database_url=self._database_url),
            repo_path=self._home,
            entity_key_serialization_version=3,
            coerce_tz_aware=False,  # it copies the entity frame; the offline store reads UTC by itself
            materialization=MaterializationConfig(pull_latest_features=True, online_write_batch_size=10_000),
        )
        return FeatureStore(config=config)

    def apply(self) -> None:
        """Makes registry and online tables match the declarations; what is no longer declared goes."""
        from features.definitions import build_definitions

        objects = build_definitions(self._tables_dir)
        declared = {(type(item), item.name) for item in objects}
        known = [
            *self.feast.list_feature_services(),
            *self.feast.list_on_demand_feature_views(),
            *self.feast.list_feature_views(),
            *self.feast.list_entities(),
        ]
        gone = [item for item in known if (type(item), item.name) not in declared]
        self.feast.apply(objects, objects_to_delete=gone, partial=False)

    def write_table(self, table: FeatureTable, relation: DuckDBPyRelation) -> int:
        """Number of rows of the table, which is now this relation, in a version written by hand.

        For trials and tests: the platform builds all tables together (`infra.feature_build`). Readers see
        the old table or the new one, its rows laid out as a build would lay them out.

        Args:
            table: The declaration `relation` was built from.
            relation: (*keys, event_timestamp, *columns), unique by keys and time.

        Raises:
            KairosError: A declared column is missing.
        """
        import pyarrow.parquet as pq

        return int(pq.read_metadata(self.tables.write_whole(table, relation)).num_rows)

    def historical(self, entity_frame: pd.DataFrame, service: str) -> pd.DataFrame:
        """The frame's columns, then the service's features as of each row's event_timestamp.

        Same rows, same order, same index. Numbers are float32 (missing is NaN) and lie in one block, so
        that a model can take them without a copy; text is object (missing is None).

        Args:
            entity_frame: Join keys, event_timestamp and request fields.
            service: A feature service's name.

        Raises:
            KairosError: There is no such service, it was not applied, or rows got lost.
        """
        declared = _declared_service(service)
        from feast.errors import FeatureServiceNotFoundException

        try:
            feast_service = self.feast.get_feature_service(service, allow_cache=True)
        except FeatureServiceNotFoundException:
            raise KairosError(
                f"service {service!r} is not in the registry; run `kairos materialize`."
            ) from None
        job = self.feast.get_historical_features(entity_frame, feast_service)
        features = job.read(declared.features)
        if features.num_rows != len(entity_frame):
            raise KairosError(
                f"the join for {service!r} returned {features.num_rows} rows for {len(entity_frame)}; "
                "report this as a bug."
            )
        frame = _feature_frame(features, declared).set_axis(entity_frame.index)
        return pd.concat([entity_frame, frame], axis=1, copy=False)

    def materialize(self, as_of: datetime) -> dict[str, int]:
        """Rows that changed in each online table, which then hold what was known at `as_of`.

        Rows too old for their view's time to live are removed. A table that knows newer rows keeps them.

        Args:
            as_of: Zone-aware; rows valid from a later instant on are left out.

        Raises:
            KairosError: `as_of` has no zone, or a table was not written yet.
        """
        if as_of.tzinfo is None:
            raise KairosError(f"as_of == {as_of}, must carry a time zone; pass UTC.")
        provider, online = self.feast._get_provider(), self._online_store
        changed: dict[str, int] = {}
        for table in FEATURE_TABLES:
            if not table.online:
                continue
            self.tables.files(table.name)
            view = self.feast.get_feature_view(table.name, allow_registry_cache=True)
            oldest = as_of - timedelta(days=table.ttl_days) if table.ttl_days is not None else None
            newest = provider.offline_store.pull_latest_from_table_or_query(
                config=self.feast.config,
                data_source=view.batch_source,
                join_key_columns=list(table.keys),
                feature_name_columns=[column.name for column in table.columns],
                timestamp_field=TIMESTAMP,
                created_timestamp_column=None,
                start_date=oldest or _EPOCH,
                end_date=as_of,
            )
            changed[table.name] = online.replace_latest(self.feast.config, view, newest.to_arrow(), oldest)
        return changed

    def follow(self, version: str | None) -> dict[str, int]:
        """Rows written to each online table, all of which then hold exactly the version in use.

        Args:
            version: Fingerprint of the version that the online store holds: only what changed since goes
                there, and whoever is no longer known is removed or set back. None, or a version that is
                gone, sends everything.

        Raises:
            KairosError: Nothing was built yet.
        """
        versions = self.tables.versions()
        current, known = self.tables.current, self.tables.manifest()
        if current is None or known is None:
            raise KairosError(f"no feature tables in {self._tables_dir}; run `kairos materialize`.")
        old = versions.get(version) if version is not None else None
        changed: dict[str, int] = {}
        for table in FEATURE_TABLES:
            memory_gb = self._memory_gb or 4.0
            changes = (
                online_changes(table, (current, known), old, memory_gb=memory_gb) if table.online else None
            )
            if changes is not None:
                changed[table.name] = self._online_store.replace_latest(
                    self.feast.config,
                    self.feast.get_feature_view(table.name, allow_registry_cache=True),
                    changes.rows,
                    changes.expire_before,
                    gone=changes.gone,
                    complete=changes.complete,
                )
        return changed

    @property
    def _online_store(self) -> RowOnlineStore:
        from infra.online_rows import RowOnlineStore

        online = self.feast._get_provider().online_store
        assert isinstance(online, RowOnlineStore)
        return online

    def online(self, entity_rows: Sequence[Mapping[str, Any]], service: str) -> pd.DataFrame:
        """The rows' own values, then the service's features as the online store knows them now.

        Types and column order as in `historical`, one row per entity row, in order.

        Args:
            entity_rows: Join keys and request fields, the same names in every row.
            service: A feature service's name.
        """
        from infra.online_lookup import read_online

        declared = _declared_service(service)
        frame = _feature_frame(read_online(self.feast, declared, entity_rows), declared)
        asked = pd.DataFrame([{k: v for k, v in row.items() if k != TIMESTAMP} for row in entity_rows])
        return pd.concat([asked[[n for n in asked.columns if n not in frame.columns]], frame], axis=1)


def _declared_service(name: str) -> Service:
    service = next((service for service in SERVICES if service.name == name), None)
    if service is None:
        raise KairosError(
            f"service == {name!r}, must be one of {', '.join(s.name for s in SERVICES)}; correct the name."
        )
    return service


def _feature_frame(features: pa.Table, service: Service) -> pd.DataFrame:
    """The features in the service's order: numbers in one float32 block, text as objects."""
    numbers = [name for name in service.features if column_named(name).dtype != "str"]
    block = np.empty((len(numbers), features.num_rows), dtype=np.float32)
    for row, name in enumerate(numbers):
        block[row] = features[name].cast(pa.float64()).to_numpy()
    frame = pd.DataFrame(block.T, columns=numbers, copy=False)
    for name in service.features:
        if name not in numbers:
            frame[name] = features[name].to_pandas().astype(object)
    return frame if list(frame.columns) == list(service.features) else frame[list(service.features)]
