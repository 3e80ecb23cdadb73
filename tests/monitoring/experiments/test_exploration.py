"""Slices are explored with intervals as wide as all of them ask for, and are marked."""

from __future__ import annotations

import numpy as np

from monitoring.experiments.exploration import MARK, slice_effects
from monitoring.experiments.unit_table import unit_table
from tests.benchmarks.experiments_parts.world import BUYERS, World, day, shoppers, world_design

WORLD = World(users=6_000)
DESIGN = world_design(WORLD, BUYERS)
SLOTS = ("morning", "evening", "late")


def explored(rng: np.random.Generator, hurts_late: bool = False):
    exposures, outcomes = shoppers(WORLD, DESIGN, {}, rng)
    slot = np.array(SLOTS, dtype=object)[rng.choice(3, size=len(exposures), p=[0.5, 0.49, 0.01])]
    if hurts_late:
        lost = exposures.loc[(slot == "evening") & (exposures["arm"] == "new"), "unit_id"]
        outcomes = outcomes[~outcomes["unit_id"].isin(lost)]
    return slice_effects(
        DESIGN, unit_table(DESIGN, exposures.assign(slot=slot), outcomes, day(28), ["slot"]), BUYERS
    )


def test_a_slice_that_differs_is_shown_small_ones_are_not_and_all_are_marked():
    found = {one.value: one for one in explored(np.random.default_rng(0), hurts_late=True)}
    assert set(found) == {"morning", "evening"}, "late has too few units"
    assert found["evening"].high < 0 and found["morning"].low < 0 < found["morning"].high
    assert all(one.differ_p < 1e-6 and one.mark == MARK for one in found.values())


def test_without_effects_slices_seldom_seem_to_have_any():
    rng = np.random.default_rng(1)
    told = [explored(rng) for _ in range(60)]
    assert np.mean([any(one.low > 0 or one.high < 0 for one in found) for found in told]) <= 0.05
    assert np.mean([found[0].differ_p < 0.05 for found in told]) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 60)
