"""A canary beside the rest: harm is seen, chance is not, and looking every day changes neither."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from monitoring.guardrails import Guardrail, guardrails, users_proven
from monitoring.rate_ratio import rate_ratio

BEGUN = datetime(2024, 3, 25, tzinfo=UTC)
LATER = BEGUN + timedelta(days=2)
USERS = 2_000
NONE = pd.DataFrame(
    {
        "user_id": pd.Series(dtype="object"),
        "event_type": pd.Series(dtype="object"),
        "event_ts": pd.Series(dtype="datetime64[us, UTC]"),
        "push_id": pd.Series(dtype="object"),
    }
)


def sent(hours: float = 10.0) -> pd.DataFrame:
    """A push a user, a tenth of them from the canary m2."""
    users = np.arange(USERS)
    return pd.DataFrame(
        {
            "push_id": [f"p{user}" for user in users],
            "user_id": [f"u{user}" for user in users],
            "sent_at": pd.Timestamp(BEGUN) + pd.Timedelta(hours=hours),
            "model_version": np.where(users % 10 == 0, "m2", "m1"),
        }
    )


def did(kind: str, users: np.ndarray, hours: float = 11.0) -> pd.DataFrame:
    """An event of each of `users`; a push of his is named where it was opened."""
    named = [f"p{user}" for user in users] if kind == "push_opened" else None
    return pd.DataFrame(
        {
            "user_id": [f"u{user}" for user in users],
            "event_type": kind,
            "event_ts": pd.Timestamp(BEGUN) + pd.Timedelta(hours=hours),
            "push_id": named,
        }
    )


def found(*events: pd.DataFrame, as_of: datetime = LATER, pushes: pd.DataFrame | None = None):
    told = pd.concat([NONE, *events], ignore_index=True)
    rows = guardrails(sent() if pushes is None else pushes, told, "m2", as_of)
    return {one.name: one for one in rows}


def test_a_canary_whose_users_leave_breaks_and_says_how_many() -> None:
    leaving = np.concatenate([np.arange(0, 200, 10), np.arange(1, 200, 20)])
    one = found(did("opt_out", leaving))["opt_out"]
    assert (one.did, one.users, one.others_did, one.others) == (20, 200, 10, 1800)
    assert one.verdict == "fail" and one.ratio.ratio == pytest.approx(18.0)
    assert one.words.startswith("opt_out 20 of 200 users of the canary, 10 of 1,800 of the rest: 18.00 times")


def test_the_same_share_in_both_is_fine_and_a_few_more_is_chance() -> None:
    tenth = np.flatnonzero(np.arange(USERS) % 1_000 < 100)
    assert found(did("complaint", tenth))["complaint"].verdict == "ok"
    few = np.concatenate([np.arange(0, 40, 10), np.arange(1, 400, 25)])
    assert found(did("complaint", few))["complaint"].verdict == "warn"


def test_a_user_counts_once_however_often_and_only_after_the_push() -> None:
    again = [did("opt_out", np.array([0, 0, 10])), did("opt_out", np.array([20, 1]), hours=9.0)]
    one = found(*again)["opt_out"]
    assert (one.did, one.others_did) == (2, 0)


def test_an_answer_is_asked_for_only_when_its_time_is_over() -> None:
    opened = did("push_opened", np.arange(1, USERS, 2))  # nobody of the canary
    assert found(opened)["answered"].verdict == "fail"
    early = found(opened, as_of=BEGUN + timedelta(hours=12))
    assert "answered" not in early and set(early) == {"opt_out", "complaint"}
    assert users_proven(list(found(opened).values())) == 200 and users_proven(list(early.values())) == 0


def test_harm_counts_at_once() -> None:
    leaving = did("opt_out", np.arange(0, 400, 10))
    assert found(leaving, as_of=BEGUN + timedelta(hours=11, minutes=1))["opt_out"].verdict == "fail"
    assert found(leaving, as_of=BEGUN + timedelta(hours=11))["opt_out"].did == 0


def test_one_group_alone_tells_nothing() -> None:
    alone = sent()
    assert found(pushes=alone[alone["model_version"] == "m1"]) == {}


def test_the_worst_is_first() -> None:
    leaving = did("complaint", np.arange(0, 400, 10))
    rows: list[Guardrail] = guardrails(sent(), pd.concat([NONE, leaving]), "m2", LATER)
    assert rows[0].name == "complaint"


@pytest.mark.parametrize("chance", [0.003, 0.03, 0.3])
def test_looking_every_day_does_not_find_harm_that_is_not_there(chance: float) -> None:
    rng = np.random.default_rng(5)
    false, worlds, days = 0, 400, 14
    for _ in range(worlds):
        counts = rng.binomial(1, chance, USERS) * rng.integers(1, days + 1, USERS)
        ours = np.arange(USERS) % 10 == 0
        looks = [
            rate_ratio(
                int(((counts > 0) & (counts <= day) & ours).sum()),
                int(ours.sum()),
                int(((counts > 0) & (counts <= day) & ~ours).sum()),
                int((~ours).sum()),
            )
            for day in range(1, days + 1)
        ]
        false += any(look.low > 1.0 for look in looks)
    assert false / worlds <= 0.05
