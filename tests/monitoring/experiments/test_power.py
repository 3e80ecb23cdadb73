"""Designs that find nothing are told what would; designs in each other's way are told where there is room."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from features.errors import RefusedError, UsageError
from models.experiments.split import Arm, Split
from monitoring.experiments.boundaries import boundaries
from monitoring.experiments.design import Design
from monitoring.experiments.metrics import Metric
from monitoring.experiments.overlap import largest_free_share, overlap_words, shares_units
from monitoring.experiments.power import Past, check_power, past_of, units_by

START = datetime(2026, 3, 2, tzinfo=UTC)
PAST = Past(0.1, 0.09, 0.3, tuple(2_000.0 * day for day in range(1, 120)))


def design(
    name="spring", layer="timing", start=0.0, end=1.0, begins=START, days=(7, 14, 21, 28), arms=2, **more
):
    split = Split(name, layer, start, end, tuple(Arm(f"arm{n}", 1 / arms) for n in range(arms)))
    wanted = {"planned_units": 40_000.0, "mde_relative": 0.08, **more}
    return Design(split, "it helps", "crm", Metric("buyers", "orders", is_flag=True), begins, days, **wanted)


def test_power_is_what_simulation_finds():
    verdict = check_power(design(), PAST)
    units = units_by(design(), PAST, 28)
    assert units == verdict.units == 2_000.0 * 23, "windows of the last 5 days are not over"
    fractions = np.array([units_by(design(), PAST, day) for day in (7, 14, 21, 28)]) / units
    rng = np.random.default_rng(0)
    grown = 0.108 * 0.892 / (0.1 * 0.9)  # more buyers vary more
    drift = 0.1 * 0.08 / np.sqrt(0.09 * 0.7 * (2 * grown + 2) / units)
    steps = np.diff(np.concatenate([[0.0], fractions]))
    z = np.cumsum(rng.normal(drift * steps, np.sqrt(steps), (40_000, 4)), axis=1) / np.sqrt(fractions)
    found = (z >= np.array(boundaries(tuple(fractions)).z)).any(axis=1).mean()
    assert verdict.power == pytest.approx(found, abs=0.01)
    assert 1.0 < verdict.inflation < 1.05


def test_a_weak_design_is_refused_with_designs_that_work():
    weak = design(start=0.0, end=0.2, mde_relative=0.1)
    verdict = check_power(weak, PAST)
    assert not verdict.is_enough and verdict.power < 0.8
    assert check_power(replace(weak, mde_relative=verdict.detectable_relative * 1.0001), PAST).is_enough
    told = float(verdict.words.split("smallest effect of +")[1].rstrip("%")) / 100
    assert check_power(replace(weak, mde_relative=told), PAST).is_enough, "what is printed works"
    share = verdict.share_needed
    assert check_power(replace(weak, split=replace(weak.split, ends_at=share)), PAST).is_enough
    assert not check_power(replace(weak, split=replace(weak.split, ends_at=share - 0.005)), PAST).is_enough
    assert verdict.days_needed > 28 and f"{verdict.days_needed} days" in verdict.words
    longer = tuple(range(7, verdict.days_needed, 7))
    assert check_power(replace(weak, look_days=(*longer, verdict.days_needed)), PAST).is_enough
    assert "must be >= 80%; what works: " in verdict.words and f"{share:.1%} of the layer" in verdict.words


def test_a_hopeless_design_says_what_it_could_find():
    verdict = check_power(design(mde_relative=0.0001), PAST)
    assert verdict.days_needed is None and verdict.share_needed is None
    assert "a smallest effect of +" in verdict.words
    assert check_power(design(days=(3,)), PAST).power == 0.0, "no window is over by then"


def test_more_arms_and_less_past_cost_power():
    two, four = check_power(design(), PAST).power, check_power(design(arms=4), PAST).power
    without = check_power(design(), replace(PAST, variance_cut=0.0)).power
    assert two > without and two > four


def test_what_the_past_says():
    rng = np.random.default_rng(1)
    taste = rng.gamma(1.0, 1.0, 20_000)
    now, before = rng.poisson(taste).astype(float), rng.poisson(5 * taste).astype(float)
    metric = Metric("orders", "orders", covariate="before")
    told = past_of(metric, {"orders": now}, before, (1.0,))
    correlation = np.corrcoef(now, before)[0, 1]
    assert told.variance_cut == pytest.approx(correlation**2, abs=1e-6)
    assert told.mean == pytest.approx(now.mean()) and told.variance == pytest.approx(now.var(ddof=1))
    with pytest.raises(RefusedError, match="take a longer past"):
        past_of(metric, {"orders": np.zeros(10)}, None, (1.0,))


def test_experiments_of_a_layer_stay_out_of_each_others_way():
    running = [design("one", end=0.4), design("two", start=0.4, end=0.7)]
    assert overlap_words(design("new", start=0.7), running) == ""
    assert overlap_words(design("new", layer="copy"), running) == ""
    assert overlap_words(design("new", begins=START + timedelta(days=28)), running) == ""
    # What runs has its users whatever day it was to end: a readout ends it, and that may come late.
    assert shares_units(design("new", begins=START + timedelta(days=28)), running)
    assert not shares_units(design("new", start=0.7), running)
    words = overlap_words(design("new", start=0.3, end=0.5), running)
    assert "10.0% of layer 'timing' belongs to 'one' until 2026-03-30" in words
    assert "places 0.7 to 0.9, or a start on 2026-03-30" in words
    east = [design("one", begins=datetime(2026, 3, 1, 15, tzinfo=UTC))]  # the second of March in Tokyo
    words = overlap_words(design("new"), east, zone="Asia/Tokyo")
    assert "until 2026-03-30" in words and "a start on 2026-03-30" in words
    words = overlap_words(design("new", start=0.0, end=0.5), running)
    assert "30.0% of the layer (places 0.7 to 1)" in words
    assert "exists already" in overlap_words(design("old", start=0.7), running, {"old"})
    assert largest_free_share(design("new"), running) == pytest.approx(0.3)
    assert "exists already" in overlap_words(
        design("one", layer="copy", begins=START + timedelta(days=99)), running
    )


def test_designs_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="must be >= 1 and rise"):
        design(days=(7, 7))
    with pytest.raises(UsageError, match="must have 1"):
        design(is_adaptive=True)
    with pytest.raises(UsageError, match="measures 'buyers' twice"):
        design(secondaries=(Metric("buyers", "x"),))
    with pytest.raises(UsageError, match="must be > 0; work out its power"):
        design(planned_units=0)
    with pytest.raises(UsageError, match="must be in UTC"):
        design(begins=datetime(2026, 3, 2))  # noqa: DTZ001
    assert design().extended(7).look_days == (7, 14, 21, 28, 35)
