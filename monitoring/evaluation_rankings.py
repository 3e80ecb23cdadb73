"""Sections of the evaluation page on rankings: models, leads, ablations, slices, the backtest and beyond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitoring.charts import interval_chart, line_chart
from monitoring.evaluation_contest import METRIC, Contest, Result, mark_of, mean_of
from monitoring.page_parts import Section, folded, interval, picture, table

_MEASURES = {
    "coverage": "catalogue shown",
    "gini": "Gini of exposure",
    "diversity": "pairs of other categories",
    "novelty_bits": "novelty, bits",
    "popularity_percentile": "place by popularity",
    "users_reach": "users who know the item",
    "new_to_user": "new to the user",
}


def models_section(contest: Contest) -> Section:
    """Every ranking's NDCG@10 with its interval, best first, and all metrics as a table."""
    names = sorted(contest.models, key=lambda name: -mean_of(contest.models[name]))
    marks = [
        mark_of(name, contest.models[name].get(METRIC), "ours" if name == contest.ours else "plain")
        for name in names
    ]
    metrics = [
        name
        for name, value in (contest.models[names[0]] if names else {}).items()
        if isinstance(value, Mapping)
    ]
    rows = [
        [
            name,
            *(interval(contest.models[name].get(metric) or {}) for metric in metrics),
            contest.models[name].get("coverage@10"),
        ]
        for name in names
    ]
    drawn = interval_chart(
        [mark for mark in marks if mark], "NDCG@10 of every ranking, with 95 % intervals", digits=4
    )
    return Section(
        "models",
        "Ranking",
        picture(drawn, "NDCG@10 on the test queries; whiskers are 95 % intervals over users.")
        + folded("Every metric", table(["ranking", *metrics, "coverage@10"], rows, contest.ours)),
        "How well each ranking orders the items that were then bought.",
    )


def lead_section(contest: Contest) -> Section:
    """Our lead over every other ranking, on the same resamples of users."""
    names = sorted(contest.leads, key=lambda name: mean_of(contest.leads[name]))
    marks = [mark_of(name, contest.leads[name].get(METRIC), "lead") for name in names]
    drawn = interval_chart(
        [mark for mark in marks if mark], "Our lead in NDCG@10 over every other ranking", 0.0, 4, signed=True
    )
    caption = (
        "Right of the dashed line we are ahead. Grey: the interval holds 0, so neither is shown to be better."
    )
    return Section(
        "leads",
        "Our lead",
        picture(drawn, caption),
        "Ours minus theirs, paired: both rank the same queries of the same resampled users.",
    )


def ablation_section(contest: Contest, result: Result) -> Section:
    """What each kind of context adds."""
    order = [name for name in (result.get("ablations") or ()) if name in contest.models]
    names = order or [*contest.ablations, *([contest.ours] if contest.ablations else [])]
    marks = [
        mark_of(name, contest.models[name].get(METRIC), "ours" if name == contest.ours else "plain")
        for name in names
    ]
    drawn = interval_chart([mark for mark in marks if mark], "NDCG@10 with each kind of context", digits=4)
    return Section(
        "ablations",
        "What context adds",
        picture(drawn) if len(names) > 1 else "",
        "The same ranker, candidates and queries; only the columns it may see differ.",
    )


def slices_section(contest: Contest, result: Result) -> Section:
    """Our lead in every slice of the queries."""
    return Section(
        "slices",
        "By kind of query",
        _slices(contest, result.get("slices") or ()),
        "Where the lead comes from, and where it does not hold. Few queries make wide intervals.",
    )


def targets_section(contest: Contest, result: Result) -> Section:
    """Our lead in every slice of the targets."""
    return Section(
        "targets",
        "By kind of item",
        _slices(contest, result.get("target_slices") or ()),
        "Of the items that were bought: the share found among the first 20, by what kind of item it is.",
    )


def cold_section(contest: Contest, result: Result) -> Section:
    """Users about whom little is known."""
    return Section(
        "cold",
        "Cold start",
        _slices(contest, result.get("cold_start") or ()),
        "Queries of users with few earlier baskets, down to none, measured apart from the contest above.",
    )


