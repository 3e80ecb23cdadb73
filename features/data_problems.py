"""What is wrong with a shop's data, worst first, and what a person can do about each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from features.contract_values import EXPECTED
from features.contracts import CONTRACTS, EVENT_TYPES, FUTURE

_FIXES = {
    "unknown event_type": f"use one of {', '.join(EVENT_TYPES)}, or translate yours under [event_types]",
    FUTURE: "correct the clock; a time without an offset is taken as UTC, so local times need theirs",
    "item_id missing for this event_type": "name the item that was viewed or bought",
    "unknown timezone": "write an IANA name such as Europe/Berlin, or leave it empty for the default zone",
    "quiet_start and quiet_end must come together": "give both or neither",
    "names neither item nor category": "name an item_id or a category_path",
    "ends before it starts": "swap starts_at and ends_at",
    "wrong number of fields": "quote fields that hold commas",
}


@dataclass(frozen=True)
class Problem:
    """One thing to repair.

    Attributes:
        rows, of: Rows of the table it concerns, and all of them.
        what: In words, with an example where there is one.
        fix: What to do.
        blocks: Whether these rows are lost; the others are only poorer.
    """

    table: str
    rows: int
    of: int
    what: str
    fix: str
    blocks: bool = False

    @property
    def share(self) -> float:
        """Part of the table's rows."""
        return self.rows / max(1, self.of)


def worst(problems: Iterable[Problem], count: int = 10) -> list[Problem]:
    """The worst problems: rows that are lost before rows that are poorer, larger shares first.

    Examples:
        >>> small = Problem("events", 1, 10, "negative amount", "", blocks=True)
        >>> large = Problem("users", 9, 10, "no consent", "")
        >>> [problem.what for problem in worst([large, small])]
        ['negative amount', 'no consent']
    """
    told = (problem for problem in problems if problem.rows)
    return sorted(told, key=lambda p: (not p.blocks, -p.share, p.table, p.what))[:count]


def fix_of(table: str, reason: str) -> str:
    """What to do about rows that were set aside for this reason.

    Examples:
        >>> fix_of("events", "amount not readable")
        'write a number'
        >>> fix_of("items", "duplicate item_id with other content")
        'keep one row of each item_id; event_id = ["order", "line"] in kairos.toml joins two columns'
    """
    if reason in _FIXES:
        return _FIXES[reason]
    kinds = {column.name: column.kind for column in CONTRACTS[table].columns}
    column, _, what = reason.partition(" ")
    if what == "not readable":
        return f"write {EXPECTED[kinds[column]]}"
    if what == "missing":
        return f"fill it in, or name the right column under [columns.{table}] in kairos.toml"
    if reason.startswith("negative "):
        return "write it positive; a return is no purchase, so leave it out"
    if reason.startswith("duplicate "):
        key = CONTRACTS[table].key
        return f'keep one row of each {key}; event_id = ["order", "line"] in kairos.toml joins two columns'
    return "repair these rows at their source"
