"""A database for one measurement, in a PostgreSQL of its own that ends with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.database import Database, connect
from infra.embedded_postgres import release_embedded, start_embedded


@contextmanager
def throwaway_database() -> Iterator[Database]:
    """Migrated and empty."""
    with tempfile.TemporaryDirectory(prefix="kairos-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        database = connect(start_embedded(home))
        try:
            database.migrate()
            yield database
        finally:
            database.close()
            release_embedded(home)
