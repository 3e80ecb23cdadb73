"""Which experiments have a model in an arm, wherever its treatment names it."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from infra.running_experiments import experiments_using


@pytest.fixture
def experiments(database):
    """Two that run, one that has stopped."""
    arms = {
        "warm-up": ("running", [{"model": {"version": "m0"}}, {"slot": "morning"}]),
        "against": ("running", [{"model": "m1"}, {"model": "champion"}]),
        "old": ("stopped", [{"model": "m0"}, {"model": "m2"}]),
    }
    with database.transaction() as connection:
        for name, (status, treatments) in arms.items():
            connection.execute(
                text(
                    "INSERT INTO kairos.experiment (experiment, hypothesis, status) "
                    "VALUES (:name, '', :status)"
                ),
                {"name": name, "status": status},
            )
            for number, treatment in enumerate(treatments):
                connection.execute(
                    text(
                        "INSERT INTO kairos.experiment_arm (experiment, arm, share, treatment) "
                        "VALUES (:name, :arm, 0.5, CAST(:treatment AS jsonb))"
                    ),
                    {"name": name, "arm": str(number), "treatment": json.dumps(treatment)},
                )
    return database


def test_running_experiments_are_found_by_version_and_by_whoever_is_champion(experiments) -> None:
    assert experiments_using(experiments, "m0") == ("against", "warm-up")
    assert experiments_using(experiments, "m1") == ("against",)
    assert experiments_using(experiments, "m2") == ("against",), "an arm of the champion is m2's as well"


def test_without_experiments_nothing_is_in_the_way(database) -> None:
    assert experiments_using(database, "m0") == ()
