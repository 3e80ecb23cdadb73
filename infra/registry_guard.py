"""Feast's registry file may name our functions; it may not bring code of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from features.errors import KairosError

_OURS = re.compile(
    r"from features\.definitions import on_demand_function\n(\w+) = on_demand_function\('\1'\)\n"
)
_FUNCTIONS = ("UserDefinedFunction", "UserDefinedFunctionV2")


def refuse_foreign_code(registry: Path) -> None:
    """Nothing, or an error: Feast executes or unpickles what the file holds as soon as views are listed.

    Args:
        registry: The file; a missing one is fine.

    Raises:
        KairosError: The file is damaged, or holds a function other than an import of ours.
    """
    if not registry.exists():
        return
    from feast.protos.feast.core.Registry_pb2 import Registry
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    content = Registry()
    try:
        content.ParseFromString(registry.read_bytes())
    except DecodeError:
        raise KairosError(
            f"{registry} is no Feast registry; delete it and run `kairos materialize`."
        ) from None
    for function in _functions(content):
        if function.body or not _OURS.fullmatch(function.body_text):
            raise KairosError(
                f"{registry} holds code that Kairos did not write (function {function.name!r}); "
                "delete the file and run `kairos materialize`."
            )


def _functions(message: Any) -> Iterator[Any]:
    """Every user-defined function anywhere in the message."""
    if message.DESCRIPTOR.name in _FUNCTIONS:
        yield message
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            values = value.values() if hasattr(value, "values") else ()
        else:
            values = (value,) if hasattr(value, "ListFields") else value
        for part in values:
            if hasattr(part, "ListFields"):
                yield from _functions(part)
