"""The page of an experiment: whole before its first readout, true to its numbers, safe with any words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitoring.experiments.as_json import readout_as_json
from monitoring.experiments.readout import readout
from monitoring.experiments.report_page import experiment_page
from tests.benchmarks.experiments_parts.world import BUYERS, SPEND, START, World, day, shoppers, world_design

WORLD = World(users=2_000)
NASTY = "<script>alert('x')</script>"


def test_before_the_first_readout_the_design_stands_there():
    design = replace(world_design(WORLD, BUYERS), hypothesis=NASTY)
    found = experiment_page(
        design, "waiting", [], [{"at": START, "what": "proposed", "who": NASTY, "why": ""}], "x"
    )
    assert "No readout yet." in found and "as declared" in found and "The effect over time" not in found
    assert "<script>" not in found and "&lt;script&gt;" in found


def test_the_page_tells_what_the_readouts_said():
    design = world_design(WORLD, BUYERS, secondaries=(SPEND,))
    frames = shoppers(WORLD, design, {"new": 0.8}, np.random.default_rng(0))
    history, told = [], []
    for number in (7, 14, 21, 28):
        one = readout(design, *frames, day(number), history)
        history += [one.look] if one.look is not None else []
        arms = [{"arm": "new", "plans": "model m2", "assigned": 11, "found": 10, "pushes": 9, "sent": 8}]
        told.append({**readout_as_json(one), "arms": arms})
        if one.decision == "ship":
            break
    assert one.decision == "ship"
    found = experiment_page(design, "stopped", told, [], "simulated")
    effect = one.effect("buyers", "new")
    assert "<strong>ship: new</strong>" in found and "simulated" in found and "model m2" in found
    assert f"{effect.effect:+.4f}" in found and f"{effect.boundary:.2f}" in found
    assert f"look {history[-1].number}, " in found
    assert one.mismatch.words in found
