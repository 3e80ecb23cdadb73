"""A small shop as source, a home of its own, and one Prefect server, for every test of the flows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_market import AS_OF, market_settings, write_small_market


@pytest.fixture(scope="session")
def small_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is a source: `parquet:FOLDER`; read only."""
    return write_small_market(tmp_path_factory.mktemp("market"))


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home that flow tests share, with an embedded PostgreSQL of its own; ask for `flow_home`."""
    from infra.embedded_postgres import release_embedded

    home = tmp_path_factory.mktemp("home")
    yield home
    release_embedded(home)


@pytest.fixture
def flow_home(shared_home: Path, small_market: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shared home, in effect for this test."""
    for name, value in market_settings(shared_home, small_market).items():
        monkeypatch.setenv(name, value)
    return shared_home


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Flows run on one real Prefect server, which ends with the session; nothing reaches ~/.prefect."""
    from prefect.settings import PREFECT_HOME, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        temporary_settings({PREFECT_HOME: tmp_path_factory.mktemp("prefect")}),
        prefect_test_harness(server_startup_timeout=180),
    ):
        yield


@pytest.fixture(scope="session")
def one_cycle(shared_home: Path, small_market: Path, prefect_server: None):
    """What the first cycle on the small market did; ask for `first_cycle`."""
    from datetime import UTC, datetime, time

    from flows.cycle import cycle

    with pytest.MonkeyPatch.context() as environment:
        for name, value in market_settings(shared_home, small_market).items():
            environment.setenv(name, value)
        return cycle(as_of=datetime.combine(AS_OF, time(), UTC))


@pytest.fixture
def first_cycle(one_cycle, flow_home: Path):
    """What the first cycle on the small market did; its home is in effect for this test."""
    return one_cycle
