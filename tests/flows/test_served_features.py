"""A model that has learnt from other features than are served is refused in one line."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from features.errors import RefusedError
from features.tables import RANKING, TIMING
from flows.served_features import require_served_features

SERVICES = [RANKING.name, TIMING.name]


def check(services: list[str], more: tuple[str, ...] = (), more_timing: tuple[str, ...] = ()) -> None:
    ranker = SimpleNamespace(features=("score_popular", *RANKING.features[:9], "query_daypart", *more))
    timing = SimpleNamespace(feature_names=(*TIMING.features[:9], *more_timing))
    require_served_features("v1", services, ranker, timing)


def test_todays_features_are_served() -> None:
    check(SERVICES)
    check([])  # an old lineage that does not tell


def test_another_service_is_refused() -> None:
    with pytest.raises(RefusedError, match="v1 was trained on ranking_v1, timing_v1, features") as refusal:
        check(["ranking_v1", "timing_v1"])
    assert refusal.value.exit_code == 3
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("names", [{"more": ("gone",)}, {"more_timing": ("gone",)}])
def test_a_feature_that_is_gone_is_named(names: dict) -> None:
    with pytest.raises(RefusedError, match="needs 'gone'"):
        check(SERVICES, **names)
