"""Pictures as inline SVG, drawn from numbers alone: no script, no font and no file is ever fetched.

Source: Cleveland and McGill (1984), Graphical perception: positions on a common scale read best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from math import ceil, isfinite

from monitoring.chart_parts import Mark, Scale, Tone, label_at, nice_ticks, short, svg, tick_at, words_of

_WIDTH, _LABELS, _VALUES, _ROW, _TOP = 960, 300, 170, 22, 30
_SERIES: tuple[Tone, ...] = ("ours", "plain", "worse")
_DASHES = ("", "", "", "6 3", "2 3", "8 3 2 3")


def interval_chart(
    marks: Sequence[Mark], title: str, reference: float | None = None, digits: int = 3, signed: bool = False
) -> str:
    """Dots with whiskers, one row a mark, in the order given; '' without any.

    Args:
        marks: What to draw; a group's marks stand together.
        title: What a person who cannot see it is told.
        reference: Where a dashed rule stands, such as 0 for no difference.
        digits: Decimals of the values.
        signed: Whether values carry their sign.
    """
    marks = [mark for mark in marks if isfinite(mark.mean)]
    if not marks:
        return ""
    ends = [end for mark in marks for end in (mark.mean, mark.low, mark.high) if end is not None]
    ticks = nice_ticks(min([*ends, *_given(reference)]), max([*ends, *_given(reference)]))
    scale = Scale(ticks[0], ticks[-1], _LABELS, _WIDTH - _VALUES)
    body, y = [], _TOP
    for group, members in groupby(marks, key=lambda mark: mark.group):
        if group:
            body.append(f'<text x="0" y="{y + 15}" class="head">{escape(group)}</text>')
            y += _ROW
        for mark in members:
            body.append(_row(mark, y + _ROW / 2, scale, f"{'+' if signed else ''}.{digits}f"))
            y += _ROW
    grid = [
        f'<line class="grid" x1="{scale(tick):.1f}" y1="{_TOP - 6}" x2="{scale(tick):.1f}" y2="{y}"/>'
        + tick_at(scale(tick), _TOP - 12, tick, "middle")
        for tick in ticks
    ]
    if reference is not None:
        x = f"{scale(reference):.1f}"
        grid.append(f'<line class="rule" x1="{x}" y1="{_TOP - 6}" x2="{x}" y2="{y}"/>')
    return svg(_WIDTH, y + 6, title, [*grid, *body])


def bar_chart(rows: Sequence[tuple[str, float]], title: str, tone: Tone = "ours") -> str:
    """Shares as bars, one row each, in the order given; '' without any.

    Args:
        rows: (label, share); the longest fills the width.
        title: What a person who cannot see it is told.
        tone: Colour of the bars.
    """
    longest = max((share for _, share in rows), default=0.0)
    if longest <= 0:
        return ""
    room = _WIDTH - _LABELS - _VALUES
    body = []
    for place, (label, share) in enumerate(rows):
        y = place * _ROW
        long = max(room * share / longest, 1)
        body.append(
            f'{label_at(label, y + 15)}<rect class="{tone}" x="{_LABELS}" y="{y + 4}" width="{long:.1f}" '
            f'height="{_ROW - 8}" rx="2"/><text x="{_LABELS + long + 8:.1f}" y="{y + 15}">{share:.1%}</text>'
        )
    return svg(_WIDTH, len(rows) * _ROW + 4, title, body)


def line_chart(
    steps: Sequence[str], series: Mapping[str, Sequence[Mark | None]], title: str, digits: int = 3
) -> str:
    """A line with its interval for each series over the steps; '' without any.

    Args:
        steps: What the horizontal axis counts, by time.
        series: Name -> one mark a step, None where there is none; the first is ours.
        title: What a person who cannot see it is told.
        digits: Decimals of the values.
    """
    marks = [mark for one in series.values() for mark in one if mark is not None]
    if not marks or not steps:
        return ""
    ends = [end for mark in marks for end in (mark.mean, mark.low, mark.high) if end is not None]
    ticks = nice_ticks(min(ends), max(ends))
    height, left, right = 300, 56, _WIDTH - 210
    up = Scale(ticks[0], ticks[-1], height - 30, 16)
    along = Scale(0, max(len(steps) - 1, 1), left + 30, right - 30)
    body = [
        f'<line class="grid" x1="{left}" y1="{up(tick):.1f}" x2="{right}" y2="{up(tick):.1f}"/>'
        + tick_at(left - 8, up(tick) + 4, tick, "end")
        for tick in ticks
    ]
    skip = ceil(len(steps) / 7)
    body += [
        f'<text class="soft" x="{along(place):.1f}" y="{height - 10}" text-anchor="middle">'
        f"{escape(step)}</text>"
        for place, step in enumerate(steps)
        if place % skip == 0
    ]
    names = []
    for order, (name, one) in enumerate(series.items()):
        tone = _SERIES[min(order, 1)]
        dash = f' stroke-dasharray="{_DASHES[order % len(_DASHES)]}"' if order > 2 else ""
        points = [(along(place), mark) for place, mark in enumerate(one) if mark is not None]
        if not points:
            continue
        whole = [
            (x, mark.low, mark.high) for x, mark in points if mark.low is not None and mark.high is not None
        ]
        if order == 0 and len(whole) > 1:
            outline = [(x, high) for x, _, high in whole] + [(x, low) for x, low, _ in reversed(whole)]
            corners = " ".join(f"{x:.1f},{up(value):.1f}" for x, value in outline)
            body.append(f'<polygon class="{tone} band" points="{corners}"/>')
        path = " ".join(f"{x:.1f},{up(mark.mean):.1f}" for x, mark in points)
        body.append(f'<polyline class="{tone} path" points="{path}"{dash}/>')
        body += [
            f'<circle class="{tone}" cx="{x:.1f}" cy="{up(mark.mean):.1f}" r="3.5">'
            f"<title>{escape(name)}, {escape(mark.label)}: {words_of(mark, f'.{digits}f')}</title></circle>"
            for x, mark in points
        ]
        names.append((up(points[-1][1].mean), name, tone))
    body += list(_sidelabel_ats(names, right + 6))
    return svg(_WIDTH, height, title, body)


def reliability_chart(curves: Mapping[str, Sequence[Mapping[str, float]]], title: str) -> str:
    """What was said against what happened, a dot a bin, with the diagonal of honesty; '' without any.

    Args:
        curves: Name -> rows of {"stated", "observed"} and, where known, {"low", "high", "rows"}; the first
            is ours.
        title: What a person who cannot see it is told.
    """
    rows = [row for curve in curves.values() for row in curve]
    if not rows:
        return ""
    ticks = nice_ticks(0.0, max(max(row["stated"], row.get("high", row["observed"])) for row in rows))
    size, left = 380, 60
    across, up = Scale(0.0, ticks[-1], left, size - 10), Scale(0.0, ticks[-1], size - 50, 10)
    body = [
        f'<line class="grid" x1="{left}" y1="{up(tick):.1f}" x2="{size - 10}" y2="{up(tick):.1f}"/>'
        f'<line class="grid" x1="{across(tick):.1f}" y1="10" x2="{across(tick):.1f}" y2="{size - 50}"/>'
        + tick_at(left - 8, up(tick) + 4, tick, "end")
        + tick_at(across(tick), size - 32, tick, "middle")
        for tick in ticks
    ]
    body.append(f'<line class="rule" x1="{left}" y1="{size - 50}" x2="{size - 10}" y2="10"/>')
    body.append(f'<text x="{(left + size) / 2}" y="{size - 10}" text-anchor="middle">chance stated</text>')
    body.append(
        f'<text transform="translate(14 {size / 2 - 20}) rotate(-90)" text-anchor="middle">'
        "share that happened</text>"
    )
    for order, (name, curve) in enumerate(curves.items()):
        tone, y = _SERIES[min(order, len(_SERIES) - 1)], 30 + order * _ROW
        for row in curve:
            x = f"{across(row['stated']):.1f}"
            if "low" in row and "high" in row:
                body.append(
                    f'<line class="{tone} whisker" x1="{x}" y1="{up(row["low"]):.1f}" '
                    f'x2="{x}" y2="{up(row["high"]):.1f}"/>'
                )
            told = f"{name}: said {row['stated']:.1%}, happened {row['observed']:.1%}"
            told += f", {int(row['rows']):,} rows" if "rows" in row else ""
            body.append(
                f'<circle class="{tone}" cx="{x}" cy="{up(row["observed"]):.1f}" r="4">'
                f"<title>{escape(told)}</title></circle>"
            )
        path = " ".join(f"{across(row['stated']):.1f},{up(row['observed']):.1f}" for row in curve)
        body.append(f'<polyline class="{tone} path" points="{path}"/>')
        body.append(
            f'<rect class="{tone}" x="{size + 20}" y="{y - 9}" width="10" height="10" rx="2"/>'
            f'<text x="{size + 36}" y="{y}">{escape(short(name, 40))}</text>'
        )
    y = 30 + len(curves) * _ROW
    body.append(
        f'<line class="rule" x1="{size + 14}" y1="{y - 4}" x2="{size + 32}" y2="{y - 4}"/>'
        f'<text class="soft" x="{size + 36}" y="{y}">what is said, happens</text>'
    )
    return svg(_WIDTH, size, title, body)


def _row(mark: Mark, y: float, scale: Scale, form: str) -> str:
    told = f"<title>{escape(mark.label)}: {words_of(mark, form)}</title>"
    whisker = ""
    if mark.low is not None and mark.high is not None:
        whisker = (
            f'<line class="{mark.tone} whisker" x1="{scale(mark.low):.1f}" y1="{y}" '
            f'x2="{scale(mark.high):.1f}" y2="{y}"/>'
        )
    value = f"{mark.mean:{form}}" + (f"  ({mark.note})" if mark.note else "")
    return (
        f"<g>{told}{label_at(mark.label, y + 4, indent=14 if mark.group else 0)}{whisker}"
        f'<circle class="{mark.tone}" cx="{scale(mark.mean):.1f}" cy="{y}" r="4"/>'
        f'<text x="{_WIDTH - _VALUES + 16}" y="{y + 4}">{escape(value)}</text></g>'
    )


def _sidelabel_ats(names: Sequence[tuple[float, str, Tone]], x: float) -> Iterator[str]:
    """Names beside the ends of their lines, pushed apart so that none covers another."""
    lowest = -1e9
    for y, name, tone in sorted(names):
        lowest = max(y, lowest + 15)
        yield f'<text class="{tone}" x="{x}" y="{lowest + 4:.1f}">{escape(short(name, 32))}</text>'


def _given(value: float | None) -> list[float]:
    return [] if value is None else [value]
