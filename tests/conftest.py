"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.process_environment import enter_quiet_environment

# Before LightGBM is loaded: threads that wait by spinning take twice as long where tests share cores.
enter_quiet_environment()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Nothing; where the pictures of the web pages are kept, if anywhere."""
    parser.addoption("--pictures", type=lambda folder: Path(folder).absolute(), default=None)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real embedded PostgreSQL that lives as long as the test session."""
    from infra.embedded_postgres import release_embedded, start_embedded

    home: Path = tmp_path_factory.mktemp("postgres")
    yield start_embedded(home)
    release_embedded(home)


@pytest.fixture(scope="session")
def migrated_database(postgres_url: str):
    """The session's database with every table; use `database`, which is empty."""
    from infra.database import connect

    database = connect(postgres_url)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def database(migrated_database):
    """A migrated database whose tables are empty."""
    from infra.tables import BATCHES_SCHEMA, metadata

    with migrated_database.session() as session:
        session.execute(f"DROP SCHEMA {BATCHES_SCHEMA} CASCADE")
        session.execute(f"CREATE SCHEMA {BATCHES_SCHEMA}")
        session.execute(f"TRUNCATE {', '.join(table.fullname for table in metadata.sorted_tables)} CASCADE")
    return migrated_database
