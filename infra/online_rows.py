"""What our online stores have in common: one typed row an entity, Arrow in, one round trip out."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pyarrow as pa
from feast.entity import Entity
from feast.feature_service import FeatureService
from feast.feature_view import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.registry.base_registry import BaseRegistry
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.online_response import OnlineResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig

from infra.online_answer import answer_online
from infra.online_tables import Lookup, OnlineTable, batches_of

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
_BATCH_ROWS = 20_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OnlineWriter(Protocol):
    """One writing transaction on the store's database."""

    def fit(self, online: OnlineTable) -> None:
        """Creates the table, or adds and drops columns until it fits; keys of another type empty it."""

    def drop(self, online: OnlineTable) -> None:
        """Drops the table where there is one."""

    def load(
        self,
        online: OnlineTable,
        batches: Iterable[pa.RecordBatch],
        *,
        gone: pa.RecordBatch | None = None,
        complete: bool = False,
        expire_before: datetime | None = None,
    ) -> int:
        """Number of rows inserted or replaced; see `RowOnlineStore.replace_latest`."""


class RowOnlineStore(OnlineStore):
    """One table a feature view: join keys, features in their own types, event and creation time.

    A row older than its view's ttl at the moment of the request reads as missing; ttl 0 is for ever. The
    moment is the request field named by the configuration's `request_time_field` (UTC seconds) where the
    request has it, else `clock()`. Only each key's newest row is kept: one that becomes valid after the
    moment is answered as it is, so whoever asks about the past asks the offline store.

    Attributes:
        clock: The present instant, zone-aware; replace it to read as of another.
    """

    clock: Callable[[], datetime]

    def __init__(self) -> None:
        self.clock = lambda: datetime.now(UTC)

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        return SupportedAsyncMethods(read=True, write=True)

    def read_clock(self, config: RepoConfig) -> Callable[[], datetime] | None:
        """What tells the moment of a read without one of its own; None where rows of any age are answered."""
        return self.clock if config.online_store.check_ttl else None

    @abstractmethod
    def _writing(self, config: RepoConfig) -> AbstractContextManager[OnlineWriter]:
        """A transaction that commits when its block ends and rolls back when it fails."""

    @abstractmethod
    def _read(self, config: RepoConfig, lookups: Sequence[Lookup]) -> list[list[tuple[Any, ...]]]:
        """For each look-up the rows found: (place among its keys, event time in microseconds, *features).

        Raises:
            KairosError: There is no such table or column, or no server.
        """

    @abstractmethod
    def _close(self) -> None:
        """Closes what reads keep open."""

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Makes the tables fit their views; one whose keys or types changed starts empty again."""
        with self._writing(config) as writer:
            for view in tables_to_delete:
                writer.drop(OnlineTable.of(view))
            for view in tables_to_keep:
                writer.fit(OnlineTable.of(view))

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drops the views' tables; closes the connection."""
        with self._writing(config) as writer:
            for view in tables:
                writer.drop(OnlineTable.of(view))
        self._close()

    async def close(self) -> None:
        self._close()

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Takes the rows, all or none; a row older than the one known for its keys changes nothing."""
        online = OnlineTable.of(table)
        if data:
            with self._writing(config) as writer:
                writer.load(online, [online.encode_values(data)])
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """`online_write_batch` on a thread of its own."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def replace_latest(
        self,
        config: RepoConfig,
        view: FeatureView,
        rows: pa.Table | Iterable[pa.RecordBatch],
        expire_before: datetime | None = None,
        *,
        gone: pa.Table | None = None,
        complete: bool = False,
    ) -> int:
        """Number of rows inserted or replaced: the bulk way in, straight from Arrow.

        One transaction: readers see all of it or nothing. A late older value never overwrites a newer one.

        Args:
            config: The store's configuration.
            view: Whose table.
            rows: Its keys, features, event_timestamp and, where it has one, created_timestamp, by name;
                duplicates allowed. Record batches are taken one by one and never held together.
            expire_before: Rows of the table with an earlier event_timestamp are removed as well.
            gone: Keys whose rows are deleted first, so that the deleted no longer win over older `rows`.
            complete: `rows` is all there is: rows with any other key are deleted.

        Raises:
            KairosError: A column is missing, holds what its type cannot, or a row has no key or no time.
        """
        online = OnlineTable.of(view)
        batches = batches_of(rows, _BATCH_ROWS) if isinstance(rows, pa.Table) else rows
        with self._writing(config) as writer:
            return writer.load(
                online,
                (online.encode(batch) for batch in batches),
                gone=None if gone is None else online.encode_keys(gone),
                complete=complete,
                expire_before=expire_before,
            )

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """(event time, features) for each key, in order; (None, None) for one without a fresh row."""
        online = OnlineTable.of(table)
        wanted = tuple(
            c for c in online.features if requested_features is None or c.name in requested_features
        )
        asked = []
        for entity in entity_keys:
            keyed = dict(zip(entity.join_keys, entity.entity_values, strict=True))
            asked.append(tuple(column.to_database(keyed.get(column.name)) for column in online.keys))
        distinct = list(dict.fromkeys(key for key in asked if None not in key))
        clock = self.read_clock(config)
        oldest = None if clock is None or online.ttl is None else (clock() - online.ttl).timestamp() * 1e6
        [rows] = self._read(config, [Lookup(online, wanted, distinct)])
        fresh = [row for row in rows if oldest is None or row[1] >= oldest]
        columns = [
            column.to_values([row[place] for row in fresh]) for place, column in enumerate(wanted, start=2)
        ]
        found: dict[tuple[Any, ...], tuple[datetime | None, dict[str, Value] | None]] = {}
        for number, row in enumerate(fresh):
            values = {c.name: column[number] for c, column in zip(wanted, columns, strict=True)}
            found[distinct[row[0]]] = (_EPOCH + timedelta(microseconds=row[1]), values)
        return [found.get(key, (None, None)) for key in asked]

    async def online_read_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """`online_read` on a thread of its own."""
        return await asyncio.to_thread(self.online_read, config, table, entity_keys, requested_features)

    def get_online_features(
        self,
        config: RepoConfig,
        features: list[str] | FeatureService,
        entity_rows: Any,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> OnlineResponse:
        """Feast's answer, from one round trip for all views and without a protobuf until one is asked for.

        Missing and unknown keys answer None, with status NOT_FOUND.
        """
        answer = answer_online(
            lambda lookups: self._read(config, lookups),
            features,
            entity_rows,
            registry,
            project,
            full_feature_names=full_feature_names,
            with_versions=include_feature_view_version_metadata,
            time_field=config.online_store.request_time_field,
            clock=self.read_clock(config),
        )
        if answer is not None:
            return answer
        return super().get_online_features(
            config,
            features,
            entity_rows,
            registry,
            project,
            full_feature_names,
            include_feature_view_version_metadata,
        )

    async def get_online_features_async(self, *args: Any, **kwargs: Any) -> OnlineResponse:
        """`get_online_features` on a thread of its own."""
        return await asyncio.to_thread(self.get_online_features, *args, **kwargs)
