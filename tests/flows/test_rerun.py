"""Running again changes nothing: not in the same home, not from scratch, not with later knowledge."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_market import AS_OF, market_settings

MOMENT = datetime.combine(AS_OF, time(), UTC)
EARLIER = MOMENT - timedelta(days=7)


@dataclass(frozen=True)
class FreshHome:
    """Another home that went the whole way twice, from the same source.

    Attributes:
        first, second: What its two cycles did.
        tables_then, tables_now: Digest of every feature table after each.
    """

    home: Path
    first: Any
    second: Any
    tables_then: dict[str, str]
    tables_now: dict[str, str]


def table_digests(home: Path) -> dict[str, str]:
    """SHA-256 of each file of the feature tables."""
    current = home / "features" / "current"
    found = {
        str(path.relative_to(current)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in current.glob("*/*.parquet")
    }
    assert found
    return found


def read_table(home: Path, name: str, keys: list[str]) -> pd.DataFrame:
    """The rows of a feature table, in order."""
    files = sorted((home / "features" / "current" / name).glob("*.parquet"))
    frame = pd.concat([pd.read_parquet(path) for path in files])
    return frame.sort_values([*keys, "event_timestamp"], ignore_index=True)


@pytest.fixture(scope="module")
def fresh_home(
    one_cycle, small_market: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FreshHome]:
    from flows.cycle import cycle
    from flows.training_data import _remembered
    from infra.embedded_postgres import release_embedded

    home = tmp_path_factory.mktemp("fresh") / "home"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in market_settings(home, small_market).items():
            environment.setenv(name, value)
        _remembered.cache_clear()  # another process would have to read it too
        first = cycle(as_of=MOMENT)
        then = table_digests(home)
        _remembered.cache_clear()
        second = cycle(as_of=MOMENT)
        yield FreshHome(home, first, second, then, table_digests(home))
        release_embedded(home)


def test_a_second_cycle_leaves_every_byte_as_it_is(fresh_home: FreshHome) -> None:
    first, second = fresh_home.first, fresh_home.second
    assert first.changed and not second.changed
    assert (second.batch_id, second.checksum) == (first.batch_id, first.checksum)
    assert (second.champion, second.challenger) == (first.champion, first.challenger)
    assert fresh_home.tables_now == fresh_home.tables_then


def test_from_scratch_everything_comes_out_the_same(
    first_cycle, flow_home: Path, fresh_home: FreshHome
) -> None:
    again = fresh_home.first
    assert table_digests(flow_home) == fresh_home.tables_then
    assert again.champion == first_cycle.champion
    assert again.checksum == first_cycle.checksum
    assert again.reasons == first_cycle.reasons
    for name in ("ranker.json", "timing.txt", "timing.json"):
        own, other = (home / "models" / again.champion / name for home in (flow_home, fresh_home.home))
        assert own.read_text() == other.read_text(), name
    scored = sorted((flow_home / "scored" / again.champion).glob(f"{AS_OF}*.parquet"))
    assert len(scored) == 2
    for path in scored:
        other = fresh_home.home / "scored" / again.champion / path.name
        pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(other), check_exact=True)


def test_later_knowledge_leaves_earlier_history_as_it_was(
    first_cycle, flow_home: Path, fresh_home: FreshHome, small_market: Path, monkeypatch
) -> None:
    from features.tables import FEATURE_TABLES
    from flows.materialize import materialize

    for name, value in market_settings(fresh_home.home, small_market).items():
        monkeypatch.setenv(name, value)
    materialize(as_of=EARLIER)
    for table in FEATURE_TABLES:
        then, now = (read_table(home, table.name, list(table.keys)) for home in (fresh_home.home, flow_home))
        past = [frame[frame["event_timestamp"] <= EARLIER].reset_index(drop=True) for frame in (then, now)]
        pd.testing.assert_frame_equal(*past, check_exact=True)
        if table.name in ("user_activity", "item_popularity", "user_item"):
            assert 10 < len(past[0]) == len(then) < len(now)
