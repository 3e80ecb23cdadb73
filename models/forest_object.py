"""Forests as machine code: model texts in, an object out; the object loaded answers for matrices.

An object is code. Whoever keeps one must load it from nowhere that others can write.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from features.errors import KairosError, UsageError
from models.forest import parsed_trees
from models.forest_kernel import ABOUT, ROWS, SYMBOL, kernel_text
from models.forest_tables import tables_of

FORMAT = 2
"""Of objects; raise it when the same text must compile to another one."""
_CHUNK_ROWS = 64 * ROWS
_ALIGNMENT = 64

Real = type[np.float32] | type[np.float64]


@dataclass(frozen=True)
class Forest:
    """Loaded code: the mean of some boosters' sums, as LightGBM adds them up.

    Attributes:
        features: Columns of a matrix.
        dtype: Of a matrix.
    """

    features: int
    dtype: Real
    _scratch_bytes: int
    _function: Any = field(repr=False)
    _keeps_alive: Any = field(repr=False)

    def predict(self, matrix: NDArray[np.floating], threads: int = 1) -> NDArray[np.float64]:
        """The raw score of each row; the matrix may lie in rows or in columns.

        Raises:
            UsageError: The matrix has another type or other columns.
        """
        if matrix.dtype != self.dtype or matrix.ndim != 2 or matrix.shape[1] != self.features:
            raise UsageError(
                f"matrix is {matrix.dtype} {matrix.shape}, must be {np.dtype(self.dtype)} "
                f"(rows, {self.features})."
            )
        if any(step % matrix.itemsize for step in matrix.strides) or not matrix.flags.aligned:
            matrix = np.ascontiguousarray(matrix)
        answers = np.empty(len(matrix))
        starts = range(0, len(matrix), _CHUNK_ROWS)
        workers = min(threads, len(starts))
        if workers <= 1:
            self._fill(matrix, answers)
            return answers
        with ThreadPoolExecutor(workers) as pool:  # the call gives up Python's lock
            list(
                pool.map(
                    lambda start: self._fill(
                        matrix[start : start + _CHUNK_ROWS], answers[start : start + _CHUNK_ROWS]
                    ),
                    starts,
                )
            )
        return answers

    def _fill(self, matrix: NDArray[np.floating], answers: NDArray[np.float64]) -> None:
        scratch = np.zeros(self._scratch_bytes + _ALIGNMENT, dtype=np.uint8)
        row_step, column_step = (step // matrix.itemsize for step in matrix.strides)
        start = scratch.ctypes.data + -scratch.ctypes.data % _ALIGNMENT
        self._function(matrix.ctypes.data, row_step, column_step, len(matrix), answers.ctypes.data, start)


def object_key(models: Sequence[str], features: int, dtype: Real) -> str:
    """What an object follows from: texts, matrix, our format, LLVM and the processor. 32 hex digits."""
    cpu, abilities = _processor()
    parts = (FORMAT, llvmlite.__version__, cpu, abilities, features, np.dtype(dtype).name, *models)
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def compile_forest(models: Sequence[str], features: int, dtype: Real) -> bytes:
    """The object of these LightGBM model texts.

    Raises:
        UncompilableError: A model holds what only LightGBM itself can predict.
    """
    tables = tables_of([parsed_trees(text) for text in models], features, dtype)
    module = llvm.parse_assembly(kernel_text(tables))
    module.verify()
    machine = _machine()
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = tuning.slp_vectorization = False  # the kernel's vectors are explicit
    tuning.loop_unrolling = False  # as quick, and compiles in a third of the time
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    found: bytes = machine.emit_object(module)
    return found


def load_forest(code: bytes) -> Forest:
    """The forest of an object, as `compile_forest` or `unsealed` gave it: LLVM checks nothing."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address, about = engine.get_function_address(SYMBOL), engine.get_global_value_address(ABOUT)
    features, real_bytes, scratch_bytes = (ctypes.c_int64 * 3).from_address(about)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p, ctypes.c_void_p)
    dtype = np.float32 if real_bytes == np.float32().itemsize else np.float64
    return Forest(features, dtype, scratch_bytes, kind(address), engine)


def sealed(code: bytes, key: str) -> bytes:
    """The object as it is kept: with what it was made for, and a digest that tells a damaged one."""
    return _seal(code, key) + code


def unsealed(kept: bytes, key: str) -> bytes:
    """The object that `sealed` took.

    Raises:
        KairosError: It is damaged, or was made for something else.

    Examples:
        >>> unsealed(sealed(b"code", "key"), "key")
        b'code'
    """
    length = len(_seal(b"", key))
    code = kept[length:]
    if kept[:length] != _seal(code, key):
        raise KairosError("it is damaged, or was made for another model or machine")
    return code


def _seal(code: bytes, key: str) -> bytes:
    return f"kairos forest {key} {hashlib.sha256(code).hexdigest()}\n".encode()


@cache
def _processor() -> tuple[str, str]:
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, abilities = _processor()
    # The loader may put code and tables more than 2 GB apart in a large process, where the usual 32-bit
    # references would not reach and LLVM would abort the process: every address is a whole one.
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=cpu, features=abilities, opt=3, reloc="static", codemodel="large", jit=True
    )
