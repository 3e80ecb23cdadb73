"""What a policy rule is, and how one is applied: a keep mask, and a ledger row for what it stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.policy.columns import Columns, Longs
from models.policy.params import PolicyParams

SUPPRESSION_COLUMNS = ("user_id", "slot", "item_id", "rule", "detail")
_KEYS = SUPPRESSION_COLUMNS[:3]


@dataclass(frozen=True)
class Rule:
    """One reason to stay silent.

    Attributes:
        name: As in the ledger's `rule` column.
        needs: Columns of facts the rule reads.
        keep: (facts, params) -> one bool a row; False stops the row.
        words: (stopped facts, params) -> one sentence a row, with the numbers that decided.
        tells: Columns that `words` reads besides, where there are such.
    """

    name: str
    needs: tuple[str, ...]
    keep: Callable[[pd.DataFrame, PolicyParams], NDArray[np.bool_]]
    words: Callable[[pd.DataFrame, PolicyParams], list[str]]
    tells: tuple[str, ...] = ()


def kept_by(rule: Rule, facts: pd.DataFrame, params: PolicyParams) -> NDArray[np.bool_]:
    """Which rows the rule lets through, one bool a row.

    Raises:
        ValueError: `facts` lacks a column the rule reads.
    """
    missing = [column for column in rule.needs if column not in facts]
    if missing:
        raise ValueError(f"rule {rule.name} reads {missing}, which the facts lack; join them first.")
    return np.asarray(rule.keep(facts, params), dtype=bool)


def kept_rows(rule: Rule, facts: Columns, rows: Longs, params: PolicyParams) -> NDArray[np.bool_]:
    """Which of `rows` the rule lets through; what many rows share is asked about once."""
    level = facts.level_of(rule.needs)
    if level is None:
        return kept_by(rule, facts.frame(rule.needs, rows), params)
    shared = pd.DataFrame({name: level.columns[name] for name in rule.needs}, copy=False)
    return kept_by(rule, shared, params)[level.of_row[rows]]


def passing(
    rules: Sequence[Rule], facts: Columns, rows: Longs, params: PolicyParams, ledger: list[pd.DataFrame]
) -> Longs:
    """The rows that every rule lets through; what is stopped goes to the ledger, once each."""
    for rule in rules:
        kept = kept_rows(rule, facts, rows, params)
        ledger.append(stopped_rows(rule, facts, rows[~kept], params))
        rows = rows[kept]
    return rows


def stopped_rows(rule: Rule, facts: Columns, rows: Longs, params: PolicyParams) -> pd.DataFrame:
    """`ledger_rows` of these rows of `facts`."""
    return ledger_rows(rule, facts.frame((*_KEYS, *rule.needs, *rule.tells), rows), params)


def ledger_rows(rule: Rule, stopped: pd.DataFrame, params: PolicyParams) -> pd.DataFrame:
    """(user_id, slot, item_id, rule, detail), one row a stopped row; a key `stopped` lacks is None.

    Examples:
        >>> rule = Rule("closed", ("open",), lambda rows, _: rows["open"], lambda rows, _: ["shut"])
        >>> stopped = pd.DataFrame({"user_id": ["u1"], "open": [False]})
        >>> ledger_rows(rule, stopped, PolicyParams()).to_dict("list")
        {'user_id': ['u1'], 'slot': [None], 'item_id': [None], 'rule': ['closed'], 'detail': ['shut']}
    """
    rows = {
        column: stopped[column].astype(object).to_numpy() if column in stopped else [None] * len(stopped)
        for column in _KEYS
    }
    return pd.DataFrame(
        {**rows, "rule": rule.name, "detail": rule.words(stopped, params) if len(stopped) else []},
        columns=list(SUPPRESSION_COLUMNS),
        dtype=object,
    )
