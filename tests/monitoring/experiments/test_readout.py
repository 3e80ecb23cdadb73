"""From exposures and outcomes to a decision: each of them, with its reasons, and what must not move it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.errors import ContractError
from models.experiments.split import Arm, Split
from monitoring.experiments.design import Guardrail
from monitoring.experiments.metrics import Metric
from monitoring.experiments.readout import judged, readout
from monitoring.experiments.result import ANY_TIME, STAGE_WISE
from monitoring.experiments.unit_table import PROPENSITY, unit_table
from tests.benchmarks.experiments_parts.world import (
    BUYERS,
    ORDER_VALUE,
    SPEND,
    START,
    World,
    day,
    shoppers,
    world_design,
)

WORLD = World(users=3_000)
OPT_OUT = Metric("opt-out", "opt_outs", is_flag=True, higher_is_better=False)


def run(design, frames, days=(7, 14, 21, 28)):
    """Every readout until one decides, and the history."""
    history, told = [], []
    for number in days:
        one = readout(design, *frames, day(number), history)
        told.append(one)
        history += [one.look] if one.look is not None else []
        if one.decision != "continue":
            break
    return told, history


def frames_of(design, lifts=None, seed=0, world=WORLD):
    return shoppers(world, design, lifts or {}, np.random.default_rng(seed))


def test_a_large_gain_ships_early_with_an_interval_that_allows_for_it():
    design = world_design(WORLD, BUYERS, secondaries=(SPEND, ORDER_VALUE))
    told, history = run(design, frames_of(design, {"new": 0.8}))
    last = told[-1]
    assert (last.decision, last.winner) == ("ship", "new") and len(history) < 4
    effect = last.effect("buyers", "new")
    assert effect.interval == STAGE_WISE and effect.verdict == "better" and effect.p_value < 0.05
    assert 0 < effect.low < effect.effect < effect.high
    plain = history[-1].row("buyers", "new")
    assert effect.effect <= plain.effect, "the plain estimate of what stopped early is too large"
    assert abs(plain.effect / plain.error) >= effect.boundary
    assert "buyers" in last.reasons[0] and "boundary" in last.reasons[0]
    assert {one.metric for one in last.effects} == {"buyers", "spend", "order value"}
    for earlier in told[:-1]:
        assert earlier.decision == "continue" and earlier.effect("buyers", "new").interval == ANY_TIME


def test_no_effect_is_kept_at_the_last_look():
    design = world_design(WORLD, BUYERS)
    told, history = run(design, frames_of(design))
    assert told[-1].decision == "keep" and told[-1].winner is None and len(history) == 4
    assert history[-1].is_last and told[-1].effect("buyers", "new").interval == STAGE_WISE
    effect = told[-1].effect("buyers", "new")
    assert effect.low < 0 < effect.high and effect.verdict == "open"


def test_a_loss_stops_for_harm():
    design = world_design(WORLD, BUYERS)
    told, _ = run(design, frames_of(design, {"new": -0.6}))
    assert told[-1].decision == "stop for harm" and told[-1].winner is None
    assert told[-1].effect("buyers", "new").verdict == "worse"


def test_harm_stops_on_any_day_gains_only_at_looks():
    design = world_design(WORLD, BUYERS, looks=(28,))
    worse, better = (readout(design, *frames_of(design, {"new": lift}), day(22)) for lift in (-0.9, 2.0))
    assert worse.decision == "stop for harm" and "surely harms buyers" in worse.reasons[0]
    assert better.decision == "continue" and better.look is None
    assert better.effect("buyers", "new").low > 0, "the interval shows it, the plan decides"


def test_a_guardrail_stops_a_winner():
    design = world_design(WORLD, BUYERS, guardrails=(Guardrail(OPT_OUT),))
    exposures, outcomes = frames_of(design, {"new": 1.5})
    outcomes = outcomes.assign(opt_outs=0.0)
    assert readout(design, exposures, outcomes, day(14)).decision == "ship"
    hurt = exposures.loc[exposures["arm"] == "new", ["unit_id", "exposed_at"]].dropna()[:40]
    gone = pd.DataFrame(
        {
            "unit_id": hurt["unit_id"],
            "outcome_ts": hurt["exposed_at"] + pd.Timedelta(hours=1),
            "orders": 0.0,
            "amount": 0.0,
            "opt_outs": 1.0,
        }
    )
    stopped = readout(design, exposures, pd.concat([outcomes, gone]), day(14))
    assert stopped.decision == "stop for harm" and stopped.winner is None
    assert "units against 0 in control" in stopped.reasons[0]
    assert all(np.isfinite(one.low) for one in stopped.effects if one.role == "primary")


def test_a_mean_guardrail_is_told_safe_open_or_harm():
    revenue = Metric("revenue", "amount", cap=500.0, covariate="spend_before")

    def verdict(lift: float, tolerance: float) -> str:
        design = world_design(WORLD, BUYERS, guardrails=(Guardrail(revenue, tolerance),))
        told = readout(design, *frames_of(design, {"new": lift}), day(28))
        assert any("winsorised as declared: revenue at 500" in note for note in told.notes)
        return told.effect("revenue", "new").verdict

    assert (verdict(0.0, 0.0), verdict(0.0, 3.0), verdict(-0.9, 0.0)) == ("open", "safe", "harm")


def test_lost_exposures_block_every_effect():
    design = world_design(WORLD, BUYERS)
    exposures, outcomes = frames_of(design, {"new": 0.8})
    lost = (exposures["arm"] == "new") & (np.arange(len(exposures)) % 12 == 0)
    told = readout(design, exposures.assign(exposed_at=exposures["exposed_at"].mask(lost)), outcomes, day(28))
    assert told.decision == "blocked" and told.effects == () and told.look is None
    assert told.reasons[0].startswith("blocked by a sample-ratio mismatch: new lost ")


def test_too_few_units_by_the_end_ask_for_more_time_and_get_it():
    design = world_design(WORLD, BUYERS, planned_units=5_500.0)
    frames = frames_of(design, {"new": 0.1})
    told, history = run(design, frames)
    assert told[-1].decision == "extend" and not history[-1].is_last
    assert "must be >= 90%; at this pace" in told[-1].reasons[0]
    longer = replace(design.extended(7), least_information=0.5)
    later = readout(
        longer, *frames_of(design, {"new": 0.1}, world=replace(WORLD, users=4_500)), day(35), history
    )
    assert later.decision in ("ship", "keep") and later.look.number == 5 and later.look.is_last


def test_the_better_of_two_arms_wins_and_steps_relax():
    split = Split("s", "l", 0.0, 1.0, (Arm("control", 0.4), Arm("a", 0.3), Arm("b", 0.3)))
    world = replace(WORLD, users=8_000)
    design = world_design(world, BUYERS, split=split, planned_units=8_000.0)
    told, _ = run(design, frames_of(design, {"a": 0.4, "b": 0.9}, world=world))
    assert told[-1].decision == "ship" and told[-1].winner == "b"
    rejected = [one for one in told[-1].effects if one.verdict == "better"]
    assert all(one.confidence == pytest.approx(0.975) for one in rejected if one.arm == "b")


def test_nothing_at_or_after_as_of_counts_and_a_rerun_says_the_same():
    design = world_design(WORLD, BUYERS, secondaries=(SPEND,))
    exposures, outcomes = frames_of(design, {"new": 0.3})
    _, history = run(design, (exposures, outcomes))
    at = day(14)
    known = readout(design, exposures, outcomes, at, history[:1])
    scrambled = outcomes.assign(amount=outcomes["amount"].where(outcomes["outcome_ts"] < at, 1e6))
    future = exposures["assigned_at"] >= at
    moved = exposures.assign(arm=exposures["arm"].where(~future, "new"))
    assert repr(readout(design, moved, scrambled, at, history[:1])) == repr(known)
    assert readout(design, exposures[::-1], outcomes[::-1], at, history).reasons == known.reasons, (
        "history cut"
    )


def test_a_table_made_once_says_what_frames_say_each_day():
    design = world_design(WORLD, SPEND, secondaries=(ORDER_VALUE,))
    frames = frames_of(design, {"new": 0.2})
    table = unit_table(design, *frames, day(40))
    for number in (3, 7, 15, 28):
        once = judged(design, table.as_of(design, day(number)), day(number))
        assert repr(once) == repr(readout(design, *frames, day(number)))


def test_outcomes_count_within_their_window_only():
    design = world_design(WORLD, BUYERS)
    at = pd.Timestamp(START)
    exposures = pd.DataFrame(
        {
            "unit_id": ["u", "v"],
            "arm": ["control", "new"],
            "assigned_at": [at, at],
            "exposed_at": [at + pd.Timedelta(hours=6), pd.NaT],
            "orders_before": [1.0, np.nan],
        }
    )
    hours = [5.9, 6.0, 77.9, 78.0, 7.0]
    outcomes = pd.DataFrame(
        {
            "unit_id": ["u", "u", "u", "u", "nobody"],
            "outcome_ts": at + pd.to_timedelta(hours, unit="h"),
            "orders": [1.0, 2.0, 4.0, 8.0, 16.0],
        }
    )
    table = unit_table(design, exposures, outcomes, day(10))
    assert table.sums["orders"].tolist() == [6.0, 0.0] and table.is_over.tolist() == [True, False]
    assert unit_table(design, exposures, outcomes, day(5)).is_over.tolist() == [False, False], (
        "late events may come"
    )
    assert unit_table(design, exposures[:0], outcomes, day(5)).sums["orders"].tolist() == []


def test_frames_that_are_not_what_they_should_be_are_refused():
    design = world_design(WORLD, BUYERS)
    exposures, outcomes = frames_of(design)
    with pytest.raises(ContractError, match="outcomes has no column 'orders'"):
        readout(design, exposures, outcomes.drop(columns="orders"), day(7))
    with pytest.raises(ContractError, match="exposures has no column 'orders_before'"):
        readout(design, exposures.drop(columns="orders_before"), outcomes, day(7))
    with pytest.raises(ContractError, match="arm == 'old', must be one of control, new"):
        readout(design, exposures.assign(arm="old"), outcomes, day(7))
    with pytest.raises(ContractError, match="is there twice"):
        readout(design, pd.concat([exposures, exposures[:1]]), outcomes, day(7))


def test_nothing_yet_is_said_in_words():
    design = world_design(WORLD, BUYERS, secondaries=(ORDER_VALUE,))
    exposures, outcomes = frames_of(design)
    early = readout(design, exposures, outcomes, day(2))
    assert early.decision == "continue" and early.effects == () and early.information == 0.0
    assert "new: buyers: 0 units of an arm whose window is over, must be >= 100; wait" in early.reasons
    silent = readout(design, exposures, outcomes.assign(orders=0.0), day(28))
    assert silent.decision == "extend" and silent.reasons == (
        "the last look was due, and buyers could not be judged",
        "new: buyers: 0 units with any, must be >= 20 to judge a mean",
    )
    nobody = readout(design, exposures[:0], outcomes[:0], day(7))
    assert nobody.decision == "continue" and "too few units" in nobody.mismatch.words


def test_shares_that_move_are_corrected_for_and_said_so():
    design = world_design(WORLD, BUYERS, looks=(28,), is_adaptive=True)
    exposures, outcomes = frames_of(design, {"new": 0.8})
    chances = {PROPENSITY + "control": 0.5, PROPENSITY + "new": 0.5}
    told = readout(design, exposures.assign(**chances), outcomes, day(28))
    assert told.decision == "ship" and any("Thompson" in note for note in told.notes)
    with pytest.raises(ContractError, match="propensity:"):
        readout(design, exposures, outcomes, day(28))
    is_kept = exposures["arm"].eq("control") | (exposures.groupby("arm").cumcount() % 10 == 0)
    few = exposures[is_kept].assign(**{PROPENSITY + "control": 10 / 11, PROPENSITY + "new": 1 / 11})
    told = readout(replace(design, planned_units=0.9 * len(few)), few, outcomes, day(28))
    assert told.decision in ("ship", "keep"), "an arm that got few units is no reason to go on"
