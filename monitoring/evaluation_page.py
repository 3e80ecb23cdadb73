"""The evaluation as one page that opens offline: headline numbers, pictures and every table behind them.

Takes what the ranking benchmark or a training run wrote. Every part is optional: a missing key leaves its
section out, so the page of a small source is short and not broken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitoring.evaluation_contest import Contest, Result, contest_of
from monitoring.evaluation_numbers import (
    importance_section,
    joint_section,
    method_section,
    peers_section,
    retrievers_section,
    themes_chart,
    timing_chart,
    timing_section,
)
from monitoring.evaluation_rankings import (
    ablation_section,
    backtest_section,
    beyond_section,
    cold_section,
    lead_section,
    models_section,
    origins_chart,
    slice_baselines,
    slices_chart,
    slices_section,
    targets_section,
)
from monitoring.page_parts import number, page, tiles


def evaluation_page(result: Result) -> str:
    """The whole HTML page of an evaluation.

    Args:
        result: What `ranking.json` or a model version's `evaluation.json` holds; every key is optional.
            'title', 'subtitle': Of the page. 'targets': key -> {"bound", "least": whether it is a lower
            bound}, where keys are those of the headline tiles, such as 'ndcg10' or 'peer_ratio.ratio', or
            of the ends of their intervals, such as 'peer_ratio.low'.

    Examples:
        >>> evaluation_page({})[:15]
        '<!DOCTYPE html>'
    """
    contest = contest_of(result)
    sections = [
        models_section(contest),
        lead_section(contest),
        ablation_section(contest, result),
        slices_section(contest, result),
        targets_section(contest, result),
        cold_section(contest, result),
        backtest_section(contest, result),
        beyond_section(contest, result),
        retrievers_section(result),
        timing_section(result),
        joint_section(result),
        importance_section(result),
        peers_section(result),
        method_section(result),
    ]
    title = str(result.get("title") or "Ranking and timing, evaluated")
    return page(title, str(result.get("subtitle") or _subtitle(contest, result)), headline(result), sections)


def pictures(result: Result) -> dict[str, tuple[str, str]]:
    """The pictures worth showing alone: name -> (what it shows, SVG); those without data are left out.

    Names are lower case with dashes: 'gain-by-slice', 'ndcg-by-week', 'reliability', 'importance'.
    """
    contest = contest_of(result)
    slices = result.get("slices") or ()
    baseline = next(iter(slice_baselines(contest, slices)), "")
    drawn = {
        "gain-by-slice": (f"our lead over {baseline} by kind of query", slices_chart(slices, baseline)),
        "ndcg-by-week": ("NDCG@10 from one origin after another", origins_chart(contest, result)),
        "reliability": ("stated chances of engaging against what happened", timing_chart(result)),
        "importance": ("what decides the rankings", themes_chart(result)),
    }
    return {name: told for name, told in drawn.items() if told[1]}


def headline(result: Result) -> str:
    """The numbers that come first, with their targets where there are any."""
    targets = result.get("targets") or {}
    shown = []
    for key, name, digits, remark in _HEADLINES:
        value = found(result, key)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            continue
        bounds = [_bound(result, targets, one) for one in (key, *_ends_of(key))]
        told = [bound for bound in bounds if bound is not None]
        met = all(bound[0] for bound in told) if told else None
        words = "; ".join([*(bound[1] for bound in told), _interval_words(result, key) or remark])
        shown.append((name, number(float(value), digits), words, met))
    return tiles(shown)


_HEADLINES: Sequence[tuple[str, str, int, str]] = (
    ("ndcg10", "NDCG@10", 4, "order of the first ten"),
    ("recall20", "Recall@20", 4, "of what was bought, among 20"),
    ("peer_ratio.ratio", "Over the strongest peer", 3, ""),
    ("context_uplift.ratio", "Context over none", 3, ""),
    ("candidate_recall200", "Candidate recall", 3, "targets among the best 200"),
    ("candidate_recall", "Candidate recall, all", 3, "targets among all candidates"),
    ("timing.logloss_ratio", "Timing log-loss", 3, "to the user's histogram"),
    ("timing.ece", "Timing calibration error", 4, "mean gap of said and happened"),
    ("joint.hit_ratio", "Joint plan hits", 3, ""),
    ("wall_seconds", "Benchmark, seconds", 0, "peers included"),
    ("peak_gb", "Benchmark, GB", 1, "at its peak"),
    ("own_wall_seconds", "Own training, seconds", 0, "features, candidates, fit"),
    ("own_peak_gb", "Own training, GB", 1, "at its peak"),
)


def _ends_of(key: str) -> tuple[str, ...]:
    """Keys under which the ends of a number's interval may have bounds of their own."""
    parent, _, leaf = key.rpartition(".")
    return (
        (f"{parent}.low", f"{parent}.high", f"{key}_low", f"{key}_high") if parent and leaf != "ece" else ()
    )


def _bound(result: Result, targets: Mapping[str, Any], key: str) -> tuple[bool, str] | None:
    """(whether the number keeps its bound, the bound in words); None without a bound or a number."""
    target, value = targets.get(key), found(result, key)
    if not isinstance(target, Mapping) or not isinstance(value, (int, float)):
        return None
    least, bound = bool(target.get("least", True)), float(target["bound"])
    end = next((f"{end} end " for end in ("low", "high") if key.endswith(end)), "")
    return (value >= bound if least else value <= bound), f"{end}at {'least' if least else 'most'} {bound:g}"


def found(result: Result, key: str) -> Any:
    """The value under a dotted key; of an object by model, that of ours.

    Examples:
        >>> found({"ndcg10": {"kairos": 0.28, "peer": 0.25}}, "ndcg10"), found({}, "a.b")
        (0.28, None)
    """
    value: Any = result
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value.get("kairos") if isinstance(value, Mapping) else value


def _interval_words(result: Result, key: str) -> str:
    """The interval beside a ratio, and whom it is over."""
    parent, _, leaf = key.rpartition(".")
    around = result.get(parent)
    if not parent or not isinstance(around, Mapping):
        return ""
    low, high = around.get(f"{leaf}_low", around.get("low")), around.get(f"{leaf}_high", around.get("high"))
    if leaf in ("ece",) or not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
        return ""
    peer = f" over {around['peer']}" if "peer" in around else ""
    return f"[{low:.3f}, {high:.3f}]{peer}"


def _subtitle(contest: Contest, result: Result) -> str:
    facts = []
    if contest.n_queries:
        facts.append(f"{contest.n_queries:,} queries of {contest.n_users:,} users")
    if contest.targets_per_query:
        facts.append(f"{contest.targets_per_query:.1f} targets each")
    for name in ("source", "made_at"):
        if result.get(name):
            facts.append(f"{name.replace('_', ' ')} {result[name]}")
    return "; ".join(facts)
