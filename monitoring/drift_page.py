"""The drift page: a summary that a person reads first, above Evidently's plots."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Row = tuple[str, str, float, float, str, bool, str]
_COLOURS = {"pass": "#1a7f37", "warn": "#9a6700", "fail": "#cf222e"}
_ORDER = {"fail": 0, "warn": 1, "pass": 2}


def page_with_summary(
    page: str, verdict: str, rows: Sequence[Row], rows_reference: int, rows_current: int
) -> str:
    """A whole HTML page: the verdict, a table of every check, worst first, then `page`.

    Args:
        page: Evidently's page, or ''.
        verdict: Of the report.
        rows: (column, method, value, threshold, verdict, gating, detail).
        rows_reference, rows_current: Rows of the frames, before sampling.

    Examples:
        >>> page_with_summary("<body>plots</body>", "pass", [], 10, 10).count("<table")
        1
    """
    cells = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(method)}</td><td>{value:.4f}</td><td>{threshold:g}</td>"
        f"<td style='color:{_COLOURS[found]}'>{found}</td><td>{'yes' if gating else 'no'}</td>"
        f"<td>{escape(detail)}</td></tr>"
        for name, method, value, threshold, found, gating, detail in sorted(
            rows, key=lambda row: (_ORDER[row[4]], row[0], row[1])
        )
    )
    summary = (
        "<section style='font-family:sans-serif;margin:1.5em'>"
        f"<h1>Drift: <span style='color:{_COLOURS[verdict]}'>{verdict}</span></h1>"
        f"<p>{rows_current:,} current rows against {rows_reference:,} reference rows.</p>"
        "<table cellpadding='4'><tr><th align='left'>column</th><th align='left'>method</th><th>value</th>"
        "<th>limit</th><th>verdict</th><th>gating</th><th align='left'>detail</th></tr>"
        f"{cells}</table></section>"
    )
    before, tag, after = page.partition("<body>")
    if not tag:
        return f"<!DOCTYPE html><html><head><meta charset='UTF-8'></head><body>{summary}{page}</body></html>"
    return before + tag + summary + after
