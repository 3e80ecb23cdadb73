"""Notices on their way to one route: what became of each is recorded while its row is locked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, update

from infra.alert_rows import Delivery
from infra.notifier import DeliveryError
from infra.tables import alert_delivery

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 15.0, 900.0
MAX_ATTEMPTS = 8


@dataclass(frozen=True)
class Outbox:
    """Deliveries whose rows are locked; their outcomes are recorded here."""

    connection: Connection
    deliveries: tuple[Delivery, ...]
    now: datetime

    def record(self, deliveries: Sequence[Delivery], error: DeliveryError | None) -> None:
        """Nothing; what became of these is on record: sent, to be tried again, or failed for good."""
        for one in deliveries:
            attempts = one.attempts + 1
            facts: dict[str, Any] = {"attempts": attempts}
            if error is None:
                facts |= {"state": "sent", "finished_at": self.now, "last_error": None}
            elif error.is_final or attempts >= MAX_ATTEMPTS:
                facts |= {"state": "failed", "finished_at": self.now, "last_error": str(error)}
            else:
                wait = timedelta(seconds=wait_before(attempts))
                facts |= {"ready_at": self.now + wait, "last_error": str(error)}
            self.connection.execute(
                update(alert_delivery).where(alert_delivery.c.delivery == one.number).values(**facts)
            )


def wait_before(attempt: int) -> float:
    """Seconds before the next attempt: doubling, a quarter of an hour at most.

    Examples:
        >>> [wait_before(attempt) for attempt in (1, 2, 3, 20)]
        [15.0, 30.0, 60.0, 900.0]
    """
    return min(_FIRST_WAIT_SECONDS * 2.0 ** min(attempt - 1, 16), _LONGEST_WAIT_SECONDS)
