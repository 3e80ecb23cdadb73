"""Several arms and metrics at one level: Holm's steps, over looks too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.experiments.split import Arm, Split
from monitoring.experiments.holm import holm_adjusted, holm_rejections
from monitoring.experiments.result import Look, LookRow
from monitoring.experiments.sequential_tests import against_boundaries, rejections
from tests.benchmarks.experiments_parts.world import BUYERS, World, day, world_design

ARMS = ("a", "b", "c")
DESIGN = world_design(
    World(),
    BUYERS,
    split=Split("s", "l", 0.0, 1.0, (Arm("control", 0.25), *(Arm(name, 0.25) for name in ARMS))),
)
INFORMATION = (0.25, 0.5, 0.75, 1.0)


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=8), st.sampled_from([0.01, 0.05, 0.2]))
def test_steps_and_adjusted_p_values_agree(p_values, alpha):
    names = [str(place) for place in range(len(p_values))]
    rejected = holm_rejections(names, lambda name, level: p_values[int(name)] <= level, alpha)
    adjusted = holm_adjusted(p_values)
    for name, p, raised in zip(names, p_values, adjusted, strict=True):
        assert raised >= p
        if abs(raised - alpha) > 1e-12:
            assert (name in rejected) == (raised < alpha)


def histories(drifts: tuple[float, ...], experiments: int, seed: int):
    """Looks at three arms that share a control."""
    rng = np.random.default_rng(seed)
    for _ in range(experiments):
        noise = rng.standard_normal((4, len(INFORMATION))).cumsum(axis=1) / 2.0
        s = (noise[1:] - noise[0]) / np.sqrt(2.0) + np.outer(drifts, INFORMATION)
        yield [
            Look(
                number + 1,
                day(7 * (number + 1)),
                number == 3,
                tuple(
                    LookRow("buyers", arm, info, float(s[code, number]), float(np.sqrt(info)))
                    for code, arm in enumerate(ARMS)
                ),
            )
            for number, info in enumerate(INFORMATION)
        ]


def rejected_arms(looks) -> set[str]:
    return {arm for _, arm in rejections(looks, [("buyers", arm) for arm in ARMS], DESIGN)}


def test_any_false_rejection_is_as_rare_as_declared():
    experiments = 2_000
    wrong = sum(bool(rejected_arms(looks)) for looks in histories((0.0, 0.0, 0.0), experiments, 0))
    assert 0.02 < wrong / experiments < 0.05 + 3 * np.sqrt(0.05 * 0.95 / experiments)
    mixed = sum(bool(rejected_arms(looks) - {"a"}) for looks in histories((4.0, 0.0, 0.0), experiments, 1))
    assert 0.02 < mixed / experiments < 0.05 + 3 * np.sqrt(0.05 * 0.95 / experiments)


def test_what_others_win_relaxes_the_level_of_the_rest():
    looks = next(iter(histories((9.0, 9.0, 0.0), 1, 2)))
    levels = rejections(looks, [("buyers", arm) for arm in ARMS], DESIGN)
    assert levels["buyers", "a"] == pytest.approx(0.05 / 3)
    middle = looks[-1].row("buyers", "c")
    bound = against_boundaries(looks, "buyers", "c", 0.05, DESIGN).looks.z[-1]
    strict = against_boundaries(looks, "buyers", "c", 0.05 / 3, DESIGN).looks.z[-1]
    between = LookRow("buyers", "c", 1.0, (bound + strict) / 2.0 * middle.error, middle.error)
    last = Look(4, day(28), True, (*looks[-1].rows[:2], between))
    assert rejections([*looks[:3], last], [("buyers", arm) for arm in ARMS], DESIGN)["buyers", "c"] == 0.05
    assert ("buyers", "c") not in rejections(
        [*looks[:3], last], [("buyers", "c"), ("x", "a"), ("x", "b")], DESIGN
    )


def test_a_comparison_without_looks_is_not_rejected():
    assert rejections([], [("buyers", "a")], DESIGN) == {}
    assert against_boundaries([], "buyers", "a", 0.05, DESIGN) is None
