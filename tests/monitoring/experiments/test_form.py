"""What people type about an experiment becomes a design, or one line that says what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.errors import UsageError
from models.experiments.thompson import with_waves
from monitoring.experiments.as_json import design_as_json, design_of_json, look_of_json, readout_as_json
from monitoring.experiments.form import design_of, read_form
from monitoring.experiments.metrics import Metric
from monitoring.experiments.ratio_mismatch import MismatchVerdict
from monitoring.experiments.result import Look, LookRow, Readout

START = datetime(2026, 12, 7, tzinfo=UTC)
EXAMPLE = (Path(__file__).parents[3] / "infra" / "experiment.toml.example").read_text(encoding="utf-8")


def design(text: str):
    return design_of(read_form(text, "e.toml"), START)


def test_the_example_is_a_design_that_survives_storing():
    made = design(EXAMPLE.replace("# timing", "timing").replace("# caps", "caps"))
    assert made.split.share == pytest.approx(0.4) and made.look_days == (7, 14, 21, 28)
    control, choosy = made.split.arms
    assert control.policy is None and json.loads(choosy.policy) == {"min_expected_value": 0.05}
    assert choosy.timing == "evening,late" and choosy.is_sent
    assert made.secondaries[0].cap == 200.0 and made.primary == Metric(
        "conversion", "purchases", is_flag=True, covariate="before:purchases"
    )
    assert [(one.metric.name, one.tolerance) for one in made.guardrails] == [
        ("opt_out", 0.002),
        ("complaint", 0.001),
    ]
    assert design_of_json(json.loads(json.dumps(design_as_json(made)))) == made


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('owner = "crm"', "", "e.toml: owner is missing; see"),
        ('owner = "crm"', 'owmer = "crm"', "e.toml: owner is missing, and 1 more"),
        ("share = 0.4 ", "share = 1.4 ", "share == '1.4': input should be less than or equal to 1"),
        ('name = "choosy"\nshare = 0.5', 'name = "choosy"\nshare = 2', "arm 2.share == '2': input should be"),
        (
            'name = "choosy"\nshare = 0.5',
            'name = "choosy"\nshare = 0.4',
            "shares control 0.5, choosy 0.4, must",
        ),
        ('primary = "conversion"', 'primary = "clicks"', "metric 'clicks' is unknown, must be one of conv"),
        ("min_expected_value = 0.05", "max_day = 1", "policy 'max_day' is unknown, must be one of default_"),
        ("min_expected_value = 0.05", "max_items = 0.5", "policy max_items == 0.5, must be int"),
        ("min_expected_value = 0.05", "max_items = 0", "policy max_items == 0, must be >= 1"),
        ("looks = [7, 14, 21, 28]", "looks = [7, 3]", "looks after days (7, 3), must be >= 1 and rise"),
        ("# timing", 'timing = ["dawn"] #', "arm 'choosy': timing 'dawn', must be of night, morning"),
        ("# caps = { spend", "caps = { purchases", "caps name 'purchases', which is not measured"),
        ("# timing", 'timing = ["usual", "late"] #', "timing 'usual', must be of night, morning"),
        ("# allocation", "allocation", "with allocation thompson has one arm beside the control"),
        ("mde = 0.05", "mde = ", "e.toml is no TOML: "),
        ("mde = 0.05", "mde = inf", "mde == 'inf': input should be a finite number"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(old: str, new: str, words: str):
    assert old in EXAMPLE
    with pytest.raises(UsageError) as refused:
        design(EXAMPLE.replace(old, new, 1))
    assert words in str(refused.value) and "\n" not in str(refused.value)


THREE = EXAMPLE.replace("looks = [7, 14, 21, 28]", "looks = [28]").replace("# allocation", "allocation")
THREE += '[[arm]]\nname = "third"\nshare = 0.2\ntiming = ["usual"]\n'
THREE = THREE.replace('name = "choosy"\nshare = 0.5', 'name = "choosy"\nshare = 0.3')


def test_shares_that_move_are_declared_with_their_waves_and_survive_storing():
    made = design(THREE)
    assert made.is_adaptive and made.split.waves == 28 - 5 and made.split.arms[2].timing == "usual"
    moved = replace(made, split=with_waves(made.split, (0.5, 0.1, 0.4), 3))
    assert design_of_json(json.loads(json.dumps(design_as_json(moved)))) == moved


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("looks = [28]", "looks = [14, 28]", "moves its shares and has 2 looks, must have 1"),
        ("looks = [28]", "looks = [6]", "has 1 days on which users may come, must be >= 2"),
        ('primary = "conversion"', 'primary = "purchases"', "decides by purchases, must by conversion"),
        ('primary = "conversion"', 'primary = "opt_out"', "decides by opt_out, must by conversion"),
    ],
)
def test_shares_that_cannot_move_are_refused(old: str, new: str, words: str):
    assert old in THREE
    with pytest.raises(UsageError) as refused:
        design(THREE.replace(old, new, 1))
    assert words in str(refused.value)


def test_a_rate_of_pushes_is_not_for_an_arm_that_sends_none():
    silent = EXAMPLE.replace("# holdout", "holdout").replace('"conversion"', '"push_conversion"', 1)
    with pytest.raises(UsageError, match="counted a push, and an arm sends none"):
        design(silent)


def test_a_look_comes_back_as_it_was_stored():
    look = Look(2, START, False, (LookRow("spend", "new", 0.5, 1.25, 0.1),))
    mismatch = MismatchVerdict(False, float("nan"), 0.5, 0.001, "fine")
    told = readout_as_json(Readout("e", START, "continue", None, ("so",), mismatch, (), look, 0.5))
    assert look_of_json(json.loads(json.dumps(told, allow_nan=False))) == look
    assert told["mismatch"]["allocation_p"] is None
