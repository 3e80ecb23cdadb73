"""Promises of pushes that were sent, beside what became of them; nothing is judged before its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from monitoring.model_health import HealthRow, model_health, worst

AS_OF = datetime(2026, 11, 27, tzinfo=UTC)


def world(pushes: int = 4_000, answer_share: float = 1.0, seed: int = 0):
    """(pushes, items, events): everybody answers with the promised chance, times a share."""
    rng = np.random.default_rng(seed)
    chance = rng.uniform(0.05, 0.5, pushes)
    sent = pd.Timestamp(AS_OF) - pd.to_timedelta(rng.integers(26, 200, pushes), unit="h")
    frame = pd.DataFrame(
        {
            "push_id": [f"p{n}" for n in range(pushes)],
            "user_id": [f"u{n}" for n in range(pushes)],
            "slot": rng.choice(["morning", "evening"], pushes),
            "sent_at": sent,
            "p_engage": chance,
        }
    )
    items = pd.DataFrame(
        {
            "push_id": np.repeat(frame["push_id"], 3),
            "rank": np.tile([1, 2, 3], pushes),
            "item_id": np.tile(["a", "b", "c"], pushes),
        }
    )
    answers = frame[rng.random(pushes) < chance * answer_share]
    events = pd.DataFrame(
        {
            "user_id": answers["user_id"],
            "event_type": "app_open",
            "event_ts": answers["sent_at"] + pd.Timedelta(hours=1),
            "item_id": None,
            "push_id": None,
        }
    )
    return frame, items, events


def whole(*parts, as_of: datetime = AS_OF) -> HealthRow:
    return model_health(*parts, as_of)[0]


def test_kept_promises_are_ok_in_every_slot() -> None:
    rows = model_health(*world(), AS_OF)
    assert [row.slice for row in rows] == ["", "slot=evening", "slot=morning"]
    assert worst(rows) == "ok" and 0.9 < rows[0].ratio < 1.1 and rows[0].ece < 0.03


@pytest.mark.parametrize(("share", "verdict"), [(0.8, "ok"), (0.6, "warn"), (0.3, "fail"), (0.0, "fail")])
def test_broken_promises_are_told(share: float, verdict: str) -> None:
    assert whole(*world(answer_share=share)).verdict == verdict


def test_one_broken_slot_is_not_averaged_away() -> None:
    pushes, items, events = world()
    silent = set(pushes.loc[pushes["slot"] == "morning", "user_id"])
    rows = model_health(pushes, items, events[~events["user_id"].isin(silent)], AS_OF)
    assert {row.slice: row.verdict for row in rows}["slot=morning"] == "fail"


def test_few_pushes_prove_nothing() -> None:
    assert whole(*world(90, answer_share=0.0)).verdict == "ok"


def test_what_was_sent_just_now_is_not_judged_and_the_future_is_not_known() -> None:
    pushes, items, events = world()
    assert model_health(pushes.assign(sent_at=pd.Timestamp(AS_OF)), items, events, AS_OF) == []
    assert model_health(pushes[:0], items, events, AS_OF) == []
    early = AS_OF - timedelta(hours=100)
    later = events[events["event_ts"] >= early]
    without = events[~events.index.isin(later.index)]
    assert len(later) and str(whole(pushes, items, events, as_of=early)) == str(
        whole(pushes, items, without, as_of=early)
    )


def test_answers_count_within_their_window_only() -> None:
    pushes, items, _ = world(200, answer_share=0.0)
    at = pushes.loc[0, "sent_at"]
    answer = {"user_id": "u0", "event_type": "view", "item_id": "a", "push_id": None}
    for hours, counted in ((-1, 0), (3.9, 1), (4.1, 0)):
        told = pd.DataFrame([{**answer, "event_ts": at + pd.Timedelta(hours=hours)}])
        assert whole(pushes, items, told).engaged == counted, hours
    opened = pd.DataFrame([{**answer, "event_type": "push_opened", "event_ts": at + pd.Timedelta(hours=20)}])
    assert whole(pushes, items, opened.assign(push_id="p0")).engaged == 1


def test_conversion_and_order_of_what_was_bought() -> None:
    pushes, items, _ = world(200, answer_share=0.0)
    sale = {"event_type": "purchase", "push_id": None}

    def bought(*sales: tuple[str, str, float]) -> HealthRow:
        rows = [
            {
                **sale,
                "user_id": user,
                "item_id": item,
                "event_ts": pushes.loc[int(user[1:]), "sent_at"] + pd.Timedelta(hours=hours),
            }
            for user, item, hours in sales
        ]
        return whole(pushes, items, pd.DataFrame(rows))

    assert bought(("u0", "a", 2)).converted == 1 and bought(("u0", "a", 2)).ndcg == 1.0
    assert bought(("u0", "c", 2)).ndcg == pytest.approx(0.5)
    assert bought(("u0", "a", 2), ("u0", "b", 3)).ndcg == pytest.approx(1.0)
    assert bought(("u0", "a", 25)).converted == 0 and bought(("u0", "x", 2)).converted == 0
    assert np.isnan(bought(("u0", "x", 2)).ndcg)
