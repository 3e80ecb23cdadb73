"""The evaluation page: whole without any data, safe with any names, and true to its numbers."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from typing import Any

import pytest

from monitoring.chart_parts import Mark, as_data_uri, nice_ticks
from monitoring.charts import bar_chart, interval_chart, line_chart, reliability_chart
from monitoring.evaluation_page import evaluation_page, pictures

VOID = {"meta", "link", "br", "img", "input", "hr"}
NASTY = "<script>alert('x')</script> & \"Ångström\""


class Reader(HTMLParser):
    """Checks that tags close in order; collects headings, texts and anything a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.headings: list[str] = []
        self.reaching_out: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        named = dict(attrs)
        address = named.get("src") or named.get("href") or ""
        if tag in ("script", "link", "iframe", "object", "img") or address[:1] not in ("", "#"):
            self.reaching_out.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag, attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == [], "tags are left open"
    return reader


def estimate(mean: float, width: float = 0.01) -> dict[str, float]:
    return {"mean": mean, "low": mean - width, "high": mean + width}


@pytest.fixture
def result() -> dict[str, Any]:
    ours, peer = "Kairos, all context", "TIFU-KNN"
    models = {
        name: {"ndcg@10": estimate(value), "recall@20": estimate(value), "coverage@10": 0.5}
        for name, value in {ours: 0.28, "Kairos, context-free": 0.26, peer: 0.25, NASTY: 0.1}.items()
    }
    leads = {
        name: estimate(0.28 - found["ndcg@10"]["mean"], 0.005)
        for name, found in models.items()
        if name != ours
    }
    part = {"models": {ours: estimate(0.28), peer: estimate(0.25)}, "leads": {peer: estimate(0.03)}}
    part |= {"ratios": {peer: estimate(1.12, 0.02)}, "rows": 1_200, "users": 300}
    return {
        "report": {
            "n_queries": 5_920,
            "n_users": 1_731,
            "targets_per_query": 10.1,
            "models": models,
            "differences": [
                {"model": ours, "baseline": name, "ndcg@10": lead} for name, lead in leads.items()
            ],
        },
        "ablations": {"Kairos, context-free": {}, ours: {}},
        "ndcg10": {"kairos": 0.28, peer: 0.25},
        "peer_ratio": {"peer": peer, "ratio": 1.12, "low": 1.07, "high": 1.15},
        "targets": {
            "ndcg10": {"bound": 0.28, "least": True},
            "peer_ratio.ratio": {"bound": 1.1, "least": True},
            "peer_ratio.low": {"bound": 1.08, "least": True},
        },
        "slices": [{"dimension": "daypart", "value": "evening", "metric": "ndcg@10", **part}],
        "target_slices": [{"dimension": "category", "value": NASTY, "metric": "recall@20", **part}],
        "backtest": {
            "ours": ours,
            "origins": [
                {"origin": f"2017-11-{day:02d}", "queries": 9, "models": part["models"]} for day in (6, 13)
            ],
            "leads": {
                peer: {"origins": 2, "won": 2, "won_clearly": 1}
                | dict.fromkeys(("mean", "lowest", "highest", "spread"), 0.02)
            },
        },
        "beyond_accuracy": [{"model": ours, "measures": {"coverage": estimate(0.7)}, "leads": {}}],
        "retrievers": [{"retriever": "ease", "recall@100": 0.5, "unique": None}],
        "timing": {
            "logloss_ratio": 0.95,
            "logloss_ratio_low": 0.94,
            "logloss_ratio_high": 0.96,
            "ece": 0.004,
            "table": [{"model": "Kairos", "top1": 0.4}],
            "levels": {"user": 900, "all": 3},
            "reliability": {
                "Kairos": [{"stated": 0.1, "observed": 0.12, "low": 0.1, "high": 0.14, "rows": 50}]
            },
        },
        "joint": {"hit_ratio": 1.2, "table": [{"plan": "Kairos", "hits": 0.1}]},
        "importance": [{"feature": "promo_active", "gain": 0.7}, {"feature": NASTY, "gain": 0.3}],
        "peers": {peer: {"chosen": "TifuKnn(k=100)", "trials": 24}},
        "notes": [NASTY],
        "protocol": {"split": {"test": 4}},
        "wall_seconds": 1_900.4,
    }


def test_a_page_without_data_is_whole_and_says_nothing_wrong() -> None:
    found = read(evaluation_page({}))
    assert found.headings == []
    assert not any("nan" in text.lower() or "none" in text.lower() for text in found.texts if "{" not in text)


