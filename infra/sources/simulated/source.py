"""The simulated market as a source of the four tables, as they stand on the market's own today."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.source_mapping import SourceMapping
from infra.sources import SIMULATED_NOTE
from infra.sources.simulated.days import day_number, instant_of, midnight
from infra.sources.simulated.defects import with_defects
from infra.sources.simulated.diary import MarketDiary
from infra.sources.simulated.event_table import ARRIVES, known_by
from infra.sources.simulated.market import Market, market_of
from infra.sources.simulated.memory import PushMemory
from infra.sources.simulated.params import TIMEZONE, MarketParams, spec_of
from infra.sources.simulated.promotions import promotion_rows
from infra.sources.simulated.tables import item_rows, user_rows
from infra.sources.simulated.visits import visits

_MAPPING = "1"  # raise it whenever the same parameters come to mean other rows
_USERS_AT_ONCE, _DAYS_AT_ONCE = 5_000, 28


class SimulatedSource:
    """A made-up shop that answers pushes; the same specification gives the same rows."""

    default_timezone = TIMEZONE
    mapping = SourceMapping()

    def __init__(self, params: MarketParams, folder: Path | None = None) -> None:
        """Nothing is made yet.

        Args:
            params: Which market.
            folder: Where it remembers its days; None: it knows its history only.
        """
        self.name = spec_of(params)
        self.diary = MarketDiary(params, folder)
        self._params = params

    @property
    def market(self) -> Market:
        """Its people and goods, and with them the truth that the platform is not told."""
        return market_of(self._params)

    def fingerprint(self) -> str:
        """Digest of the parameters, of how far the days have gone and of what pushes brought about."""
        return f"{self.name}:{_MAPPING}:{self.diary.fingerprint()}"

    def notes(self) -> tuple[str, ...]:
        """What this data is, and what is wrong with it on purpose."""
        rates, params = self._params.defects, self._params
        lived = (self.diary.today - self.diary.history_end).days
        return (
            SIMULATED_NOTE,
            f"seed {params.seed}: {params.users:,} users, {params.items:,} items, {params.days} days without "
            f"pushes from {params.first_day} on, {lived} with them",
            f"on purpose {rates.late:.1%} of events come up to {rates.late_hours:.0f} hours late, "
            f"{rates.repeated:.1%} twice, {rates.lost:.1%} never, and beside {rates.broken:.2%} a broken one",
            "push consent: as its users gave it",
        )

    def memory(self) -> PushMemory:
        """What the pushes of all days before today left behind."""
        return PushMemory.empty(self.market).with_events(self.market, self.diary.read_days().to_pandas())

    def read(self, table: str) -> Iterator[Any]:
        """Chunks of one contract table as of the market's today."""
        today = day_number(self._params, self.diary.today)
        if table == "users":
            yield user_rows(self.market, today)
        elif table == "items":
            yield item_rows(self.market, today)
        elif table == "promotions":
            yield promotion_rows(self._params, range(today))
        else:
            yield from self._events(today)

    def _events(self, today: int) -> Iterator[pa.Table]:
        """All that happened and arrived before today's midnight in the shop's zone."""
        until = instant_of(midnight(self._params, today))
        memory = self.memory()
        for first in range(0, today + 1, _DAYS_AT_ONCE):
            days = range(first, min(first + _DAYS_AT_ONCE, today + 1))  # today has begun in the east
            for user in range(0, self._params.users, _USERS_AT_ONCE):
                users = range(user, min(user + _USERS_AT_ONCE, self._params.users))
                yield _told(visits(self.market, users, days, memory), until)
        answered = self.diary.read_days()
        if len(answered):
            yield _told(with_defects(self.market, answered), until)


def _told(events: pa.Table, until: int) -> pa.Table:
    """What the platform can know of these events by then."""
    return events.filter(pa.array(known_by(events, until))).drop_columns([ARRIVES])
