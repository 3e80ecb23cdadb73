"""Feast's own test suite, pointed at our offline store (or at the stock one, to compare).

Feast's tests are not shipped with Feast. Take `sdk/python/tests` and `sdk/python/pytest.ini` of its
repository (github.com/feast-dev/feast, tag v0.66.0) into some folder and, in an environment of its own
with this project's locked requirements plus `feast[duckdb,delta,grpcio,aws,test]` of the locked version,
`assertpy`, `google-cloud-bigquery` and `pytest<8`:

    export FEAST_IS_LOCAL_TEST=True FEAST_USAGE=False IS_TEST=True
    export FULL_REPO_CONFIGS_MODULE=feast_conformance PYTHONPATH=KAIROS:KAIROS/tests/infra
    cd FOLDER/sdk/python; O=tests/integration/offline_store
    python -m pytest --integration $O/test_universal_{historical_retrieval,types,materialization}.py \
        $O/test_{non_entity_mode,offline_write,push_features_to_offline_store,feature_logging,persist}.py

`KAIROS_CONFORMANCE_STORE=duckdb` runs the same cases on Feast's DuckDB store. Tests that ask for the store
'file', or for none, would run on Dask whatever is configured here and look green; so that store's creator
is changed too, and every case runs on the store under test. Sources are one file, a glob of segments, and a
Delta table where deltalake is installed (KAIROS_CONFORMANCE_SOURCES=file: only the first).

One case cannot pass on files and is marked by Feast as Ray's only (`ray_offline_stores_only`):
test_non_entity_mode_preserves_multiple_timestamps appends 0.1 to a column stored as 32-bit floats and
expects 0.1 back as a double.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any


def __getattr__(name: str) -> Any:
    """Feast reads AVAILABLE_OFFLINE_STORES and AVAILABLE_ONLINE_STORES; nothing is imported before."""
    if name == "AVAILABLE_ONLINE_STORES":
        return {"sqlite": ({"type": "sqlite"}, None)}
    if name == "AVAILABLE_OFFLINE_STORES":
        return _offline_stores()
    raise AttributeError(name)


def _offline_stores() -> list[tuple[str, type]]:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from feast import FileSource
    from feast.data_format import ParquetFormat
    from feast.infra.offline_stores.duckdb import DuckDBOfflineStoreConfig
    from tests.universal.feature_repos.universal.data_sources import file as feast_sources

    from infra.offline_store import AsofOfflineStoreConfig

    stock = os.environ.get("KAIROS_CONFORMANCE_STORE", "kairos") == "duckdb"
    config = DuckDBOfflineStoreConfig if stock else AsofOfflineStoreConfig
    feast_sources.FileDataSourceCreator.create_offline_store_config = lambda self: config()

    class SegmentsSourceCreator(feast_sources.FileDataSourceCreator):  # type: ignore[misc]
        """Each source is a glob over three files."""

        def create_data_source(
            self, df, destination_name, created_timestamp_column="created_ts", field_mapping=None,
            timestamp_field="ts",
        ):  # fmt: skip
            folder = Path(tempfile.mkdtemp(prefix=f"{self.project_name}_{destination_name}"))
            self.dirs.append(str(folder))
            rows = pa.Table.from_pandas(df)
            cut = max(len(df) // 3, 1)
            for number, length in enumerate((cut, cut, None)):
                pq.write_table(rows.slice(number * cut, length), folder / f"{number}.parquet")
            return FileSource(
                file_format=ParquetFormat(),
                path=str(folder / "*.parquet"),
                timestamp_field=timestamp_field,
                created_timestamp_column=created_timestamp_column,
                field_mapping=field_mapping or {"ts_1": "ts"},
            )

    creators: list[type] = [feast_sources.FileDataSourceCreator]
    if os.environ.get("KAIROS_CONFORMANCE_SOURCES", "all") == "all":
        creators += [SegmentsSourceCreator]
        if importlib.util.find_spec("deltalake"):
            creators.append(feast_sources.DeltaFileSourceCreator)
    return [("local", creator) for creator in creators]
