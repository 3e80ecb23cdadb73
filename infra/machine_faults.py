"""Whether an error is the machine's or its services' fault, so that the same may well succeed tomorrow."""

from __future__ import annotations

import psycopg
import sqlalchemy.exc

from features.errors import MachineError

_FAULTS = (
    *(MachineError, OSError, MemoryError),
    *(psycopg.OperationalError, sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError),
)


def is_machine_fault(error: BaseException) -> bool:
    """Whether no version, plan or person is to blame.

    Examples:
        >>> is_machine_fault(OSError("no space left")), is_machine_fault(ValueError("a feature is gone"))
        (True, False)
    """
    return isinstance(error, _FAULTS)
