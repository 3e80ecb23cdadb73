"""What a simulated day's pushes brought about, counted, and as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date

import pandas as pd

from infra.sources import SIMULATED_NOTE


@dataclass(frozen=True)
class DayOutcome:
    """One simulated day.

    Attributes:
        day: In the shop's zone.
        champion: Who planned it.
        sent, delivered, opened, dismissed: Pushes.
        purchases: Lines bought because of a push.
        buyers: Pushes that sold something.
        amount: What was paid for them.
        opt_outs, complaints: Users lost.
    """

    day: date
    champion: str
    sent: int
    delivered: int
    opened: int
    dismissed: int
    buyers: int
    purchases: int
    amount: float
    opt_outs: int
    complaints: int

    @property
    def words(self) -> str:
        """The day in one line.

        Examples:
            >>> DayOutcome(date(2024, 9, 16), "m", 100, 97, 9, 20, 2, 3, 12.5, 1, 0).words
            '100 sent, 9 opened (9.3%), 2 sold (2.1%), 12.50 paid, 1 opt-outs, 0 complaints'
        """
        shown = max(self.delivered, 1)
        return (
            f"{self.sent:,} sent, {self.opened:,} opened ({self.opened / shown:.1%}), {self.buyers:,} sold "
            f"({self.buyers / shown:.1%}), {self.amount:,.2f} paid, {self.opt_outs:,} opt-outs, "
            f"{self.complaints:,} complaints"
        )


COLUMNS = tuple(field.name.replace("_", "-") for field in fields(DayOutcome))


def day_outcome(day: date, champion: str, happened: pd.DataFrame) -> DayOutcome:
    """The day's counts.

    Args:
        happened: EVENTS rows of what its pushes brought about, none late, lost or repeated.
    """
    counts = happened["event_type"].value_counts()
    bought = happened[happened["event_type"] == "purchase"]

    def count(name: str) -> int:
        return int(counts.get(name, 0))

    return DayOutcome(
        day=day,
        champion=champion,
        sent=count("push_sent"),
        delivered=count("push_delivered"),
        opened=count("push_opened"),
        dismissed=count("push_dismissed"),
        buyers=int(bought["push_id"].nunique()),
        purchases=len(bought),
        amount=round(float(bought["amount"].sum()), 2),
        opt_outs=count("opt_out"),
        complaints=count("complaint"),
    )


def outcome_rows(outcomes: Sequence[DayOutcome]) -> list[tuple[object, ...]]:
    """A row a day under `COLUMNS`."""
    return [(one.day.isoformat(), *astuple(one)[1:]) for one in outcomes]


def simulation_markdown(outcomes: Sequence[DayOutcome]) -> str:
    """The days as a page, which says that nothing in it is real."""
    lines = [f"**{SIMULATED_NOTE}**", "", f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    rows = (f"| {' | '.join(map(str, row))} |" for row in outcome_rows(outcomes))
    return "\n".join([*lines, *rows])