def backtest_section(contest: Contest, result: Result) -> Section:
    """NDCG@10 origin by origin, and how steady the lead is."""
    found = result.get("backtest") or {}
    leads = found.get("leads") or {}
    rows = [
        [
            name,
            f"{lead['won']} of {lead['origins']}",
            f"{lead['won_clearly']} of {lead['origins']}",
            *(f"{lead[key]:+.4f}" for key in ("mean", "lowest", "highest")),
            float(lead["spread"]),
        ]
        for name, lead in leads.items()
    ]
    heads = ["our lead over", "won", "won clearly", "mean", "lowest", "highest", "spread"]
    origins = found.get("origins") or ()
    names = _names_of_origins(contest, found)
    by_origin = [
        [
            origin["origin"],
            int(origin["queries"]),
            *(interval(origin["models"].get(name) or {}) for name in names),
        ]
        for origin in origins
    ]
    return Section(
        "backtest",
        "Week by week",
        picture(
            origins_chart(contest, result),
            "Each point is a stretch of queries ranked by models that knew nothing later than its date; "
            "the band is our 95 % interval.",
        )
        + table(heads, rows)
        + folded("Every origin", table(["origin", "queries", *names], by_origin)),
        "One test period can flatter by luck: the same contest, from one origin after another.",
    )


def origins_chart(contest: Contest, result: Result) -> str:
    """NDCG@10 of every ranking from each origin of the backtest; '' without one."""
    found = result.get("backtest") or {}
    origins = found.get("origins") or ()
    steps = [str(origin["origin"]) for origin in origins]
    series = {
        name: [mark_of(step, origin["models"].get(name)) for step, origin in zip(steps, origins, strict=True)]
        for name in _names_of_origins(contest, found)
    }
    return line_chart(steps, series, "NDCG@10 from each origin")


def slices_chart(found: Sequence[Mapping[str, Any]], baseline: str) -> str:
    """Our lead over the baseline in every slice; '' without any."""
    marks = [
        mark_of(
            str(row["value"]),
            row["leads"].get(baseline),
            "lead",
            note=f"{int(row['rows']):,}",
            group=str(row["dimension"]).capitalize(),
        )
        for row in found
    ]
    return interval_chart(
        [mark for mark in marks if mark], f"Our lead over {baseline} by slice", 0.0, signed=True
    )


def slice_baselines(contest: Contest, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whom the slices compare us with, the strongest peer first."""
    names = dict.fromkeys(name for row in found for name in row["leads"])
    return sorted(names, key=lambda name: name != contest.strongest)


def beyond_section(contest: Contest, result: Result) -> Section:
    """Coverage, diversity, novelty and popularity bias."""
    found = result.get("beyond_accuracy") or ()
    if not found:
        return Section("beyond", "Beyond accuracy", "")
    names = [name for name in _MEASURES if any(name in row["measures"] for row in found)]
    rows = [
        [row["model"], *(interval(row["measures"].get(name) or {}, 3) for name in names)] for row in found
    ]
    words = (
        "Lists are the first ten. Place by popularity: 0 the most popular item, 1 the least. Novelty: bits "
        "of surprise in an item, by how many users know it. The last row is what users bought: the yardstick."
    )
    return Section(
        "beyond",
        "Beyond accuracy",
        table(["ranking", *(_MEASURES[name] for name in names)], rows, contest.ours)
        + f"<p class='lead'>{words}</p>",
        "Whether only the popular is shown, how varied the lists are, and how much of the shop anyone sees.",
    )


def _slices(contest: Contest, found: Sequence[Mapping[str, Any]]) -> str:
    """A picture a baseline and a table with every number; '' without slices."""
    baselines = slice_baselines(contest, found)[:2]
    metric = str(found[0]["metric"]).replace("ndcg", "NDCG") if found else ""
    body = "".join(
        picture(
            slices_chart(found, baseline),
            f"Our lead in {metric} over {baseline}; in brackets how many there are.",
        )
        for baseline in baselines
    )
    names = list(dict.fromkeys(name for row in found for name in row["models"]))
    rows = [
        [
            f"{row['dimension']}: {row['value']}",
            int(row["rows"]),
            int(row["users"]),
            *(interval(row["models"].get(name) or {}) for name in names),
            *(interval(row["ratios"].get(name) or {}, 3) for name in baselines),
        ]
        for row in found
    ]
    heads = ["slice", "rows", "users", *names, *(f"ours over {name}" for name in baselines)]
    return body + folded("Every number", table(heads, rows))


def _names_of_origins(contest: Contest, found: Mapping[str, Any]) -> list[str]:
    ours = str(found.get("ours") or contest.ours)
    return list(
        dict.fromkeys([ours, *(name for one in found.get("origins") or () for name in one["models"])])
    )
