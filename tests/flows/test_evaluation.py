"""What a training run leaves for whoever doubts it: depth in the registry, a page, pictures in Prefect."""

from __future__ import annotations

import json

from flows.model_version import OURS


def test_the_evaluation_goes_into_depth_and_is_plain_json(first_cycle) -> None:
    from flows.wiring import open_stores

    found = open_stores().registry.read(first_cycle.challenger).metrics
    json.dumps(
        {key: found[key] for key in ("slices", "target_slices", "beyond_accuracy", "backtest")},
        allow_nan=False,
    )
    queries = found["n_queries"]
    by_daypart = [row for row in found["slices"] if row["dimension"] == "daypart"]
    assert sum(row["rows"] for row in by_daypart) == queries
    assert all(OURS in row["models"] and row["leads"] for row in by_daypart)
    assert sum(origin["queries"] for origin in found["backtest"]["origins"]) == queries
    assert abs(sum(row["share"] for row in found["themes"]) - 1.0) < 1e-9
    curve = found["reliability"][OURS]
    assert curve and all(0.0 <= row["observed"] <= 1.0 for row in curve)


def test_the_page_and_the_pictures_are_there(first_cycle) -> None:
    from prefect.artifacts import Artifact

    from flows.train import REPORT_KIND
    from flows.wiring import open_stores

    stores = open_stores()
    page = stores.settings.reports_dir / REPORT_KIND / f"{first_cycle.challenger}.html"
    text = page.read_text(encoding="utf-8")
    assert first_cycle.challenger in text and "<svg" in text and "Week by week" in text
    for name in ("gain-by-slice", "ndcg-by-week", "reliability", "importance"):
        artifact = Artifact.get(key=f"{REPORT_KIND}-{name}")
        assert artifact is not None and artifact.type == "image"
        assert str(artifact.data).startswith("data:image/svg+xml;base64,")
