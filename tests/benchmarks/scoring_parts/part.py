"""What a part of a benchmark is: it measures something and says which targets that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

Say = Callable[[str], None]


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes:
        sizes: Three or more, from small to large; each part says of what, as a share of its full size.
        repeats: Of each timing; medians are told.
        threads: What every contender may use.
        seed: The same seed measures the same rows.
    """

    sizes: tuple[float, ...] = (0.01, 0.1, 1.0)
    repeats: int = 5
    threads: int = 2
    seed: int = 7


@dataclass(frozen=True)
class Found:
    """What a part measured.

    Attributes:
        figures: JSON can hold them; those that a target names lie at the top.
        tables: For people.
        words: One line.
        notes: What a reader must know to judge the figures.
    """

    figures: Mapping[str, Any]
    words: str
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        name: What `--only` calls it.
        measure: (effort, an empty folder, who is told of progress) -> what was found.
        targets: Figure -> ("at most" or "at least", bound).
    """

    name: str
    measure: Callable[[Effort, Path, Say], Found]
    targets: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    def verdicts(self, found: Found) -> dict[str, bool]:
        """Whether each target that was measured holds."""
        return {
            name: found.figures[name] <= bound if how == "at most" else found.figures[name] >= bound
            for name, (how, bound) in self.targets.items()
            if name in found.figures
        }
