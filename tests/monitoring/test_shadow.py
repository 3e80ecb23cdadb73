"""A shadow beside the champion: alike is fine, upside down or twice as loud is not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from monitoring.shadow import compare_shadow


def candidates(seed: int = 0, users: int = 40, items: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    score = rng.normal(size=users * items)
    return pd.DataFrame(
        {
            "user_id": np.repeat([f"u{user}" for user in range(users)], items),
            "slot": "evening",
            "item_id": np.tile([f"i{item}" for item in range(items)], users),
            "score": score,
            "p_item": 1 / (1 + np.exp(3 - score)),
        }
    )


def pushes(of: pd.DataFrame, share: float = 1.0) -> pd.DataFrame:
    """The best item of each of a share of the users."""
    best = of.sort_values("score", ascending=False).drop_duplicates("user_id").sort_values("user_id")
    return best.head(round(len(best) * share))[["user_id", "slot", "item_id"]]


def compared(challenger: pd.DataFrame, share: float = 1.0) -> dict[str, tuple[float, str]]:
    champion = candidates()
    found = compare_shadow(champion, challenger, pushes(champion), pushes(challenger, share))
    assert [one.verdict for one in found] == sorted(
        (one.verdict for one in found), key=["fail", "warn", "ok"].index
    )
    return {one.name: (round(one.value, 3), one.verdict) for one in found}


def test_a_copy_is_alike_in_everything() -> None:
    told = compared(candidates())
    for name in ("top_overlap", "chance_ratio", "plan_size", "plan_users", "lead_items"):
        assert told[name] == (1.0, "ok"), name
    assert told["chance_shift"] == (0.0, "ok")


def test_scores_on_another_scale_do_not_matter_but_another_order_does() -> None:
    scaled = candidates().assign(score=lambda rows: rows["score"] * 100 - 7)
    assert compared(scaled)["top_overlap"] == (1.0, "ok")
    reversed_ = candidates().assign(score=lambda rows: -rows["score"])
    assert compared(reversed_)["top_overlap"][1] == "fail"
    assert compared(reversed_)["lead_items"][0] == 0.0


def test_chances_twice_as_high_and_plans_half_as_large_fail() -> None:
    louder = candidates().assign(p_item=lambda rows: rows["p_item"] * 2.2)
    assert compared(louder)["chance_ratio"] == (2.2, "fail")
    assert compared(louder)["chance_shift"][0] > 0.2
    assert compared(candidates(), share=0.5)["plan_size"] == (0.5, "fail")
    assert compared(candidates(), share=0.75)["plan_size"] == (0.75, "warn")


def test_plans_that_are_both_empty_are_alike() -> None:
    champion = candidates()
    none = pushes(champion).head(0)
    told = {one.name: one.value for one in compare_shadow(champion, champion, none, none)}
    assert told["plan_size"] == told["plan_users"] == told["lead_items"] == 1.0
