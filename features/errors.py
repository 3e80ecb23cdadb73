"""What a person is told when Kairos cannot do what was asked: one line, with the fix."""

from __future__ import annotations


class KairosError(Exception):
    """A failure a person can act on; its text is one line that ends with the fix. Exit code 1."""

    exit_code = 1


class UsageError(KairosError):
    """The request itself is wrong: an unknown source, a date outside the data. Exit code 2."""

    exit_code = 2


class RefusedError(KairosError):
    """A gate or a policy said no; the text carries the reasons. Exit code 3."""

    exit_code = 3


class MachineError(KairosError):
    """The machine fell short, as of memory: the same request may succeed next time. Exit code 1."""


class ContractError(KairosError):
    """A whole file breaks its contract: names table, column, found, expected and the fix."""
