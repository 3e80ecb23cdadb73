"""What is stored of an alert and of its notices, as the flows read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StoredAlert:
    """A row of `alert`: its columns as attributes of `row`."""

    row: Mapping[str, Any]

    @property
    def number(self) -> int:
        """What `kairos alert list` shows first."""
        return int(self.row["alert"])

    @property
    def key(self) -> str:
        """The incident's dedup_key."""
        return str(self.row["dedup_key"])


@dataclass(frozen=True)
class NewAlert:
    """What is wrong, as it is stored.

    Attributes:
        details: JSON-ready facts.
    """

    dedup_key: str
    kind: str
    subject: str
    severity: str
    owner: str
    title: str
    runbook: str
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Delivery:
    """One notice on its way to one route."""

    number: int
    route: str
    notice: str
    attempts: int
    alert: StoredAlert
