"""The kernel that predicts from `forest_tables`, as LLVM code for the processor at hand.

Tables and code become one object: what a model's trees ask is data, so it compiles in about the time that
reading the model takes, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from models.forest import MISSING_NAN, MISSING_NONE, MISSING_ZERO
from models.forest_tables import Tables

ROWS = 256
"""Rows a block holds: enough to repay a mispredicted branch, few enough to stay in the cache."""
SYMBOL = "kairos_predict"
ABOUT = "kairos_about"
"""Three int64: features, bytes of a matrix element, bytes of working memory."""
_ZERO = f"0x{np.float64(np.float32(1e-35)).view(np.uint64):016X}"
"""1e-35f, up to which LightGBM takes a number for zero, as LLVM writes it."""


@dataclass
class _Code:
    """Lines of one LLVM function; names are numbered, slots become registers when it is optimised."""

    slots: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    count: int = 0

    def name(self, stem: str = "v") -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def let(self, text: str) -> str:
        name = "%" + self.name()
        self.lines.append(f"  {name} = {text}")
        return name

    def do(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def slot(self, kind: str, value: str) -> str:
        """A variable that holds `value` from here on."""
        name = "%" + self.name("slot")
        self.slots.append(f"  {name} = alloca {kind}")
        self.do(f"store {kind} {value}, ptr {name}")
        return name

    def at(self, base: str, index: str, kind: str = "i8") -> str:
        return self.let(f"getelementptr inbounds {kind}, ptr {base}, i64 {index}")

    def load(self, kind: str, place: str, align: int | None = None) -> str:
        return self.let(f"load {kind}, ptr {place}" + (f", align {align}" if align else ""))

    def integer(self, base: str, offset: int) -> str:
        """The table's int32 so many bytes after `base`, as i64."""
        return self.let(f"sext i32 {self.load('i32', self.at(base, str(offset)), 4)} to i64")

    @contextmanager
    def loop(self, start: str, stop: str, by: int = 1) -> Iterator[str]:
        """Yields the index; the body runs while it is below `stop`."""
        slot, name = self.slot("i64", start), self.name("loop")
        self.do(f"br label %{name}.test")
        self.lines.append(f"{name}.test:")
        index = self.load("i64", slot)
        goes_on = self.let(f"icmp slt i64 {index}, {stop}")
        self.do(f"br i1 {goes_on}, label %{name}.body, label %{name}.end")
        self.lines.append(f"{name}.body:")
        yield index
        following = self.let(f"add nsw i64 {index}, {by}")
        self.do(f"store i64 {following}, ptr {slot}")
        self.do(f"br label %{name}.test")
        self.lines.append(f"{name}.end:")

    def splat(self, lanes: int, kind: str, value: str) -> str:
        """A vector of one value."""
        one = self.let(f"insertelement <{lanes} x {kind}> poison, {kind} {value}, i64 0")
        return self.let(
            f"shufflevector <{lanes} x {kind}> {one}, <{lanes} x {kind}> poison, "
            f"<{lanes} x i32> zeroinitializer"
        )


@dataclass(frozen=True)
class Scratch:
    """Where the kernel's working memory holds what, in bytes."""

    codes: int
    bits: int
    value: int
    place: int
    leaf: int
    sum: int
    total: int
    size: int

    @classmethod
    def of(cls, tables: Tables) -> Scratch:
        octets = int(tables.trees["octets"].max(initial=1))
        sizes = (tables.columns, octets, 8, 4, 1, 8, 8)
        ends = np.cumsum([0, *sizes]) * ROWS
        return cls(*map(int, ends))


