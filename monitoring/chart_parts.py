"""What pictures are made of: colours, scales, round numbers, labels and the SVG around them.

Colours are classes, so that one page may restyle them for dark screens; `standalone` gives a picture its own.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Literal

Tone = Literal["ours", "plain", "better", "worse"]
LIGHT: Mapping[str, str] = {
    "ink": "#1f2328",
    "soft": "#59636e",
    "line": "#d1d9e0",
    "back": "#ffffff",
    "card": "#f6f8fa",
    "ours": "#0969da",
    "plain": "#818b98",
    "better": "#0969da",
    "worse": "#bc4c00",
}
DARK: Mapping[str, str] = {
    "ink": "#e6edf3",
    "soft": "#9198a1",
    "line": "#3d444d",
    "back": "#0d1117",
    "card": "#151b23",
    "ours": "#4493f8",
    "plain": "#8d96a0",
    "better": "#4493f8",
    "worse": "#f0883e",
}
CHART_RULES = """
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--ink)}
svg .soft{fill:var(--soft)} svg .head{font-weight:600}
svg .grid{stroke:var(--line);stroke-width:1} svg .rule{stroke:var(--soft);stroke-width:1;stroke-dasharray:4 3}
svg .ours,svg .better{fill:var(--ours);stroke:var(--ours)} svg .plain{fill:var(--plain);stroke:var(--plain)}
svg .worse{fill:var(--worse);stroke:var(--worse)} svg .whisker,svg .path{fill:none;stroke-width:2}
svg .band{stroke:none;opacity:.14} svg text.ours,svg text.plain,svg text.worse{stroke:none}
"""


@dataclass(frozen=True)
class Mark:
    """A value with its interval.

    Attributes:
        label: What it is of.
        mean, low, high: The value and its interval's ends; None without an interval.
        tone: How it is coloured.
        note: Shown with the value, such as the number of queries.
        group: Marks of one group stand together under its name.
    """

    label: str
    mean: float
    low: float | None = None
    high: float | None = None
    tone: Tone = "plain"
    note: str = ""
    group: str = ""


def standalone(picture: str) -> str:
    """The picture with its own light colours and background, to be shown away from any page."""
    start, tag, rest = picture.partition(">")
    colours = "svg{" + "".join(f"--{name}:{value};" for name, value in LIGHT.items()) + "}"
    style = f'<style>{colours}{CHART_RULES}</style><rect width="100%" height="100%" fill="{LIGHT["back"]}"/>'
    return start + tag + style + rest if picture else ""


def as_data_uri(picture: str) -> str:
    """The standalone picture as the address of an image.

    Examples:
        >>> as_data_uri(svg(9, 9, "nothing", []))[:26]
        'data:image/svg+xml;base64,'
    """
    return f"data:image/svg+xml;base64,{b64encode(standalone(picture).encode()).decode()}"


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that span [low, high], at least two.

    Examples:
        >>> nice_ticks(0.113, 0.27)
        [0.1, 0.15, 0.2, 0.25, 0.3]
        >>> nice_ticks(1.0, 1.0)
        [1.0, 1.2]
    """
    span = high - low if high > low else abs(high) or 1.0
    raw = span / about
    unit = 10.0 ** floor(log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw * 0.999)
    first = floor(low / step + 1e-9)
    last = max(ceil(high / step - 1e-9), first + 1)
    return [round(step * place, 10) for place in range(first, last + 1)]


@dataclass(frozen=True)
class Scale:
    """From values to pixels in a straight line.

    Attributes:
        low, high: Values at the ends.
        start, end: Pixels there.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def label_at(text: str, y: float, indent: int = 0) -> str:
    """A row's name at the left edge, shortened; whole when pointed at."""
    full = f"<title>{escape(text)}</title>" if len(text) > 46 else ""
    return f'<text x="{indent}" y="{y}">{escape(short(text, 46))}{full}</text>'


def short(text: str, most: int) -> str:
    """The text, cut where it is longer than `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def words_of(mark: Mark, form: str) -> str:
    """A mark's numbers in words, `form` as in a format string."""
    value = f"{mark.mean:{form}}"
    if mark.low is not None and mark.high is not None:
        value += f" [{mark.low:{form}}, {mark.high:{form}}]"
    return escape(value + (f", {mark.note}" if mark.note else ""))


def tick_at(x: float, y: float, value: float, anchor: Literal["middle", "end"]) -> str:
    """An axis's number."""
    return f'<text class="soft" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{value:g}</text>'


def svg(width: int, height: float, title: str, body: Sequence[str]) -> str:
    """The picture, with `title` for whoever cannot see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}">{"".join(body)}</svg>'
    )
