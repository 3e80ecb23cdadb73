"""A plan much larger than usual is not published before somebody has said yes, on record."""

from __future__ import annotations

from datetime import date

from features.errors import RefusedError
from flows.alerts import raise_alert, recovered
from flows.wiring import Stores
from models.policy.blast_radius import SizeLimit, judge_size
from monitoring.alert_words import AlertFacts


def require_usual_size(stores: Stores, plan_date: date, pushes: int) -> None:
    """Nothing; the plan is no larger than usual, or its size is approved.

    Raises:
        RefusedError: It is larger; with the numbers, and how to approve it.
    """
    verdict = judge_size(
        pushes,
        stores.sizes.earlier(plan_date),
        stores.sizes.approved(plan_date),
        SizeLimit(max_growth=stores.settings.max_plan_growth),
    )
    if verdict.passes:
        recovered(stores, "plan_size")
    else:
        facts = AlertFacts(
            f"{plan_date}: {verdict.words}",
            "many users became reachable, a rule was loosened, or the scores rose",
            "the plan is not published; the one that was live stays",
        )
        raise_alert(stores, "plan_size", facts)
        raise RefusedError(
            f"the plan for {plan_date} is not published: {verdict.words}. If that is meant, run kairos plan "
            f'approve --date {plan_date} --pushes {pushes} --why "...", then kairos score again.'
        )
