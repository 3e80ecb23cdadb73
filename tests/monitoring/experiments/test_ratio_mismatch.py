"""Arms that lost units are found, arms that did not are left alone, also when it is asked every day."""

from __future__ import annotations

import numpy as np
import pytest

from monitoring.experiments.ratio_mismatch import counts_only_detection, ratio_mismatch

ARMS, HALVES = ("control", "new"), (0.5, 0.5)


def test_one_percent_lost_in_one_of_two_arms_is_found_and_named():
    rng = np.random.default_rng(0)
    for _ in range(200):
        assigned = rng.multinomial(200_000, HALVES)
        found = rng.binomial(assigned, (0.97, 0.96))
        verdict = ratio_mismatch(ARMS, HALVES, assigned.tolist(), found.tolist(), look=28)
        assert verdict.is_mismatch and verdict.words.startswith("new lost ")


def test_daily_looks_together_raise_as_few_false_alarms_as_declared():
    rng = np.random.default_rng(1)
    experiments, days, alarmed = 1_000, 28, 0
    for _ in range(experiments):
        assigned = rng.multinomial(700, HALVES, size=days).cumsum(axis=0)
        lost = rng.binomial(np.diff(assigned, axis=0, prepend=0), 0.05).cumsum(axis=0)
        alarmed += any(
            ratio_mismatch(ARMS, HALVES, had.tolist(), (had - gone).tolist(), look=day).is_mismatch
            for day, (had, gone) in enumerate(zip(assigned, lost, strict=True), start=1)
        )
    assert alarmed / experiments <= 0.002 + 3 * np.sqrt(0.002 / experiments)


def test_counts_alone_would_not_see_it():
    rng = np.random.default_rng(2)
    had = rng.multinomial(200_000, HALVES, size=4_000)
    left = np.stack([had[:, 0], rng.binomial(had[:, 1], 0.99)], axis=1)
    statistic = (left[:, 0] - left[:, 1]) ** 2 / left.sum(axis=1)
    detected = (statistic > 7.879).mean()  # chi-square of 1 at 0.005
    assert detected == pytest.approx(counts_only_detection(200_000, 0.01), abs=0.03) and detected < 0.4


def test_a_broken_hash_is_found_without_any_loss():
    verdict = ratio_mismatch(
        ("a", "b", "c"), (0.5, 0.3, 0.2), (50_000, 31_000, 19_000), (50_000, 31_000, 19_000)
    )
    assert verdict.is_mismatch and "check eligibility and the hash" in verdict.words
    assert verdict.words.startswith("c was assigned 19,000 units, its share of 100,000 is 20,000")


@pytest.mark.parametrize("counts", [(0, 0), (3, 1), (0, 9)])
def test_too_few_say_nothing(counts):
    verdict = ratio_mismatch(ARMS, HALVES, counts, counts)
    assert not verdict.is_mismatch and "nan" not in verdict.words


def test_an_arm_that_is_wholly_lost_is_found():
    assert ratio_mismatch(ARMS, HALVES, (500, 500), (500, 0)).is_mismatch
    assert ratio_mismatch(ARMS, HALVES, (500, 0), (500, 0)).is_mismatch
    assert not ratio_mismatch(ARMS, HALVES, (500, 510), (0, 0)).is_mismatch, "both lost alike"
