"""Feast's own test suite, pointed at our online stores (or at the stock SQLite one, to compare).

Set up Feast's tests as `feast_conformance` says, then:

    export FULL_REPO_CONFIGS_MODULE=feast_online_conformance KAIROS_CONFORMANCE_ONLINE=postgres
    cd tests/integration/online_store
    python -m pytest -c ../../../pytest.ini --rootdir ../../.. --integration -k "not dynamodb" \
        test_universal_online.py test_universal_online_types.py test_push_features_to_online_store.py \
        test_universal_e2e.py

`KAIROS_CONFORMANCE_ONLINE` is postgres, sqlite or stock. `KAIROS_CONFORMANCE_AS=redis` presents the store
under that name, which runs the tests meant for stores that check event times. With our stores the platform's
provider and engine take the place of Feast's local ones, and no ttl is checked: some tests read rows of 2022.
"""

from __future__ import annotations

import atexit
import os
import tempfile
import uuid
from pathlib import Path
from typing import Any

STORE = os.environ.get("KAIROS_CONFORMANCE_ONLINE", "postgres")


def __getattr__(name: str) -> Any:
    """Feast reads AVAILABLE_OFFLINE_STORES and AVAILABLE_ONLINE_STORES; nothing is imported before."""
    if name == "AVAILABLE_OFFLINE_STORES":
        from tests.universal.feature_repos.universal.data_sources import file as feast_sources

        from infra.offline_store import AsofOfflineStoreConfig

        feast_sources.FileDataSourceCreator.create_offline_store_config = lambda self: (
            AsofOfflineStoreConfig()
        )
        return [("local", feast_sources.FileDataSourceCreator)]
    if name == "AVAILABLE_ONLINE_STORES":
        shown_as = os.environ.get("KAIROS_CONFORMANCE_AS", "sqlite")
        return {shown_as: ({"type": "sqlite"}, None) if STORE == "stock" else (None, _creator())}
    raise AttributeError(name)


def _creator() -> type:
    from feast import repo_config
    from feast.infra import provider
    from tests.universal.feature_repos.universal.online_store_creator import OnlineStoreCreator

    provider.PROVIDERS_CLASS_FOR_TYPE["local"] = "infra.online_provider.ArrowProvider"
    repo_config.BATCH_ENGINE_CLASS_FOR_TYPE["local"] = "infra.online_engine.ArrowComputeEngine"

    class OurStoreCreator(OnlineStoreCreator):  # type: ignore[misc]
        """A schema or a file of its own for each project."""

        def create_online_store(self) -> dict[str, Any]:
            if STORE == "sqlite":
                path = Path(tempfile.mkdtemp(prefix="online")) / "online.db"
                return {
                    "type": "infra.sqlite_online_store.SqliteRowOnlineStore",
                    "path": str(path),
                    "check_ttl": False,
                }
            return {
                "type": "infra.online_store.PostgresRowOnlineStore",
                "database_url": _postgres_url(),
                "schema_name": f"conformance_{uuid.uuid4().hex[:12]}",
                "check_ttl": False,
            }

        def teardown(self) -> None:
            """Nothing: the server and the folders are temporary."""

    return OurStoreCreator


def _postgres_url() -> str:
    """The given server, or an embedded one that stops with this process."""
    if "KAIROS_DATABASE_URL" not in os.environ:
        from infra.embedded_postgres import release_embedded, start_embedded

        home = Path(tempfile.mkdtemp(prefix="postgres"))
        os.environ["KAIROS_DATABASE_URL"] = start_embedded(home)
        atexit.register(release_embedded, home)
    return os.environ["KAIROS_DATABASE_URL"]
