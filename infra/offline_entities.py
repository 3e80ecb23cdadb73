"""What a retrieval is asked about: a frame, a query, or every key seen between two dates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from duckdb import DuckDBPyConnection
from feast.infra.offline_stores.offline_store import RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

from features.errors import KairosError
from infra.asof_join import to_utc_microseconds
from infra.asof_sql import AsofSource, observed_entities, reason

TIMESTAMP = "event_timestamp"


@dataclass(frozen=True)
class Entities:
    """The rows of a retrieval.

    Attributes:
        schema: Their columns.
        timestamp: The column of asked instants.
        sql: What stands for them after FROM, in the statement shown to people.
        read: Gives the rows; may run a query.
        first: Earliest instant, None where there is none.
        last: Latest instant.
    """

    schema: pa.Schema
    timestamp: str
    sql: str
    read: Callable[[], pa.Table]
    first: datetime | None
    last: datetime | None

    def metadata(self, feature_refs: Sequence[str]) -> RetrievalMetadata:
        """Feast's description of the retrieval."""
        keys = [name for name in self.schema.names if name != self.timestamp]
        return RetrievalMetadata(list(feature_refs), keys, self.first, self.last)


def frame_entities(frame: pd.DataFrame) -> Entities:
    """The rows of a pandas frame; its index is not kept.

    Raises:
        KairosError: Arrow cannot hold a column, two have one name, or the instants cannot be read.
    """
    names = [str(name) for name in frame.columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise KairosError(f"the entity frame has two columns {twice!r}; rename or drop one.")
    try:
        rows = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise KairosError(
            f"the entity frame has a column that Arrow cannot hold: {'; '.join(map(str, error.args))}; "
            "give it one type, or leave it out."
        ) from error
    return _table_entities(rows, "entity_df")


def query_entities(con: DuckDBPyConnection, sql: str) -> Entities:
    """The rows of a query, run now.

    Raises:
        KairosError: DuckDB cannot run it.
    """
    query = sql.strip().rstrip(";")
    try:
        con.execute("SET preserve_insertion_order = true")
        rows = con.sql(query).to_arrow_table()
    except (duckdb.Error, AttributeError) as error:
        raise KairosError(
            f"the entity query failed: {reason(error)}; pass one SELECT that DuckDB can run."
        ) from error
    finally:
        con.execute("SET preserve_insertion_order = false")
    return _table_entities(rows, f"({query})")


def observed(
    con: DuckDBPyConnection, sources: Sequence[AsofSource], start: datetime, end: datetime
) -> Entities:
    """Every (keys, instant) that the sources hold from `start` to `end`, each once, in the order of time."""
    sql = observed_entities(sources, start, end, TIMESTAMP)
    schema = con.sql(f"{sql} LIMIT 0").to_arrow_table().schema
    return Entities(schema, TIMESTAMP, f"({sql})", lambda: con.sql(sql).to_arrow_table(), start, end)


def _table_entities(rows: pa.Table, sql: str) -> Entities:
    timestamp = infer_event_timestamp_from_entity_df(dict(rows.schema.empty_table().to_pandas().dtypes))
    rows = rows.set_column(
        rows.column_names.index(timestamp), timestamp, to_utc_microseconds(rows[timestamp])
    )
    bounds = pc.min_max(rows[timestamp]).as_py()
    return Entities(rows.schema, timestamp, sql, lambda: rows, bounds["min"], bounds["max"])