def kernel_text(tables: Tables) -> str:
    """The LLVM module: tables as constants, and the function over them.

    `kairos_predict(matrix, row step, column step, rows, answers, scratch)`; steps in elements.
    """
    real, bits = ("float", 32) if tables.thresholds.dtype == np.float32 else ("double", 64)
    code, scratch = _Code(), Scratch.of(tables)
    places = {name: code.at("%scratch", str(getattr(scratch, name))) for name in Scratch.__annotations__}
    with code.loop("0", "%rows", ROWS) as begin:
        left = code.let(f"sub nsw i64 %rows, {begin}")
        rows = code.let(f"call i64 @llvm.smin.i64(i64 {left}, i64 {ROWS})")
        block = code.at("%matrix", code.let(f"mul nsw i64 {begin}, %row_step"), real)
        _rank_numbers(code, tables, places, block, rows, real, bits)
        _look_up_categories(code, tables, places, block, rows, real)
        _add_up(code, tables, places)
        with code.loop("0", rows) as row:
            total = code.load("double", code.at(places["total"], row, "double"))
            mean = code.let(f"fdiv double {total}, {float(len(tables.boosters) - 1)!r}")
            answer = code.at("%answers", code.let(f"add nsw i64 {begin}, {row}"), "double")
            code.do(f"store double {mean}, ptr {answer}")
    body = "\n".join([*code.slots, *code.lines])
    constants = "\n".join(
        f"@{name} = private unnamed_addr constant {_bytes(getattr(tables, name))}, align 64"
        for name in (
            "numbers",
            "thresholds",
            "categories",
            "lut",
            "boosters",
            "trees",
            "octets",
            "tests",
            "leaves",
        )
    )
    about = (tables.features, bits // 8, scratch.size)
    return f"""
@{ABOUT} = constant [3 x i64] [{", ".join(f"i64 {value}" for value in about)}], align 8
{constants}
declare i64 @llvm.smin.i64(i64, i64)
declare <32 x i8> @llvm.cttz.v32i8(<32 x i8>, i1)
declare <{_lanes(real)} x {real}> @llvm.fabs.v{_lanes(real)}f{bits}(<{_lanes(real)} x {real}>)
define void @{SYMBOL}(ptr noalias readonly %matrix, i64 %row_step, i64 %column_step, i64 %rows,
                      ptr noalias %answers, ptr noalias align 64 %scratch) {{
entry:
{body}
  ret void
}}
"""


def _bytes(table: np.ndarray) -> str:
    raw = table.tobytes() or b"\0"
    return f'[{len(raw)} x i8] c"' + "".join(f"\\{byte:02x}" for byte in raw) + '"'


def _lanes(real: str) -> int:
    return 32 if real == "float" else 16


def _rank_numbers(
    code: _Code, tables: Tables, places: dict[str, str], block: str, rows: str, real: str, bits: int
) -> None:
    """Every row's rank among each feature's thresholds, as bytes."""
    lanes = _lanes(real)
    reals, flags, wide = f"<{lanes} x {real}>", f"<{lanes} x i1>", f"<{lanes} x i{bits}>"
    with code.loop("0", str(len(tables.numbers))) as number:
        about = code.at("@numbers", code.let(f"mul nsw i64 {number}, 24"))
        feature, missing, first, count, to_left, to_right = (code.integer(about, 4 * n) for n in range(6))
        _copy_column(code, places["value"], block, feature, rows, real)
        none, zero, nan = (
            code.splat(lanes, "i1", code.let(f"icmp eq i64 {missing}, {kind}"))
            for kind in (MISSING_NONE, MISSING_ZERO, MISSING_NAN)
        )
        columns = [
            code.at(places["codes"], code.let(f"mul nsw i64 {column}, {ROWS}"))
            for column in (to_left, to_right)
        ]
        tiny = code.splat(lanes, real, _ZERO)
        asked = code.at("@thresholds", first, real)
        with code.loop("0", str(ROWS), lanes) as row:
            told = code.load(reals, code.at(places["value"], row, real), 64)
            absent = code.let(f"fcmp uno {reals} {told}, {told}")
            size = code.let(f"call {reals} @llvm.fabs.v{lanes}f{bits}({reals} {told})")
            small = code.let(f"fcmp ole {reals} {size}, {tiny}")
            as_zero = code.let(f"or {flags} {small}, {code.let(f'and {flags} {absent}, {none}')}")
            value = code.let(f"select {flags} {as_zero}, {reals} zeroinitializer, {reals} {told}")
            absent_or_small = code.let(f"or {flags} {absent}, {small}")
            goes_default = code.let(
                f"or {flags} {code.let(f'and {flags} {nan}, {absent}')}, "
                f"{code.let(f'and {flags} {zero}, {absent_or_small}')}"
            )
            rank = code.slot(wide, code.splat(lanes, f"i{bits}", "-128"))
            with code.loop("0", count) as threshold:
                bound = code.splat(lanes, real, code.load(real, code.at(asked, threshold, real)))
                above = code.let(f"fcmp ogt {reals} {value}, {bound}")
                more = code.let(f"sext {flags} {above} to {wide}")
                grown = code.let(f"sub {wide} {code.load(wide, rank)}, {more}")
                code.do(f"store {wide} {grown}, ptr {rank}")
            byte = code.let(f"trunc {wide} {code.load(wide, rank)} to <{lanes} x i8>")
            for column, extreme in zip(columns, ("-128", "127"), strict=True):
                least = code.splat(lanes, "i8", extreme)
                stored = code.let(
                    f"select {flags} {goes_default}, <{lanes} x i8> {least}, <{lanes} x i8> {byte}"
                )
                code.do(f"store <{lanes} x i8> {stored}, ptr {code.at(column, row)}, align {lanes}")


def _copy_column(code: _Code, buffer: str, block: str, feature: str, rows: str, real: str) -> None:
    column = code.at(block, code.let(f"mul nsw i64 {feature}, %column_step"), real)
    with code.loop("0", rows) as row:
        value = code.load(real, code.at(column, code.let(f"mul nsw i64 {row}, %row_step"), real))
        code.do(f"store {real} {value}, ptr {code.at(buffer, row, real)}")


def _look_up_categories(
    code: _Code, tables: Tables, places: dict[str, str], block: str, rows: str, real: str
) -> None:
    """Every row's bits of each category's columns."""
    with code.loop("0", str(len(tables.categories))) as category:
        about = code.at("@categories", code.let(f"mul nsw i64 {category}, 20"))
        feature, values, first, columns, lut = (code.integer(about, 4 * n) for n in range(5))
        column = code.at(block, code.let(f"mul nsw i64 {feature}, %column_step"), real)
        bound = code.let(f"sitofp i64 {values} to {real}")
        with code.loop("0", rows) as row:
            value = code.load(real, code.at(column, code.let(f"mul nsw i64 {row}, %row_step"), real))
            above = code.let(f"fcmp ogt {real} {value}, -1.0")
            below = code.let(f"fcmp olt {real} {value}, {bound}")
            known = code.let(f"and i1 {above}, {below}")
            within = code.let(f"select i1 {known}, {real} {value}, {real} 0.0")
            place = code.let(f"fptosi {real} {within} to i32")
            other = code.let(f"trunc i64 {values} to i32")
            chosen = code.let(f"select i1 {known}, i32 {place}, i32 {other}")
            code.do(f"store i32 {chosen}, ptr {code.at(places['place'], row, 'i32')}")
        width = code.let(f"add nsw i64 {values}, 1")
        with code.loop("0", columns) as offset:
            start = code.let(f"add nsw i64 {lut}, {code.let(f'mul nsw i64 {offset}, {width}')}")
            told = code.at("@lut", start)
            target = code.at(
                places["codes"], code.let(f"mul nsw i64 {code.let(f'add nsw i64 {first}, {offset}')}, {ROWS}")
            )
            with code.loop("0", rows) as row:
                chosen = code.let(f"sext i32 {code.load('i32', code.at(places['place'], row, 'i32'))} to i64")
                code.do(f"store i8 {code.load('i8', code.at(told, chosen))}, ptr {code.at(target, row)}")


def _add_up(code: _Code, tables: Tables, places: dict[str, str]) -> None:
    """Every row's total of the boosters' sums, added up in LightGBM's order."""
    _clear(code, places["total"])
    with code.loop("0", str(len(tables.boosters) - 1)) as booster:
        begin, end = (code.integer(code.at("@boosters", booster, "i32"), 4 * n) for n in (0, 1))
        _clear(code, places["sum"])
        with code.loop(begin, end) as tree:
            about = code.at("@trees", code.let(f"mul nsw i64 {tree}, 12"))
            octet, octets, leaf = (code.integer(about, 4 * n) for n in range(3))
            with code.loop("0", octets) as number:
                bounds = code.at(
                    "@octets", code.let(f"mul nsw i64 {code.let(f'add nsw i64 {octet}, {number}')}, 16")
                )
                kept = _kept(code, places, bounds)
                target = code.at(places["bits"], code.let(f"mul nsw i64 {number}, {ROWS}"))
                for vector, slot in enumerate(kept):
                    code.do(
                        f"store <32 x i8> {code.load('<32 x i8>', slot)}, "
                        f"ptr {code.at(target, str(32 * vector))}, align 32"
                    )
            _add_leaf(code, places, octets, code.at("@leaves", leaf, "double"))
        _add(code, places["total"], places["sum"])


def _kept(code: _Code, places: dict[str, str], bounds: str) -> list[str]:
    """The leaves of one octet that its tests leave each row, as one slot for 32 rows."""
    kept = [code.slot("<32 x i8>", code.splat(32, "i8", "-1")) for _ in range(ROWS // 32)]
    edges = [code.integer(bounds, 4 * n) for n in range(4)]
    for kind in range(3):
        with code.loop(edges[kind], edges[kind + 1]) as test:
            about = code.at("@tests", code.let(f"mul nsw i64 {test}, 8"))
            column = code.at(places["codes"], code.let(f"mul nsw i64 {code.integer(about, 0)}, {ROWS}"))
            constant, strikes = (
                code.splat(32, "i8", code.load("i8", code.at(about, str(offset)))) for offset in (4, 5)
            )
            for vector, slot in enumerate(kept):
                told = code.load("<32 x i8>", code.at(column, str(32 * vector)), 32)
                if kind == 0:
                    hit = code.let(f"icmp sgt <32 x i8> {told}, {constant}")
                elif kind == 1:
                    hit = code.let(f"icmp sgt <32 x i8> {constant}, {told}")
                else:
                    common = code.let(f"and <32 x i8> {told}, {constant}")
                    hit = code.let(f"icmp eq <32 x i8> {common}, zeroinitializer")
                mask = code.let(f"sext <32 x i1> {hit} to <32 x i8>")
                struck = code.let(f"and <32 x i8> {mask}, {strikes}")
                keeps = code.let(f"xor <32 x i8> {struck}, {code.splat(32, 'i8', '-1')}")
                left = code.let(f"and <32 x i8> {code.load('<32 x i8>', slot)}, {keeps}")
                code.do(f"store <32 x i8> {left}, ptr {slot}")
    return kept


def _add_leaf(code: _Code, places: dict[str, str], octets: str, leaves: str) -> None:
    """The value of each row's first remaining leaf, added to its sum."""
    kind = "<32 x i8>"
    with code.loop("0", str(ROWS), 32) as row:
        byte, base = code.slot(kind, "zeroinitializer"), code.slot(kind, "zeroinitializer")
        with code.loop("0", octets) as back:
            number = code.let(f"sub nsw i64 {code.let(f'sub nsw i64 {octets}, 1')}, {back}")
            place = code.let(f"add nsw i64 {code.let(f'mul nsw i64 {number}, {ROWS}')}, {row}")
            bits = code.load(kind, code.at(places["bits"], place), 32)
            left = code.let(f"icmp ne {kind} {bits}, zeroinitializer")
            here = code.splat(32, "i8", code.let(f"trunc i64 {code.let(f'shl i64 {number}, 3')} to i8"))
            for slot, value in ((byte, bits), (base, here)):
                old = code.load(kind, slot)
                new = code.let(f"select <32 x i1> {left}, {kind} {value}, {kind} {old}")
                code.do(f"store {kind} {new}, ptr {slot}")
        first = code.let(f"call {kind} @llvm.cttz.v32i8({kind} {code.load(kind, byte)}, i1 true)")
        leaf = code.let(f"add {kind} {first}, {code.load(kind, base)}")
        code.do(f"store {kind} {leaf}, ptr {code.at(places['leaf'], row)}, align 32")
    with code.loop("0", str(ROWS)) as row:
        leaf = code.let(f"zext i8 {code.load('i8', code.at(places['leaf'], row))} to i64")
        target = code.at(places["sum"], row, "double")
        value = code.load("double", code.at(leaves, leaf, "double"))
        total = code.let(f"fadd double {code.load('double', target)}, {value}")
        code.do(f"store double {total}, ptr {target}")


def _clear(code: _Code, place: str) -> None:
    with code.loop("0", str(ROWS), 8) as row:
        code.do(f"store <8 x double> zeroinitializer, ptr {code.at(place, row, 'double')}, align 64")


def _add(code: _Code, to: str, other: str) -> None:
    with code.loop("0", str(ROWS), 8) as row:
        target = code.at(to, row, "double")
        values = [code.load("<8 x double>", place, 64) for place in (target, code.at(other, row, "double"))]
        total = code.let(f"fadd <8 x double> {values[0]}, {values[1]}")
        code.do(f"store <8 x double> {total}, ptr {target}, align 64")
