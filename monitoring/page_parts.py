"""What report pages are made of: sections, tables, tiles and the style sheet, all inside the one file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite

from monitoring.chart_parts import CHART_RULES, DARK, LIGHT


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        anchor: Its address within the page.
        title: Its heading.
        body: HTML; a section without any is left out.
        lead: One plain sentence on how to read it.
    """

    anchor: str
    title: str
    body: str
    lead: str = ""


def page(title: str, subtitle: str, top: str, sections: Sequence[Section]) -> str:
    """A whole HTML page that needs nothing but itself; sections without a body are left out.

    Examples:
        >>> "two" in page("one", "", "", [Section("a", "two", "")])
        False
    """
    shown = [section for section in sections if section.body]
    links = "".join(f'<a href="#{section.anchor}">{escape(section.title)}</a>' for section in shown)
    body = "".join(
        f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>'
        + (f'<p class="lead">{escape(section.lead)}</p>' if section.lead else "")
        + f"{section.body}</section>"
        for section in shown
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_style()}</style></head><body>"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p>{top}</header>"
        f"<nav>{links}</nav><main>{body}</main></body></html>\n"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], strong: object = None) -> str:
    """A table whose first column names the rows; '' without rows.

    Args:
        columns: Headings.
        rows: Cells; numbers are set to the right and missing ones shown as a dash.
        strong: First cell of the row to stress.
    """
    lines, texts = [], set()
    for row in rows:
        texts |= {place for place, cell in enumerate(row) if place and "class=t" in _cell(cell)}
        cells = "".join(
            f"<th scope='row'>{escape(str(cell))}</th>" if place == 0 else _cell(cell)
            for place, cell in enumerate(row)
        )
        lines.append(f"<tr{' class=strong' if strong is not None and row[0] == strong else ''}>{cells}</tr>")
    if not lines:
        return ""
    heads = "".join(
        f"<th scope='col'{' class=t' if place in texts else ''}>{escape(name)}</th>"
        for place, name in enumerate(columns)
    )
    body = f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f"<div class='wide'><table>{body}</table></div>"


def tiles(facts: Iterable[tuple[str, str, str, bool | None]]) -> str:
    """Headline numbers; '' without any.

    Args:
        facts: (name, value, remark, whether a target is met; None without a target).
    """
    shown = []
    for name, value, remark, met in facts:
        kind = "" if met is None else " met" if met else " missed"
        word = "" if met is None else f"<b>{'met' if met else 'missed'}</b> "
        shown.append(
            f"<div class='tile{kind}'><span>{escape(name)}</span><strong>{escape(value)}</strong>"
            f"<small>{word}{escape(remark)}</small></div>"
        )
    return f"<div class='tiles'>{''.join(shown)}</div>" if shown else ""


def picture(drawn: str, caption: str = "") -> str:
    """A picture with what it shows; '' without a picture."""
    if not drawn:
        return ""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure><div class='wide'>{drawn}</div>{words}</figure>"


def folded(summary: str, body: str) -> str:
    """A part that opens on request; '' without a body."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>" if body else ""


def number(value: object, digits: int = 4, signed: bool = False) -> str:
    """The value as people read it; a dash where it is missing or no number.

    Examples:
        >>> number(0.25361), number(None), number(0.01, 3, signed=True)
        ('0.2536', '–', '+0.010')
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return "–"
    return f"{value:{'+' if signed else ''}.{digits}f}"


def interval(found: Mapping[str, object], digits: int = 4, signed: bool = False) -> str:
    """{mean, low, high} as '0.25 [0.24, 0.26]'; the interval is left out where there is none."""
    mean = number(found.get("mean"), digits, signed)
    low, high = number(found.get("low"), digits, signed), number(found.get("high"), digits, signed)
    return mean if "–" in (low, high) else f"{mean} [{low}, {high}]"


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return "<td>–</td>"
    if isinstance(value, bool):
        return f"<td>{'yes' if value else 'no'}</td>"
    if isinstance(value, int):
        return f"<td>{value:,}</td>"
    if isinstance(value, float):
        return f"<td>{value:.4f}</td>"
    words = escape(str(value))
    # What begins like a number is one, with its interval: to the right, as the others of its column.
    return f"<td>{words}</td>" if words[:1] in "0123456789+-–" else f"<td class=t>{words}</td>"


def _style() -> str:
    light = ";".join(f"--{name}:{value}" for name, value in LIGHT.items())
    dark = ";".join(f"--{name}:{value}" for name, value in DARK.items())
    return (
        f":root{{{light};color-scheme:light dark}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"{_RULES}{CHART_RULES}"
    )


_RULES = """
*{box-sizing:border-box} html{scroll-behavior:smooth;scroll-padding-top:4.6rem}
body{margin:0;background:var(--back);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main{max-width:1080px;margin:0 auto;padding:1.2rem 1.2rem 0} main{padding-bottom:4rem}
h1{font-size:1.7rem;margin:.4rem 0 0} h2{font-size:1.2rem;margin:0 0 .3rem}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
header p,.lead,figcaption,small{color:var(--soft);margin:.1rem 0 .8rem;max-width:75ch}
nav{background:var(--back);border-bottom:1px solid var(--line);
display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;padding:.6rem max(1.2rem,calc(50vw - 540px + 1.2rem));
white-space:nowrap;z-index:1}
nav a{color:var(--soft);text-decoration:none}
nav a:hover,nav a:focus{color:var(--ours);text-decoration:underline}
section{border:1px solid var(--line);border-radius:10px;padding:1.1rem 1.2rem;margin:1.1rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(165px,1fr));gap:.7rem;margin:.8rem 0}
.tile{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--line);
border-radius:8px;padding:.6rem .8rem;display:flex;flex-direction:column}
.tile span{color:var(--soft);font-size:.85rem}
.tile strong{font-size:1.45rem;font-variant-numeric:tabular-nums}
.tile small{margin:0;font-size:.8rem} .tile.met{border-left-color:var(--better)}
.tile.missed{border-left-color:var(--worse)}
figure{margin:.6rem 0} figcaption{font-size:.88rem;margin:.4rem 0 0} .wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem;margin:.6rem 0}
th,td{padding:.32rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td.t,th.t{text-align:left} tbody th{font-weight:400}
thead th{color:var(--soft);font-weight:600}
tr.strong th,tr.strong td{font-weight:650;color:var(--ours)} tbody tr:hover{background:var(--card)}
details{margin:.6rem 0} summary{cursor:pointer;color:var(--ours)} ul{margin:.3rem 0;padding-left:1.2rem}
@media(min-width:900px) and (min-height:600px){nav{position:sticky;top:0}}
@media print{nav{display:none} details{display:block} section{break-inside:avoid}}
"""
