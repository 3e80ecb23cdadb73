"""What decides may move a little from week to week, as it always did; more is told with the theme's name."""

from __future__ import annotations

from monitoring.attribution_drift import LEAST_EFFECT, attribution_finding
from monitoring.drift_finding import WatchResult

WEEKS = {
    "1": {"habit": 0.60, "promotion": 0.25, "time": 0.15},
    "2": {"habit": 0.62, "promotion": 0.24, "time": 0.14},
    "3": {"habit": 0.59, "promotion": 0.26, "time": 0.15},
}


def test_weeks_like_the_others_pass() -> None:
    finding = attribution_finding(WEEKS, {"habit": 0.61, "promotion": 0.24, "time": 0.15})
    assert finding.verdict == "pass" and finding.value < 0.02 and finding.limit >= LEAST_EFFECT


def test_a_theme_that_takes_over_fails_and_is_named() -> None:
    finding = attribution_finding(WEEKS, {"habit": 0.15, "promotion": 0.25, "time": 0.60})
    assert finding.verdict == "fail" and finding.detail == "time 15% -> 60%"
    assert finding.words.startswith("attribution total_variation 0.453 >= ")


def test_a_theme_that_is_gone_counts_as_nothing() -> None:
    finding = attribution_finding(WEEKS, {"habit": 0.75, "promotion": 0.25})
    assert round(finding.value, 3) == 0.147


def test_one_week_alone_has_only_the_least_effect_as_limit() -> None:
    alone = {"1": WEEKS["1"]}
    assert attribution_finding(alone, WEEKS["1"]).limit == LEAST_EFFECT
    assert attribution_finding(alone, {"habit": 1.0}).verdict == "fail"


def test_it_counts_in_the_verdict_like_any_check() -> None:
    fine = WatchResult((), "pass", ())
    failed = attribution_finding(WEEKS, {"time": 1.0})
    assert fine.beside(failed).verdict == "fail" and fine.beside(failed).alarms == (failed,)
    assert fine.beside(attribution_finding(WEEKS, WEEKS["1"])).verdict == "pass"
