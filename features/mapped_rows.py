"""A source's rows with the contract's columns, as its mapping says; before any contract is asked.

>>> mapping = SourceMapping(
...     columns=(("events", "user_id", ("customer",)), ("events", "event_id", ("order", "line"))),
...     constants=(("events", "channel", "web"),),
...     event_types=(("sale", "purchase"),),
... )
>>> rows = pa.table({"customer": ["c1"], "order": [7], "line": [1], "event_type": ["sale"]})
>>> mapped_rows(mapping, "events", rows).to_pylist()
[{'event_type': 'purchase', 'event_id': '7:1', 'user_id': 'c1', 'channel': 'web'}]
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from features.contract_values import as_text
from features.contracts import CONTRACTS
from features.errors import ContractError
from features.source_mapping import SourceMapping

_JOINED_BY = ":"


def mapped_types(mapping: SourceMapping, table: str, types: Mapping[str, str]) -> dict[str, str]:
    """The types of the columns as the contract names them, of those as the source does.

    Raises:
        ContractError: A column that the mapping names is not there.
    """
    columns = mapping.columns_of(table)
    for ours, theirs in columns.items():
        for name in theirs:
            if name not in types:
                raise _no_column(mapping, table, ours, name, list(types))
    # What a column is read from is none of its own any more, unless the contract knows it by that name.
    taken = {name for theirs in columns.values() for name in theirs} - set(CONTRACTS[table].column_names)
    told = {name: dtype for name, dtype in types.items() if name not in taken}
    told |= {
        ours: types[names[0]] if len(names) == 1 else "string" for ours, names in sorted(columns.items())
    }
    return told | dict.fromkeys(mapping.constants_of(table), "object")


def mapped_rows(mapping: SourceMapping, table: str, rows: pa.Table | pd.DataFrame) -> pa.Table | pd.DataFrame:
    """The rows with the contract's columns and types of events; what is not mapped stays as it is.

    Raises:
        ContractError: A column that the mapping names is not there.
    """
    columns, constants = mapping.columns_of(table), mapping.constants_of(table)
    types = mapping.event_types_of(table)
    if not (columns or constants or types):
        return rows
    names = rows.columns.tolist() if isinstance(rows, pd.DataFrame) else rows.column_names
    kept = mapped_types(mapping, table, dict.fromkeys(names, "object"))
    told: dict[str, Any] = {name: rows[name] for name in names if name in kept}
    told |= {ours: _joined([rows[name] for name in theirs]) for ours, theirs in sorted(columns.items())}
    told |= {ours: pd.Series([value] * len(rows), dtype=object) for ours, value in constants.items()}
    if types and "event_type" in told:
        given = as_text(_series(told["event_type"]))
        told["event_type"] = given.map(lambda name: types.get(name, name), na_action="ignore")
    if isinstance(rows, pd.DataFrame):
        return pd.DataFrame({name: _series(values).reset_index(drop=True) for name, values in told.items()})
    return pa.table({name: _arrow(values) for name, values in told.items()})


def _no_column(mapping: SourceMapping, table: str, ours: str, name: str, there: list[str]) -> ContractError:
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.6)
    return ContractError(
        f"kairos.toml: [columns.{table}] {ours} = {name!r}: found no such column in "
        f"{mapping.name_of(table)}, expected one of {', '.join(there) or 'none'}; "
        + (f"did you mean {near[0]!r}?" if near else "correct the name.")
    )


def _joined(parts: list[Any]) -> Any:
    """One column of several: null where any is null."""
    if len(parts) == 1:
        return parts[0]
    joined = as_text(_series(parts[0]))
    for part in parts[1:]:
        joined = joined + _JOINED_BY + as_text(_series(part))
    return joined


def _series(values: Any) -> pd.Series:
    return values if isinstance(values, pd.Series) else values.to_pandas()


def _arrow(values: Any) -> Any:
    return pa.array(values, from_pandas=True) if isinstance(values, pd.Series) else values
