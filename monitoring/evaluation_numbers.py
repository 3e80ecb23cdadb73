"""Sections of the evaluation page beside the rankings: retrievers, timing, joint plan, importance, method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from models.importance import theme_shares
from monitoring.charts import bar_chart, reliability_chart
from monitoring.page_parts import Section, folded, picture, table

Result = Mapping[str, Any]
_FEATURES_SHOWN = 20


def retrievers_section(result: Result) -> Section:
    """What each retriever finds, and what only it finds."""
    return Section(
        "retrievers",
        "Retrievers",
        _rows_table(result.get("retrievers"), "retriever"),
        "The share of targets that each finds, and the share that only it finds at its budget.",
    )


def timing_section(result: Result) -> Section:
    """Whether the chance of engaging in a slot means what it says."""
    found = result.get("timing")
    rows = found if isinstance(found, Sequence) else None
    facts: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    rows = rows if rows is not None else facts.get("table") or facts.get("models")
    caption = (
        "Each dot holds about equally many user-days and slots, by stated chance; on the dashed line what "
        "was said is what happened. Whiskers are 95 % intervals that take rows as independent."
    )
    levels = facts.get("levels") or {}
    return Section(
        "timing",
        "Timing",
        picture(timing_chart(result), caption)
        + _rows_table(rows, "model")
        + _not_measured(facts)
        + folded(
            "How much is known of the user",
            table(["level", "count"], [[name, value] for name, value in levels.items()]),
        ),
        "The chance that a user engages in a slot: how sharp it is, and whether it means what it says.",
    )


def timing_chart(result: Result) -> str:
    """The reliability curve of the chances of engaging; '' without one."""
    found = result.get("timing")
    curves = found.get("reliability") if isinstance(found, Mapping) else None
    curves = curves or result.get("reliability") or {}
    if not isinstance(curves, Mapping):
        curves = {"ours": curves}
    return reliability_chart(curves, "Stated chances against what happened")


def joint_section(result: Result) -> Section:
    """One push a user-day: slot and items together."""
    found = result.get("joint") or {}
    rows = found.get("table") or found.get("plans") or found.get("models")
    if not rows:
        rows = [[name, value] for name, value in found.items() if isinstance(value, (int, float))]
        body = table(["measure", "value"], rows)
    else:
        body = _rows_table(rows, "plan")
    return Section(
        "joint",
        "Joint plan",
        body + _not_measured(found),
        "One push a day, planned at midnight: it hits when the user's basket starts within the slot or the "
        "four hours after it is sent and holds one of its five items.",
    )


def importance_section(result: Result) -> Section:
    """What decides the rankings, by theme and by feature."""
    rows = result.get("importance") or ()
    features = sorted(((str(row["feature"]), float(row["gain"])) for row in rows), key=lambda row: -row[1])
    return Section(
        "importance",
        "What decides",
        picture(
            themes_chart(result),
            "How much each theme moves the score."
            if result.get("themes")
            else "Each theme's part of what the ranker's trees gain by asking about it.",
        )
        + folded(
            f"The {min(_FEATURES_SHOWN, len(features))} most important features",
            picture(bar_chart(features[:_FEATURES_SHOWN], "Importance by feature", "plain")),
        ),
        "Across all rankings; the reasons of a single push are stored with its plan.",
    )


def themes_chart(result: Result) -> str:
    """How much each theme decides; '' where nothing tells."""
    themes = result.get("themes") or theme_shares(result.get("importance") or ())
    return bar_chart([(str(row["theme"]), float(row["share"])) for row in themes], "Importance by theme")


def peers_section(result: Result) -> Section:
    """The peers' hyper-parameters, tuned as ours are."""
    tuned = result.get("peers") or result.get("tuned") or {}
    if isinstance(tuned, Sequence):
        return Section("peers", "How peers were tuned", _rows_table(tuned, "peer"))
    facts = {
        name: value if isinstance(value, Mapping) else {"chosen": value} for name, value in tuned.items()
    }
    heads = list(dict.fromkeys(str(key) for value in facts.values() for key in value))
    rows = [[name, *(_plain(value.get(head)) for head in heads)] for name, value in facts.items()]
    return Section(
        "peers",
        "How peers were tuned",
        table(["peer", *(head.replace("_", " ") for head in heads)], rows),
        "On validation only, in the same run: an under-tuned peer would flatter us.",
    )


def method_section(result: Result) -> Section:
    """How it was measured, in the run's own words."""
    notes = "".join(f"<li>{escape(str(note))}</li>" for note in result.get("notes") or ())
    protocol = result.get("protocol") or {}
    report = result.get("report") or result
    params = report.get("params") or {}
    rows = [[str(name).replace("_", " "), _plain(value)] for name, value in {**protocol, **params}.items()]
    return Section(
        "method",
        "How it was measured",
        (f"<ul>{notes}</ul>" if notes else "") + folded("Protocol", table(["choice", "value"], rows)),
    )


def _not_measured(facts: Mapping[str, Any]) -> str:
    """Why there are no numbers."""
    told = facts.get("not_measured")
    return f"<p>Not measured: {escape(str(told))}</p>" if told else ""


def _rows_table(rows: Any, first: str) -> str:
    """Records as a table; of a mapping its keys name the rows; numbers beside texts, the rest left out."""
    if isinstance(rows, Mapping):
        rows = [{first: name, **value} for name, value in rows.items() if isinstance(value, Mapping)]
    records = [row for row in rows or () if isinstance(row, Mapping)]
    heads = list(dict.fromkeys(key for row in records for key in row))
    named = next((head for head in (first, "name", "model", "retriever") if head in heads), None)
    if named is not None:
        heads = [named, *(head for head in heads if head != named)]
    titles = [str(head).replace("_", " ") for head in heads]
    return table(titles, [[_plain(row.get(head)) for head in heads] for row in records])


def _plain(value: Any) -> Any:
    """A cell: numbers and texts as they are, an estimate in words, anything else as text."""
    if isinstance(value, Mapping):
        if {"mean", "low", "high"} <= value.keys():
            return f"{value['mean']:.4f} [{value['low']:.4f}, {value['high']:.4f}]"
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(str(_plain(inner)) for inner in value)
    return value
