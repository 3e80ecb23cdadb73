"""Simulated days: planned, sent, answered and learnt from; lived again they end the same, and admit it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from features.errors import UsageError
from flows.simulation_days import DayOutcome, day_outcome, simulation_markdown
from infra.sources import SIMULATED_NOTE

FIRST = date(2024, 4, 16)  # a Tuesday, after six weeks of history
SETTINGS = {
    "KAIROS_SOURCE": "simulated:users=120,items=84,days=43",
    "KAIROS_MIN_ITEM_USERS": "3",
    "KAIROS_MIN_BASKET_ITEMS": "2",
    "KAIROS_MIN_EARLIER_BASKETS": "1",
    "KAIROS_TRAIN_WEEKS": "1",
    "KAIROS_TEST_WEEKS": "1",
    "KAIROS_SLOTS_CONSIDERED": "1",
}


@pytest.fixture(scope="module")
def simulated_home(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Iterator[Path]:
    """A home whose source is a tiny simulated market, in effect for this module."""
    from infra.embedded_postgres import release_embedded

    home = tmp_path_factory.mktemp("simulated")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (SETTINGS | {"KAIROS_HOME": str(home)}).items():
            environment.setenv(name, value)
        yield home
    release_embedded(home)


@pytest.fixture(scope="module")
def two_days(simulated_home: Path) -> list[DayOutcome]:
    """A Tuesday and a Wednesday, planned by a model that somebody made champion: a gate wants more data."""
    from flows.ingest import ingest
    from flows.simulation import simulate
    from flows.train import train
    from flows.wiring import open_stores

    ingest()
    version = train()
    open_stores().registry.move_alias("champion", version, "tester", "too small a market for the gate")
    return simulate(days=2)


def test_the_loop_closes_day_after_day(two_days: list[DayOutcome]) -> None:
    from flows.wiring import open_stores

    stores = open_stores()
    assert [one.day for one in two_days] == [FIRST, FIRST + timedelta(days=1)]
    connection = stores.lake.connect()
    found = connection.execute(
        "SELECT event_type, count(DISTINCT push_id) FROM events WHERE push_id IS NOT NULL GROUP BY 1"
    ).fetchall()
    connection.close()
    known = dict(found)
    sent, opened = (sum(getattr(one, name) for one in two_days) for name in ("sent", "opened"))
    assert sent > 40
    assert 0.7 * sent < known["push_sent"] <= sent  # the last in the west belong to tomorrow, a few are lost
    assert 0 < known["push_opened"] <= opened < 0.3 * sent
    for one in two_days:
        live = stores.plans.read_live(one.day)
        assert set(live["model_version"]) == {one.champion}
        assert not live["user_id"].duplicated().any()


def test_a_day_lived_again_ends_the_same(two_days: list[DayOutcome], simulated_home: Path) -> None:
    from flows.simulation import simulate
    from flows.wiring import open_stores

    day = two_days[1].day
    kept = simulated_home / "market" / "days" / f"{day}.parquet"
    before, lake = kept.read_bytes(), open_stores().lake.fingerprint()
    assert simulate(days=1, start=day) == two_days[1:]
    assert kept.read_bytes() == before
    assert open_stores().lake.fingerprint() == lake
    with pytest.raises(UsageError, match="one after the other"):
        simulate(days=1, start=day + timedelta(days=9))


def test_results_say_that_nobody_is_real(two_days: list[DayOutcome], simulated_home: Path) -> None:
    from flows.state import read_state, state_rows
    from flows.wiring import open_stores

    pages = list((simulated_home / "reports").rglob("*.html"))
    assert pages and all(SIMULATED_NOTE in page.read_text(encoding="utf-8") for page in pages)
    assert SIMULATED_NOTE in dict(state_rows(read_state(open_stores())))["source"]
    assert SIMULATED_NOTE in simulation_markdown(two_days)
    manifest = open_stores().lake.manifest()
    assert manifest is not None and SIMULATED_NOTE in manifest.notes


def test_a_day_is_counted_by_what_became_of_its_pushes() -> None:
    rows = [("push_sent", "a"), ("push_sent", "b"), ("push_delivered", "a"), ("push_opened", "a")]
    events = pd.DataFrame([*rows, ("purchase", "a"), ("purchase", "a")], columns=["event_type", "push_id"])
    events["amount"] = [None, None, None, None, 2.5, 1.25]
    told = day_outcome(FIRST, "m", events)
    assert (told.sent, told.delivered, told.opened, told.buyers, told.purchases) == (2, 1, 1, 1, 2)
    assert (told.amount, told.opt_outs) == (3.75, 0)
