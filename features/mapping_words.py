"""A source's mapping as people write it in `kairos.toml`, checked against the contracts.

>>> as_columns({"events": {"user_id": "customer", "event_id": ["order", "line"]}})
(('events', 'event_id', ('order', 'line')), ('events', 'user_id', ('customer',)))
>>> as_event_types({"sale": "purchase"})
(('sale', 'purchase'),)
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from features.contracts import CONTRACTS, EVENT_TYPES
from features.source_mapping import Columns, Constants, EventTypes, Tables


def as_tables(told: object) -> Tables:
    """The table names of `[tables]`.

    Raises:
        ValueError: Not a table of ours, or no name.
    """
    pairs = _pairs(told, "[tables]")
    for table, name in pairs.items():
        _known_table(table, f"[tables] {table}")
        _text(name, f"[tables] {table}")
    return tuple(sorted(pairs.items()))


def as_columns(told: object) -> Columns:
    """The columns of `[columns.TABLE]`: a name, or a list of names that are joined.

    Raises:
        ValueError: Not a table or column of ours, or no name.
    """
    found = []
    for table, ours, theirs in _by_table(told, "columns"):
        names = theirs if isinstance(theirs, Sequence) and not isinstance(theirs, str) else [theirs]
        if not names:
            raise ValueError(f"[columns.{table}] {ours} is an empty list; name a column of yours")
        found.append((table, ours, tuple(_text(name, f"[columns.{table}] {ours}") for name in names)))
    return tuple(found)


def as_constants(told: object) -> Constants:
    """The values of `[constants.TABLE]`.

    Raises:
        ValueError: Not a table or column of ours, no plain value, or no type of event.
    """
    found = []
    for table, ours, value in _by_table(told, "constants"):
        if not isinstance(value, str | bool | int | float):
            raise ValueError(
                f"[constants.{table}] {ours} is {value!r}, must be text, a number or true or false"
            )
        if ours == "event_type":
            _known_event_type(value, f"[constants.{table}] {ours}")
        found.append((table, ours, value))
    return tuple(found)


def as_event_types(told: object) -> EventTypes:
    """The translations of `[event_types]`.

    Raises:
        ValueError: No type of event of ours.
    """
    pairs = _pairs(told, "[event_types]")
    for theirs, ours in pairs.items():
        _known_event_type(ours, f"[event_types] {theirs}")
    return tuple(sorted(pairs.items()))


def _by_table(told: object, section: str) -> list[tuple[str, str, Any]]:
    """(table, column, value) of `[section.TABLE]`, each of the contracts."""
    found = []
    for table, values in sorted(_pairs(told, f"[{section}]").items()):
        _known_table(table, f"[{section}.{table}]")
        for column, value in sorted(_pairs(values, f"[{section}.{table}]").items()):
            known = CONTRACTS[table].column_names
            if column not in known:
                raise ValueError(
                    f"[{section}.{table}] {column} is no column of {table}{_near(column, known)}"
                )
            found.append((table, column, value))
    return found


def _pairs(told: object, where: str) -> dict[str, Any]:
    if not isinstance(told, Mapping):
        raise ValueError(f"{where} is {told!r}, must be lines such as name = value below {where}")
    return {str(name): value for name, value in told.items()}


def _known_table(name: str, where: str) -> None:
    if name not in CONTRACTS:
        raise ValueError(f"{where} names no table of ours, must be one of {', '.join(CONTRACTS)}")


def _known_event_type(name: object, where: str) -> None:
    if name not in EVENT_TYPES:
        raise ValueError(f"{where} is {name!r}, must be one of {', '.join(EVENT_TYPES)}")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} is {value!r}, must be a name in quotes")
    return value


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f", must be one of {', '.join(known)}"
