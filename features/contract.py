"""The shape of a table: which files can hold it, which rows to trust, and why not the others."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.contract_values import DTYPES, EXPECTED, TEXT, Kind, as_text, fits, read_values
from features.errors import ContractError
from features.places import BY_PLACE, zones_of
from features.scenes import UNKNOWN

ZONE_SOURCE = "timezone_source"  # who told the zone of a user, `features.places.ZONE_SOURCES`
SET_ASIDE = "_set_aside"  # a column in which a source gives its own reason not to trust a row
_FEWEST_FOR_THROUGHOUT = 2  # one bad value is a bad row; a column of nothing else is a bad file


@dataclass(frozen=True)
class ContractColumn:
    """One column: `fill` replaces null and missing values; None keeps them null.

    `expected` is False for what no shop tells, so that its absence is worth no word.
    """

    name: str
    kind: Kind = "text"
    required: bool = False
    fill: str | bool | None = None
    expected: bool = True


@dataclass(frozen=True)
class Rule:
    """A reason to set a row aside; `broken(frame, now)` is True for each such row."""

    reason: str
    column: str
    broken: Callable[[pd.DataFrame, datetime], pd.Series]


@dataclass(frozen=True)
class Split:
    """A frame, sorted by trust.

    Attributes:
        accepted: Every contract column in order, in its contract type.
        quarantined: The other rows as text, as they came, with `reason`.
        repeats: Rows dropped because they repeat an earlier one word for word.
        filled: Rows a column's fill value was put into; `absent` columns are not counted here.
        absent: Optional columns the frame does not have.
    """

    contract: Contract
    accepted: pd.DataFrame
    quarantined: pd.DataFrame
    repeats: int
    filled: Mapping[str, int]
    absent: tuple[str, ...]

    @property
    def degraded(self) -> tuple[str, ...]:
        """One line for each thing that was not told and had to be taken as unknown."""
        return self.contract.degraded_words(self.absent, self.filled, len(self.accepted))


@dataclass(frozen=True)
class Contract:
    """The shape of one table and the rules its rows keep.

    Examples:
        >>> price = ContractColumn("price", "number")
        >>> below = Rule("negative price", "price", lambda frame, now: frame["price"] < 0)
        >>> table = Contract("items", (ContractColumn("item_id", "id", required=True), price), (below,))
        >>> rows = pd.DataFrame({"item_id": [7, 8], "price": [1.5, -1.0]})
        >>> split = table.split(rows, now=datetime.fromisoformat("2026-01-01T00:00Z"))
        >>> split.accepted.values.tolist(), split.quarantined["reason"].tolist()
        ([['7', 1.5]], ['negative price'])
    """

    name: str
    columns: tuple[ContractColumn, ...]
    rules: tuple[Rule, ...] = field(default=(), repr=False)

    @property
    def key(self) -> str:
        """The column that names a row."""
        return self.columns[0].name

    @property
    def required(self) -> tuple[str, ...]:
        """Columns a file must have."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column, in order."""
        return tuple(column.name for column in self.columns)

    def arrow_schema(self) -> Any:
        """The Arrow schema of accepted rows; times are `timestamp[us, UTC]`."""
        types = {
            "time": pa.timestamp("us", "UTC"),
            "number": pa.float64(),
            "flag": pa.bool_(),
        }
        return pa.schema([(column.name, types.get(column.kind, pa.string())) for column in self.columns])

    def empty(self) -> pd.DataFrame:
        """No rows, every column in its contract type."""
        return pd.DataFrame({c.name: pd.Series([], dtype=_dtype(c)) for c in self.columns})

    def check_file(self, dtypes: Mapping[str, str]) -> None:
        """Passes when a file with these columns (name to Arrow or pandas type) can hold this table.

        Raises:
            ContractError: A required column is missing, or a column's type can never fit.
        """
        for column in self.columns:
            if column.name in dtypes:
                if not fits(column.kind, dtypes[column.name]):
                    raise self._wrong_type(column, f"type {dtypes[column.name]}")
            elif column.required:
                free = [name for name in dtypes if name not in self.column_names]
                near = difflib.get_close_matches(column.name, free, n=1, cutoff=0.7)
                raise ContractError(
                    f"{self.name}.{column.name}: found no such column (there are: "
                    f"{', '.join(dtypes) or 'none'}), expected {EXPECTED[column.kind]}; "
                    + (
                        f'rename {near[0]!r} to it, or write {column.name} = "{near[0]}" under '
                        f"[columns.{self.name}] in kairos.toml."
                        if near
                        else f"add the column, or name yours under [columns.{self.name}] in kairos.toml."
                    )
                )

    def split(
        self,
        frame: pd.DataFrame,
        *,
        now: datetime,
        default_timezone: str = "UTC",
        zones_by_place: Mapping[str, str] = MappingProxyType({}),
    ) -> Split:
        """The rows that keep the contract, and the others each with the first reason why not.

        A source may set rows aside itself, by a reason in the column `SET_ASIDE`.
        Of two rows with one key the first is kept: a later one is dropped when it is equal, quarantined
        when it is not.

        Args:
            now: Later events are from the future; timezone-aware.
            default_timezone: Stands in for a user's missing zone.
            zones_by_place: Stands in before it, by the user's region or ISO country.

        Raises:
            ContractError: The whole file is wrong: `check_file`, or a column without one readable value.
        """
        self.check_file({str(name): str(dtype) for name, dtype in frame.dtypes.items()})
        raw = frame.reset_index(drop=True)
        told = raw.get(SET_ASIDE)
        reasons = pd.Series(told, index=raw.index, dtype=TEXT)
        typed, absent, filled = {}, [], {}
        for column in self.columns:
            if column.name not in raw:
                absent.append(column.name)
                typed[column.name] = pd.Series(None, index=raw.index, dtype=DTYPES[column.kind])
            else:
                values, unreadable = read_values(column.kind, raw[column.name])
                typed[column.name] = values
                if unreadable.any():
                    self._check_throughout(column, raw[column.name], values, unreadable)
                    reasons[unreadable & reasons.isna()] = f"{column.name} not readable"
            if column.fill is not None:
                missing = typed[column.name].isna()
                if column.name in raw and missing.any():
                    filled[column.name] = int(missing.sum())
                if column.name != "timezone":
                    typed[column.name] = typed[column.name].fillna(column.fill).astype(_dtype(column))
        if ZONE_SOURCE in typed:
            zone, source = zones_of(
                typed["timezone"], typed["locale"], typed["region"], zones_by_place, default_timezone
            )
            typed["timezone"], typed[ZONE_SOURCE] = zone.astype(TEXT), source.astype(TEXT)
            if (placed := int((source == BY_PLACE).sum())) > 0:
                filled[ZONE_SOURCE] = placed
        rows = pd.DataFrame(typed, index=raw.index)
        reasons = reasons.fillna(self._broken(rows, now)) if len(rows) else reasons
        repeats = self._mark_duplicates(rows, reasons)
        bad = reasons.notna()
        as_read = raw.loc[bad, [name for name in self.column_names if name in raw]]
        quarantined = pd.DataFrame(
            {n: as_text(as_read[n]) if n in as_read else None for n in self.column_names}
        )
        quarantined = quarantined.astype(TEXT).assign(reason=reasons[bad]).reset_index(drop=True)
        dropped = bad | repeats
        accepted = rows[~dropped].reset_index(drop=True) if dropped.any() else rows
        return Split(self, accepted, quarantined, int(repeats.sum()), filled, tuple(absent))

    def degraded_words(
        self, absent: tuple[str, ...], filled: Mapping[str, int], rows: int
    ) -> tuple[str, ...]:
        """One line for each column that was not told, with the rows it concerns and what was assumed."""
        lines, plain = [], []
        for column in self.columns:
            count = rows if column.name in absent else filled.get(column.name, 0)
            if not count or not column.expected:
                continue
            if column.name == "push_consent":
                lines.append(f"users.push_consent: {count} of {rows} users gave none, they get no push")
            elif column.name == "timezone":
                placed = filled.get(ZONE_SOURCE, 0)
                how = f"{placed} get their region's or country's, the others the default zone"
                how = how if placed else "the default zone is used"
                lines.append(f"users.timezone: {count} of {rows} users have none, {how}")
            elif column.name in absent:
                assumed = str(column.fill).lower() if column.fill is not None else UNKNOWN
                plain.append(column.name if assumed == UNKNOWN else f"{column.name} (taken as {assumed})")
        if plain:
            lines.append(f"{self.name}: not told, taken as unknown: {', '.join(plain)}")
        return tuple(lines)

    def _broken(self, rows: pd.DataFrame, now: datetime) -> pd.Series:
        """The first broken rule of each row, null where all are kept."""
        import pandera.pandas as pandera

        # Rules see the whole frame but are hung on one column: pandera then reports one line a row.
        checks: dict[str, list[pandera.Check]] = {}
        for rule in self.rules:
            kept = ~rule.broken(rows, now).fillna(False).astype(bool)
            check = pandera.Check(lambda _, kept=kept: kept, error=rule.reason, ignore_na=False)
            checks.setdefault(rule.column, []).append(check)
        schema = pandera.DataFrameSchema(
            {
                c.name: pandera.Column(
                    _dtype(c), checks.get(c.name), nullable=not c.required and c.fill is None
                )
                for c in self.columns
            },
            strict=True,
            ordered=True,
        )
        try:
            schema.validate(rows, lazy=True)
        except pandera.errors.SchemaErrors as found:
            return self._first_reasons(found.failure_cases, rows)
        return pd.Series(pd.NA, index=rows.index, dtype=TEXT)

    def _first_reasons(self, cases: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
        """Pandera's failure cases as one reason a row: what is missing first, then the rules in order."""
        for case in cases[cases["index"].isna()].itertuples():
            raise ContractError(
                f"{self.name}.{case.column}: found {case.failure_case}, expected to pass {case.check}; "
                "report this as a bug of Kairos."
            )
        order = [f"{name} missing" for name in self.column_names] + [rule.reason for rule in self.rules]
        words = cases["check"].mask(cases["check"] == "not_nullable", cases["column"] + " missing")
        ranked = pd.DataFrame({"row": cases["index"].astype(int), "rank": words.map(order.index)})
        first = ranked.groupby("row")["rank"].min()
        return first.map(order.__getitem__).astype(TEXT).reindex(rows.index)

    def _mark_duplicates(self, rows: pd.DataFrame, reasons: pd.Series) -> pd.Series:
        """True for rows that repeat an earlier one; adds the reason to those that contradict it."""
        keys = pa.array(rows[self.key].array)
        if pc.count_distinct(keys, mode="only_valid").as_py() + keys.null_count == len(keys):
            return pd.Series(False, index=rows.index)
        good = rows[reasons.isna()]
        shared = good[good.duplicated(self.key, keep=False)]
        equal = shared.duplicated()
        other = shared.duplicated(self.key) & ~equal
        reasons[other[other].index] = f"duplicate {self.key} with other content"
        return equal.reindex(rows.index, fill_value=False)

    def _check_throughout(
        self, column: ContractColumn, raw: pd.Series, values: pd.Series, unreadable: pd.Series
    ) -> None:
        if values.notna().any() or unreadable.sum() < _FEWEST_FOR_THROUGHOUT:
            return
        example = raw[unreadable].iloc[0]
        raise self._wrong_type(column, f"{example!r} and {int(unreadable.sum()) - 1} more like it")

    def _wrong_type(self, column: ContractColumn, found: str) -> ContractError:
        fix = {
            "time": "write 2017-03-01T12:00:00Z, not epoch numbers",
            "number": "write plain numbers with a decimal point",
            "flag": "write true or false",
            "clock": "write 22:00",
            "text": "write one plain value a row, lists joined with commas",
            "id": "write one plain identifier a row",
        }[column.kind]
        return ContractError(
            f"{self.name}.{column.name}: found {found}, expected {EXPECTED[column.kind]}; {fix}."
        )


def _dtype(column: ContractColumn) -> Any:
    """The stored type: flags that are filled are plain booleans."""
    return "bool" if column.kind == "flag" else DTYPES[column.kind]
