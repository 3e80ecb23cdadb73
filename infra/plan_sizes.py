"""How big plans usually are, and which bigger ones somebody has approved, on record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import text

from features.errors import UsageError
from infra.database import Database

_DATES = 14


@dataclass(frozen=True)
class SizeApproval:
    """Up to so many pushes are approved for a plan date."""

    plan_date: date
    pushes: int
    who: str
    why: str


class PlanSizes:
    """Reads sizes of published plans; reads and writes approvals."""

    def __init__(self, database: Database) -> None:
        """Sizes kept in `database`, migrated."""
        self._database = database

    def earlier(self, plan_date: date) -> tuple[int, ...]:
        """Pushes of the live plans of the 14 newest plan dates before this one, newest first.

        This date's own plans are left out: a replan must not excuse itself.
        """
        query = text(
            "SELECT rows FROM kairos.push_batch WHERE status = 'live' AND plan_date < :day "
            "ORDER BY plan_date DESC LIMIT :dates"
        )
        with self._database.transaction() as connection:
            return tuple(connection.execute(query, {"day": plan_date, "dates": _DATES}).scalars())

    def approved(self, plan_date: date) -> int:
        """The largest approved number of pushes of that date; 0 without an approval."""
        query = text("SELECT coalesce(max(pushes), 0) FROM kairos.size_approval WHERE plan_date = :day")
        with self._database.transaction() as connection:
            return int(connection.execute(query, {"day": plan_date}).scalar_one())

    def approve(self, approval: SizeApproval) -> None:
        """Nothing; the approval is on record.

        Raises:
            UsageError: No reason, or no pushes.
        """
        if not approval.why.strip() or approval.pushes < 1:
            raise UsageError(
                f"an approval of {approval.pushes} pushes because {approval.why!r} says nothing; "
                "give --pushes and --why."
            )
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "INSERT INTO kairos.size_approval (plan_date, pushes, who, why) "
                    "VALUES (:plan_date, :pushes, :who, :why)"
                ),
                vars(approval),
            )
