"""Where commands write: results to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 160


def console() -> Console:
    """The console of results; wide when nobody watches, so that a pipe gets whole lines."""
    return _console(stderr=False)


def progress_console() -> Console:
    """The console of progress."""
    return _console(stderr=True)


def print_json(value: Any) -> None:
    """Nothing; writes one JSON document to stdout; times become ISO 8601."""
    json.dump(value, sys.stdout, default=_as_json, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table with numbers to the right; nothing in it is read as markup."""
    listed = [list(row) for row in rows]
    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, name in enumerate(columns):
        numeric = bool(listed) and all(isinstance(row[index], int | float | None) for row in listed)
        grid.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        grid.add_row(*(Text(cell_text(value)) for value in row))
    return grid


def who_am_i() -> str:
    """The person at the terminal, for the record."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def cell_text(value: Any) -> str:
    """A value as a table shows it.

    Examples:
        >>> cell_text(1469307), cell_text(0.25691), cell_text(None), cell_text({"a": 1})
        ('1,469,307', '0.2569', '', '{"a": 1}')
    """
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}" if abs(value) < 1 else f"{value:,.4f}".rstrip("0").rstrip(".")
        case Mapping() | list() | tuple():
            return json.dumps(value, default=_as_json, ensure_ascii=False)
        case _:
            return str(value)


def _console(stderr: bool) -> Console:
    found = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=_PIPE_WIDTH)


def _as_json(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
