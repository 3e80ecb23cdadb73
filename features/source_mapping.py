"""What a shop calls its tables, columns and types of events, beside what the contracts call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from features.errors import ContractError

Constant: TypeAlias = str | bool | int | float
Tables: TypeAlias = tuple[tuple[str, str], ...]
Columns: TypeAlias = tuple[tuple[str, str, tuple[str, ...]], ...]
Constants: TypeAlias = tuple[tuple[str, str, Constant], ...]
EventTypes: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SourceMapping:
    """How a source's tables become the contract's; an empty one means: they are so already.

    Attributes:
        tables: (table, what the source calls it).
        columns: (table, column, the source's column); several of those are joined with a colon.
        constants: (table, column, the value of every row).
        event_types: (what the source calls it, type of event).

    Examples:
        >>> SourceMapping(columns=(("events", "event_id", ("order", "line")),)).notes()
        ('events: read order+line as event_id, as kairos.toml says',)
    """

    tables: Tables = ()
    columns: Columns = ()
    constants: Constants = ()
    event_types: EventTypes = ()

    def name_of(self, table: str) -> str:
        """What the source calls the table."""
        return dict(self.tables).get(table, table)

    def columns_of(self, table: str) -> dict[str, tuple[str, ...]]:
        """The source's columns by the contract's column that is read from them."""
        return {ours: theirs for name, ours, theirs in self.columns if name == table}

    def constants_of(self, table: str) -> dict[str, Constant]:
        """The value of every row by column."""
        return {ours: value for name, ours, value in self.constants if name == table}

    def event_types_of(self, table: str) -> dict[str, str]:
        """Types of events by what the source calls them; only events have any."""
        return dict(self.event_types) if table == "events" else {}

    def explained(self, table: str, error: ContractError) -> ContractError:
        """The error, with what the mapping has to do with the column it is about."""
        text = str(error)
        column = text.partition(":")[0].removeprefix(f"{table}.")
        if (theirs := self.columns_of(table).get(column)) is not None:
            how = f"read from {'+'.join(theirs)} by [columns.{table}] of kairos.toml"
        elif column in self.constants_of(table):
            how = f"given by [constants.{table}] of kairos.toml"
        else:
            return error
        return ContractError(text.replace(f"{table}.{column}:", f"{table}.{column} ({how}):", 1))

    def notes(self) -> tuple[str, ...]:
        """What is read as what, one line a table."""
        lines = []
        for table in ("events", "users", "items", "promotions"):
            told = [f"{'+'.join(theirs)} as {ours}" for ours, theirs in self.columns_of(table).items()]
            told += [f"{ours} always {value}" for ours, value in self.constants_of(table).items()]
            told += [f"{theirs} events as {ours}" for theirs, ours in self.event_types_of(table).items()]
            if (name := self.name_of(table)) != table:
                told.insert(0, f"table {name}")
            if told:
                lines.append(f"{table}: read {', '.join(told)}, as kairos.toml says")
        return tuple(lines)
