"""An experiment as one page that opens offline: the decision and why, the effect over time, who saw what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from monitoring.chart_parts import Mark, Tone
from monitoring.charts import interval_chart, line_chart
from monitoring.experiments.design import Design
from monitoring.page_parts import Section, number, page, picture, table, tiles

Told = Mapping[str, Any]
_TONES: Mapping[str, Tone] = {"better": "better", "safe": "better", "worse": "worse", "harm": "worse"}


def experiment_page(
    design: Design, status: str, readouts: Sequence[Told], events: Sequence[Told], source: str
) -> str:
    """The whole HTML page.

    Args:
        readouts: What `as_json.readout_as_json` told, the oldest first, each with 'arms': (arm, plans,
            assigned, found, pushes, sent), one entry an arm.
        events: (at, what, who, why) of everything that was done to it.
        source: What its data is.
    """
    last = readouts[-1] if readouts else None
    sections = [
        Section("decision", "Decision", _decision(last)),
        Section(
            "effect",
            "The effect over time",
            _over_time(design, readouts),
            "Treatment minus control, with the interval that was honest on that day.",
        ),
        Section("looks", "Planned looks", _looks(design, readouts), "Only these decide."),
        Section("metrics", "All metrics", _metrics(last), "As of the newest readout."),
        Section("arms", "Who saw what", _arms(last), _mismatch(last)),
        Section(
            "slices",
            "Exploration",
            _slices(last),
            "Nobody declared these comparisons: they prove nothing, at best they are worth an experiment.",
        ),
        Section("design", "The design", _design(design)),
        Section("record", "Record", _record(events)),
        Section("notes", "How it was measured", _notes(last)),
    ]
    subtitle = f"{design.hypothesis} ({design.owner}; {source})"
    return page(f"Experiment {design.split.name}", subtitle, _headline(design, status, last), sections)


def _headline(design: Design, status: str, last: Told | None) -> str:
    facts: list[tuple[str, str, str, bool | None]] = [("State", status, f"owner {design.owner}", None)]
    if last is not None:
        facts.append(("Decision", last["decision"], last["winner"] or "", None))
        facts.append(("Planned units", f"{last['information']:.0%}", "whose window is over", None))
        for one in last["effects"]:
            if one["role"] == "primary":
                facts.append((f"{one['metric']}: {one['arm']}", _lift(one), "relative to control", None))
        facts.append(
            ("Arms' users", "mismatch" if last["mismatch"]["is_mismatch"] else "as expected", "", None)
        )
    return tiles(facts)


def _decision(last: Told | None) -> str:
    if last is None:
        return "<p>No readout yet.</p>"
    reasons = "".join(f"<li>{escape(why)}</li>" for why in last["reasons"])
    winner = f": {escape(last['winner'])}" if last["winner"] else ""
    return f"<p><strong>{escape(last['decision'])}{winner}</strong> as of {_day(last)}</p><ul>{reasons}</ul>"


def _over_time(design: Design, readouts: Sequence[Told]) -> str:
    shown = [one for one in readouts if one["effects"]]
    series: dict[str, list[Mark | None]] = {}
    for arm in design.treatments:
        found = [_effect(one, design.primary.name, arm.name) for one in shown]
        series[arm.name] = [
            None if one is None else Mark(_day(told), one["effect"], one["low"], one["high"])
            for one, told in zip(found, shown, strict=True)
        ]
    drawn = line_chart([_day(one) for one in shown], series, f"{design.primary.name} over time", 4)
    return picture(drawn, f"{design.primary.name}, treatment minus control")


def _looks(design: Design, readouts: Sequence[Told]) -> str:
    rows = []
    for told in readouts:
        look = told["look"]
        for row in look["rows"] if look else ():
            effect = _effect(told, row["metric"], row["arm"])
            if row["metric"] == design.primary.name and effect is not None:
                rows.append(
                    (
                        f"look {look['number']}, {_day(told)}",
                        row["arm"],
                        f"{row['information']:.0%}",
                        number(row["effect"], 4, signed=True),
                        number(abs(row["effect"] / row["error"]), 2),
                        number(effect["boundary"], 2),
                        told["decision"],
                    )
                )
    return table(("look", "arm", "of planned", "effect", "|z|", "boundary", "decision"), rows)


def _metrics(last: Told | None) -> str:
    effects = last["effects"] if last is not None else ()
    marks = [
        Mark(
            f"{one['metric']}: {one['arm']}",
            one["effect"] / one["control_mean"],
            None if one["low"] is None else one["low"] / one["control_mean"],
            None if one["high"] is None else one["high"] / one["control_mean"],
            _TONES.get(one["verdict"], "plain"),
            one["verdict"],
            one["role"],
        )
        for one in effects
        if one["control_mean"]
    ]
    drawn = interval_chart(marks, "effects relative to control", 0.0, 3, signed=True)
    rows = [
        (
            f"{one['metric']} ({one['role']})",
            one["arm"],
            f"{one['units'][0]:,} / {one['units'][1]:,}",
            number(one["control_mean"]),
            number(one["effect"], 4, signed=True),
            f"{number(one['low'], 4, signed=True)} .. {number(one['high'], 4, signed=True)}",
            one["interval"],
            number(one["p_value"], 3),
            number(one["variance_cut"], 2),
            one["verdict"],
        )
        for one in effects
    ]
    columns = ("metric", "arm", "units", "control", "effect", "interval", "kind", "p", "CUPED cut", "verdict")
    return picture(drawn, "relative to the control's mean") + table(columns, rows)


def _arms(last: Told | None) -> str:
    rows = [
        (one["arm"], one["plans"], one["assigned"], one["found"], one["pushes"], one["sent"])
        for one in (last["arms"] if last is not None else ())
    ]
    return table(("arm", "plans", "assigned", "found in the data", "first pushes", "of them sent"), rows)


def _mismatch(last: Told | None) -> str:
    return "" if last is None else last["mismatch"]["words"]


def _slices(last: Told | None) -> str:
    rows = [
        (
            f"{one['column']} {one['value']}",
            one["arm"],
            f"{one['units'][0]:,} / {one['units'][1]:,}",
            number(one["effect"], 4, signed=True),
            f"{number(one['low'], 4, signed=True)} .. {number(one['high'], 4, signed=True)}",
            number(one["differ_p"], 3),
        )
        for one in (last.get("slices", ()) if last is not None else ())
    ]
    return table(("slice", "arm", "units", "effect", "interval of all together", "p they differ"), rows)


def _design(design: Design) -> str:
    guards = ", ".join(f"{one.metric.name} by {one.tolerance:g}" for one in design.guardrails) or "none"
    rows = [
        ("users", f"{design.split.share:.1%}, places {design.split.starts_at:g} to {design.split.ends_at:g}"),
        ("from, to", f"{design.starts_at:%Y-%m-%d}, {design.ends_at:%Y-%m-%d}"),
        ("looks after days", ", ".join(map(str, design.look_days))),
        ("decides", design.primary.name),
        ("told beside it", ", ".join(one.name for one in design.secondaries) or "none"),
        ("must not get worse", guards),
        ("smallest effect", f"{design.mde_relative:.1%} of control, with power {design.power:.0%}"),
        ("planned units", f"{design.planned_units:,.0f}"),
        ("window", f"{design.window_days:g} days, and {design.settling_days:g} for late events"),
        ("alpha, spending", f"{design.alpha:g}, {design.spending}"),
    ]
    return table(("", "as declared"), rows)


def _record(events: Sequence[Told]) -> str:
    rows = [(f"{one['at']:%Y-%m-%d %H:%M} UTC", one["what"], one["who"], one["why"]) for one in events]
    return table(("when", "what", "by", "why"), rows)


def _notes(last: Told | None) -> str:
    notes = last["notes"] if last is not None else ()
    return f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>" if notes else ""


def _effect(told: Told, metric: str, arm: str) -> Told | None:
    return next((one for one in told["effects"] if (one["metric"], one["arm"]) == (metric, arm)), None)


def _lift(one: Told) -> str:
    return f"{one['effect'] / one['control_mean']:+.1%}" if one["control_mean"] else "–"


def _day(told: Told) -> str:
    return str(told["as_of"])[:10]
