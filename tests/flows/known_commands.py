"""What of a command line our CLI does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer.main

from flows import cli

_ENDS = (";", "&&", "|", ">")


def unknown_part(words: Sequence[str]) -> str | None:
    """The first word after `kairos` that is no command or option of ours; None when there is none."""
    if "kairos" not in words:
        return None
    command: Any = typer.main.get_command(cli.app)
    for word in words[words.index("kairos") + 1 :]:
        if word in _ENDS:
            break
        if hasattr(command, "commands"):
            found = command.commands.get(word)
            if found is None:
                return word
            command = found
        elif word.startswith("--") and not any(word in option.opts for option in command.params):
            return word
    return None