def test_every_section_appears_with_its_data_and_only_then(result: dict[str, Any]) -> None:
    whole = read(evaluation_page(result)).headings
    assert len(whole) == 13 and len(set(whole)) == 13
    for key, heading in {
        "slices": "By kind of query",
        "target_slices": "By kind of item",
        "backtest": "Week by week",
        "beyond_accuracy": "Beyond accuracy",
        "retrievers": "Retrievers",
        "timing": "Timing",
        "joint": "Joint plan",
        "importance": "What decides",
        "peers": "How peers were tuned",
    }.items():
        fewer = read(evaluation_page({name: value for name, value in result.items() if name != key})).headings
        assert set(whole) - set(fewer) == {heading}


def test_the_page_needs_nothing_but_itself_and_runs_nothing(result: dict[str, Any]) -> None:
    page = evaluation_page(result)
    found = read(page)
    assert found.reaching_out == []
    assert "<script" not in page and "@import" not in page and "url(" not in page
    assert NASTY in found.texts  # shown as it is written, not obeyed


def test_the_numbers_on_the_page_are_those_of_the_result(result: dict[str, Any]) -> None:
    text = " ".join(read(evaluation_page(result)).texts)
    for part in (
        *("5,920 queries of 1,731 users", "0.2800 [0.2700, 0.2900]", "1.120 [1.100, 1.140]"),
        *("2 of 2", "0.950", "[0.940, 0.960]", "TifuKnn(k=100)", "0.0040", "1900", "70.0%"),
    ):
        assert part in text, part


def test_a_target_is_met_only_with_the_end_of_its_interval(result: dict[str, Any]) -> None:
    page = evaluation_page(result)
    assert len(re.findall(r"class='tile met'", page)) == 1  # ndcg10
    assert len(re.findall(r"class='tile missed'", page)) == 1  # the ratio's low end
    assert "low end at least 1.08" in page
    result["peer_ratio"]["low"] = 1.09
    assert "tile missed" not in evaluation_page(result)
    del result["targets"]
    assert "tile met" not in evaluation_page(result)


def test_a_part_that_was_not_measured_says_why() -> None:
    page = evaluation_page(
        {"timing": {"not_measured": "too few days"}, "joint": {"not_measured": "no & yes"}}
    )
    assert "Not measured: too few days" in page and "no &amp; yes" in page


def test_an_evaluation_of_a_training_run_makes_a_page_too(result: dict[str, Any]) -> None:
    flat = {**result["report"], "timing": result["timing"]["table"], "reliability": {}, "slices": []}
    assert {"Ranking", "Our lead", "Timing"} <= set(read(evaluation_page(flat)).headings)


def test_pictures_stand_alone_as_xml(result: dict[str, Any]) -> None:
    found = pictures(result)
    assert set(found) == {"gain-by-slice", "ndcg-by-week", "reliability", "importance"}
    assert "TIFU-KNN" in found["gain-by-slice"][0]
    for _, drawn in found.values():
        kind, _, coded = as_data_uri(drawn).partition(",")
        assert kind == "data:image/svg+xml;base64"
        root = ElementTree.fromstring(base64.b64decode(coded))
        assert root.tag.endswith("svg") and root.get("aria-label")
    assert pictures({}) == {}


def test_dots_stand_where_their_values_are() -> None:
    marks = [Mark("a", 0.1, 0.05, 0.15), Mark("b", 0.2), Mark("c", 0.3, tone="ours", group="g")]
    drawn = ElementTree.fromstring(interval_chart(marks, "t", reference=0.0))
    dots = [float(dot.get("cx", 0)) for dot in drawn.iter("{http://www.w3.org/2000/svg}circle")]
    assert dots[1] - dots[0] == pytest.approx(dots[2] - dots[1], abs=0.11)
    left, right = (
        float(whisker.get(end, 0))
        for whisker in drawn.iter("{http://www.w3.org/2000/svg}line")
        if whisker.get("class") == "plain whisker"
        for end in ("x1", "x2")
    )
    assert left < dots[0] < right


def test_pictures_without_data_are_left_out() -> None:
    assert interval_chart([], "t") == interval_chart([Mark("a", float("nan"))], "t") == ""
    assert bar_chart([], "t") == bar_chart([("a", 0.0)], "t") == ""
    assert line_chart([], {}, "t") == line_chart(["x"], {"a": [None]}, "t") == ""
    assert reliability_chart({}, "t") == reliability_chart({"a": []}, "t") == ""


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.02, 0.04), (5.0, 5.0), (0.0, 0.0), (1e-7, 3e-7)])
def test_ticks_span_the_values_with_few_round_numbers(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert ticks[0] <= low + 1e-9 and ticks[-1] >= high - 1e-9
    assert len({json.dumps(tick) for tick in ticks}) == len(ticks)
