"""The push plan: limits are never exceeded, everyone is accounted for, row order does not matter."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.calendar import DAYPARTS, daypart_of_hour
from features.errors import KairosError
from models.plan import build_plan
from models.plan_frames import PUSH_COLUMNS, Plan, push_id_of, with_reasons
from models.policy.facts import PolicyContext
from models.policy.params import PolicyParams
from models.policy.quiet_hours import in_quiet_window, minute_of_day
from models.price_medians import filled_prices, price_medians

PLAN_DATE = date(2017, 12, 4)
AS_OF = datetime(2017, 12, 4, 5, tzinfo=UTC)  # midnight in New York
ZONE = "America/New_York"


def scored_frame(users=("u1",), slots=("evening",), items=6, seed=0, category=None) -> pd.DataFrame:
    draws = np.random.default_rng(seed)
    rows = [
        (user, slot, "s1", f"i{item}", category or f"c{item % 3}", *draws.uniform(0.01, 1.0, 3))
        for user in users
        for slot in slots
        for item in range(items)
    ]
    return pd.DataFrame(
        rows, columns=["user_id", "slot", "store_id", "item_id", "category", "score", "p_item", "price"]
    )


def timing_frame(scored: pd.DataFrame, p_engage: float | dict[str, float] = 0.5) -> pd.DataFrame:
    pairs = scored[["user_id", "slot"]].drop_duplicates(ignore_index=True)
    values = pairs["slot"].map(p_engage) if isinstance(p_engage, dict) else p_engage
    return pairs.assign(p_engage=values)


def users_frame(ids=("u1",), **columns: object) -> pd.DataFrame:
    defaults = {
        "timezone": ZONE,
        "push_consent": True,
        "quiet_start": None,
        "quiet_end": None,
        "max_per_day": np.nan,
        "region": "north",
    }
    return pd.DataFrame({"user_id": list(ids), **defaults, **columns})


def context_for(scored: pd.DataFrame, purchases=(), pushes=(), as_of=AS_OF, **item_columns) -> PolicyContext:
    items = pd.DataFrame({"item_id": scored["item_id"].unique()})
    items = items.assign(**{"available": True, "stock": np.nan, "sensitive": False, **item_columns})
    return PolicyContext(
        as_of,
        items,
        pd.DataFrame(
            list(purchases), columns=["user_id", "item_id", "last_bought_epoch_seconds", "mean_gap_days"]
        ),
        pd.DataFrame(list(pushes), columns=["user_id", "sent_at", "channel"]),
    )


def plan_of(scored, users=None, timing=None, context=None, params=None, plan_date=PLAN_DATE) -> Plan:
    return build_plan(
        scored,
        timing_frame(scored) if timing is None else timing,
        users_frame(scored["user_id"].unique()) if users is None else users,
        context or context_for(scored),
        params or PolicyParams(default_timezone=ZONE, max_per_category=5),
        plan_date,
        "m1",
    )


def rules_of(plan: Plan, user: str = "u1") -> set[str]:
    return set(plan.suppressions.loc[plan.suppressions["user_id"] == user, "rule"])


def test_one_push_with_the_best_items_of_the_best_slot():
    scored = scored_frame(slots=("morning", "evening"))
    plan = plan_of(scored, timing=timing_frame(scored, {"morning": 0.1, "evening": 0.9}))
    assert list(plan.pushes.columns) == list(PUSH_COLUMNS)
    push = plan.pushes.iloc[0]
    evening = scored[scored["slot"] == "evening"].sort_values("score", ascending=False).head(5)
    assert push["slot"] == "evening"
    assert plan.items["item_id"].tolist() == evening["item_id"].tolist()
    assert plan.items["rank"].tolist() == [1, 2, 3, 4, 5]
    assert push["item_id"] == evening["item_id"].iloc[0]
    assert push["expected_value"] == pytest.approx(0.9 * (evening["p_item"] * evening["price"]).sum() * 0.25)
    assert push["push_id"] == push_id_of(PLAN_DATE, "u1", "evening")
    assert push["send_at"] == pd.Timestamp("2017-12-04T22:00Z")
    assert push["expires_at"] == pd.Timestamp("2017-12-05T02:00Z")
    assert push["scene"]["store_id"] == "s1" and push["scene"]["device"] == "unknown"
    assert plan.summary["pushes"] == 1 and plan.summary["rule_daily_cap"] == 1
    assert "evening is worth more" in plan.suppressions["detail"].iloc[0]


def test_a_push_carries_the_scene_that_was_assumed():
    told = {
        "device": "ios",
        "network": "wifi",
        "region": "south",
        "store_id": "s7",
        "channel": "app",
        "weather": "rain",
    }
    scored = scored_frame().assign(**told)
    assert plan_of(scored).pushes.iloc[0]["scene"] == told | {"channel": "push"}
    untold = plan_of(scored.assign(region="unknown", device=None)).pushes.iloc[0]["scene"]
    assert (untold["region"], untold["device"]) == ("north", "unknown"), "the user's own region"
    bare = plan_of(scored.drop(columns=["device", "network", "region", "channel", "weather"])).pushes.iloc[0][
        "scene"
    ]
    assert (bare["region"], bare["store_id"]) == ("north", "s7")


def test_joint_choice_prefers_the_slot_with_better_items():
    scored = scored_frame(slots=("morning", "evening"))
    scored.loc[scored["slot"] == "morning", "p_item"] *= 0.01
    plan = plan_of(scored, timing=timing_frame(scored, {"morning": 0.6, "evening": 0.5}))
    assert plan.pushes["slot"].tolist() == ["evening"]


def test_missing_consent_silences_and_unknown_users_have_none():
    scored = scored_frame(users=("u1", "u2", "stranger"))
    plan = plan_of(scored, users=users_frame(("u1", "u2"), push_consent=[None, True]))
    assert plan.pushes["user_id"].tolist() == ["u2"]
    assert rules_of(plan) == rules_of(plan, "stranger") == {"no_consent"}


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"available": False}, "unavailable"),
        ({"stock": 0.0}, "unavailable"),
        ({"sensitive": True}, "sensitive"),
    ],
)
def test_an_item_rule_can_empty_a_push(columns, rule):
    scored = scored_frame()
    plan = plan_of(scored, context=context_for(scored, **columns))
    assert plan.pushes.empty and rules_of(plan) == {rule}
    assert len(plan.suppressions) == 5  # only what would have made the push, of six candidates


def test_items_far_down_a_slot_go_where_all_better_ones_are_stopped():
    scored = scored_frame(items=60).sort_values("score", ascending=False, ignore_index=True)
    left = scored["item_id"].iloc[[3, 40, 55]]
    context = context_for(scored, available=scored["item_id"].isin(left).to_numpy())
    plan = plan_of(scored, context=context)
    assert plan.items["item_id"].tolist() == left.tolist()
    # The ledger tells of those that would have made the push.
    assert plan.suppressions["item_id"].tolist() == sorted(scored["item_id"].iloc[[0, 1, 2, 4]])


def test_an_item_without_a_catalogue_row_is_unavailable():
    scored = scored_frame()
    context = context_for(scored[scored["item_id"] != "i3"])
    plan = plan_of(scored, context=context)
    assert "i3" not in set(plan.items["item_id"]) and len(plan.items) == 5


def test_recently_bought_items_rest_and_due_ones_do_not():
    scored = scored_frame(items=3)
    now = AS_OF.timestamp()
    day = 86_400
    bought = [
        ("u1", "i0", now - 2 * day, 9.0),
        ("u1", "i1", now - 10 * day, 9.0),
        ("u1", "i2", now - 3600, np.nan),
    ]
    plan = plan_of(scored, context=context_for(scored, purchases=bought))
    assert plan.items["item_id"].tolist() == ["i1"]
    details = plan.suppressions.set_index("item_id")["detail"]
    assert details["i0"] == "bought 2.0 days ago, usually every 9.0 days"


def test_diversity_keeps_the_best_of_each_category():
    scored = scored_frame(items=6, category="milk")
    plan = plan_of(scored, params=PolicyParams(default_timezone=ZONE, max_per_category=2))
    best = scored.sort_values("score", ascending=False)["item_id"].head(2).tolist()
    assert plan.items["item_id"].tolist() == best
    assert rules_of(plan) == {"diversity"} and len(plan.suppressions) == 3


def test_quiet_hours_move_the_send_time_within_the_slot():
    scored = scored_frame(slots=("morning",))
    plan = plan_of(scored)
    assert plan.pushes["send_at"].iloc[0] == pd.Timestamp("2017-12-04T13:00Z")  # 08:00 local
    silent = plan_of(scored, users=users_frame(quiet_start="22:00", quiet_end="09:45"))
    assert silent.pushes.empty and rules_of(silent) == {"quiet_hours"}
    own = plan_of(scored, users=users_frame(quiet_start="22:00", quiet_end="05:00"))
    assert own.pushes["send_at"].iloc[0] == pd.Timestamp("2017-12-04T11:00Z")


def test_a_push_expires_when_quiet_hours_begin():
    scored = scored_frame(slots=("evening",))
    push = plan_of(scored, users=users_frame(quiet_start="19:00", quiet_end="08:00")).pushes.iloc[0]
    assert push["send_at"] == pd.Timestamp("2017-12-04T22:00Z")
    assert push["expires_at"] == pd.Timestamp("2017-12-05T00:00Z")  # 19:00 local, not the slot's 21:00
    short = plan_of(scored, users=users_frame(quiet_start="17:20", quiet_end="20:45"))
    assert short.pushes.empty and rules_of(short) == {"quiet_hours"}


def test_gap_counts_pushes_but_not_mail():
    scored = scored_frame(slots=("morning",))
    sent = pd.Timestamp("2017-12-04T03:31Z")  # 22:31 the evening before: the morning ends too soon
    context = context_for(scored, pushes=[("u1", sent, "push")])
    assert rules_of(plan_of(scored, context=context)) == {"min_gap"}
    mail = context_for(scored, pushes=[("u1", sent, "mail")])
    assert len(plan_of(scored, context=mail).pushes) == 1


def test_cap_counts_what_was_sent_that_local_day():
    scored = scored_frame(slots=("evening",))
    context = context_for(scored, pushes=[("u1", pd.Timestamp("2017-12-04T06:00Z"), None)])
    assert rules_of(plan_of(scored, context=context)) == {"daily_cap"}
    yesterday = context_for(scored, pushes=[("u1", pd.Timestamp("2017-12-04T04:59Z"), None)])
    assert len(plan_of(scored, context=yesterday).pushes) == 1


def test_several_pushes_a_day_keep_their_gap_and_repeat_no_item():
    scored = scored_frame(slots=("morning", "midday", "evening"), items=12)
    plan = plan_of(
        scored,
        users=users_frame(max_per_day=3),
        params=PolicyParams(default_timezone=ZONE, max_per_category=5, min_gap_hours=5),
    )
    gaps = plan.pushes["send_at"].diff().dropna()
    assert len(plan.pushes) == 2 and (gaps >= pd.Timedelta(hours=5)).all()
    assert not plan.items["item_id"].duplicated().any()
    assert "min_gap" in rules_of(plan)


def test_the_week_counts_every_campaign_but_mail():
    scored = scored_frame(slots=("evening",))
    week = [
        ("u1", pd.Timestamp("2017-12-03T10:00Z") - pd.Timedelta(days=day), channel)
        for day, channel in enumerate(["push", "app", "web_push", None, "mail", "EMAIL"])
    ]
    params = PolicyParams(default_timezone=ZONE, max_per_week=4)
    assert rules_of(plan_of(scored, context=context_for(scored, pushes=week), params=params)) == {
        "weekly_cap"
    }
    longer = [(user, sent - pd.Timedelta(days=3), channel) for user, sent, channel in week]
    plan = plan_of(scored, context=context_for(scored, pushes=longer), params=params)
    assert len(plan.pushes) == 1, "the oldest lies eight local days back"


def test_a_push_goes_later_in_its_slot_where_that_keeps_the_gap():
    scored = scored_frame(slots=("morning",))
    sent = pd.Timestamp("2017-12-04T01:30Z")  # 20:30 the evening before: 08:30 keeps twelve hours
    plan = plan_of(scored, context=context_for(scored, pushes=[("u1", sent, "push")]))
    assert plan.pushes["send_at"].tolist() == [pd.Timestamp("2017-12-04T13:30Z")]


def hours_of(users=("u1",), **weights: float) -> pd.DataFrame:
    """Shares of sessions by local hour: next to none but in the hours given, as h13=1.0."""
    shares = np.full(24, 1e-6)
    for hour, weight in weights.items():
        shares[int(hour[1:])] = weight
    return pd.DataFrame([shares / shares.sum()] * len(users), index=list(users))


def planned_at(scored, hours, quiet_action="defer", **columns: object) -> Plan:
    timing = users_frame().merge(pd.DataFrame({"slot": DAYPARTS, "p_engage": 0.2}), how="cross")
    params = PolicyParams(default_timezone=ZONE, quiet_action=quiet_action)
    users, context = users_frame(**columns), context_for(scored)
    return build_plan(scored, timing, users, context, params, PLAN_DATE, "m1", hours)


COMES_AT_ONE = {"h13": 1.0, "h14": 1.0, "h15": 1.0, "h16": 1.0}


def test_a_push_goes_just_before_people_come_and_never_in_quiet_hours():
    scored, hours = scored_frame(slots=("midday",)), hours_of(**COMES_AT_ONE)

    def local(**columns: object) -> list[str]:
        sent = planned_at(scored, hours, **columns).pushes["send_at"].dt.tz_convert(ZONE)
        return sent.dt.strftime("%H:%M").tolist()

    assert local() == ["13:00"]
    assert local(quiet_start="12:40", quiet_end="13:20") == ["13:20"], "as soon as quiet hours end"
    assert local(quiet_start="12:40", quiet_end="13:40") == ["12:00"], "twenty minutes are too few"
    assert local(quiet_start="12:40", quiet_end="13:20", quiet_action="drop") == []
    assert local(quiet_start="20:00", quiet_end="08:00", quiet_action="drop") == ["13:00"]
    assert planned_at(scored, None).pushes["send_at"].dt.tz_convert(ZONE).dt.hour.tolist() == [10]


def test_a_slot_that_has_begun_is_used_while_a_time_is_left():
    scored, hours = scored_frame(slots=("midday",)), hours_of(h10=1.0)
    late = context_for(scored, as_of=datetime(2017, 12, 4, 16, 45, tzinfo=UTC))  # 11:45 in New York
    timing = timing_frame(scored)
    params = PolicyParams(default_timezone=ZONE)
    plan = build_plan(scored, timing, users_frame(), late, params, PLAN_DATE, "m1", hours)
    assert plan.pushes["send_at"].dt.tz_convert(ZONE).dt.strftime("%H:%M").tolist() == ["12:00"]


def test_the_value_is_that_of_the_best_minute_and_slot_together():
    """More come in the evening, but all of them at its end; at midday a push reaches nearly everyone."""
    scored = scored_frame(slots=("midday", "evening"), items=1)
    scored[["p_item", "price"]] = [0.5, 8.0]
    timing = users_frame().merge(pd.DataFrame({"slot": DAYPARTS, "p_engage": 0.3}), how="cross")
    hours = hours_of(h13=1.0, h14=1.0, h20=1.0)
    params = PolicyParams(default_timezone=ZONE)
    plan = build_plan(scored, timing, users_frame(), context_for(scored), params, PLAN_DATE, "m1", hours)
    [push] = plan.pushes.itertuples()
    assert push.slot == "midday" and push.p_engage == 0.3
    assert push.expected_value == pytest.approx((1 - 0.7**2) * 0.5 * 8.0 * 0.25, rel=1e-3)


def test_pushes_of_late_make_the_next_one_dearer_until_silence_wins():
    scored = scored_frame(slots=("evening",), items=1)
    scored[["p_item", "price"]] = [0.5, 8.0]
    send = pd.Timestamp("2017-12-04T22:00Z")
    history = [("u1", send - pd.Timedelta(days=3), "push"), ("u1", send - pd.Timedelta(days=6), "push")]

    def planned(fatigue: float) -> Plan:
        params = PolicyParams(default_timezone=ZONE, fatigue_cost=fatigue, fatigue_half_life_days=3)
        return plan_of(scored, context=context_for(scored, pushes=history), params=params)

    free, dear = planned(0.0).pushes["expected_value"].iloc[0], planned(0.1).pushes["expected_value"].iloc[0]
    assert free == pytest.approx(0.5) and dear == pytest.approx(0.5 - 0.1 * (0.5 + 0.25))
    silent = planned(1.0)
    assert silent.pushes.empty
    assert silent.suppressions["detail"].tolist() == [
        "expected value -0.2500, must exceed 0; 0.7500 was taken off for 0.8 pushes of late"
    ]


def test_a_switch_stops_everything_or_a_category():
    scored = scored_frame(users=("u1", "u2"), items=6)
    items = {"category_path": [f"food > c{item % 3}" for item in range(6)]}

    def planned(*stops: tuple[str, str, str]) -> Plan:
        context = context_for(scored, **items)
        return plan_of(
            scored, context=replace(context, stops=pd.DataFrame(stops, columns=["scope", "target", "why"]))
        )

    off = planned(("all", "", "wrong prices"))
    assert off.pushes.empty and off.suppressions["detail"].tolist() == ["everything: wrong prices"] * 2
    some = planned(("category", "food > c0", "recall"), ("item", "i1", "broken"))
    assert set(some.items["item_id"]) == {"i2", "i4", "i5"}
    stopped = some.suppressions[some.suppressions["rule"] == "kill_switch"]
    assert set(stopped["item_id"]) <= {"i0", "i1", "i3"} and len(stopped)
    none = planned(("category", "food", "recall"))
    assert none.pushes.empty and rules_of(none) == {"kill_switch"}


def test_zones_that_a_setting_or_nobody_told_are_counted():
    scored = scored_frame(users=("u1", "u2", "u3"))
    users = users_frame(("u1", "u2", "u3"), timezone_source=["own", "place", "default"])
    assert plan_of(scored, users=users).summary["timezones_assumed"] == 2


def test_quiet_hours_are_the_users_own_else_the_countrys_else_the_default():
    scored = scored_frame(users=("own", "german", "regional", "other"), slots=("morning",))
    users = users_frame(
        ("own", "german", "regional", "other"),
        locale=["de_DE", "de_DE", None, "fr_FR"],
        region=["x", "x", "DE-BY", "x"],
        quiet_start=["22:00", None, None, None],
        quiet_end=["06:00", None, None, None],
    )
    params = PolicyParams(default_timezone=ZONE, country_quiet=(("DE", "21:00", "09:00"),))
    sent = plan_of(scored, users=users, params=params).pushes.set_index("user_id")["send_at"]
    hours = sent.dt.tz_convert(ZONE).dt.hour
    assert hours.to_dict() == {"own": 6, "german": 9, "regional": 9, "other": 8}


def test_slots_already_past_are_expired():
    scored = scored_frame(slots=("morning", "evening"))
    late = context_for(scored, as_of=datetime(2017, 12, 4, 18, tzinfo=UTC))
    plan = plan_of(scored, timing=timing_frame(scored, {"morning": 0.9, "evening": 0.1}), context=late)
    assert plan.pushes["slot"].tolist() == ["evening"] and "expired" in rules_of(plan)


def test_a_worthless_push_is_not_sent():
    scored = scored_frame()
    plan = plan_of(scored, params=PolicyParams(default_timezone=ZONE, min_expected_value=1e9))
    assert plan.pushes.empty and rules_of(plan) == {"below_value"}


def test_a_user_without_candidates_is_accounted_for():
    scored = scored_frame()
    plan = plan_of(scored, users=users_frame(("u1", "u9")))
    assert rules_of(plan, "u9") == {"below_value"}


def test_unknown_timezones_are_assumed_and_counted():
    scored = scored_frame(users=("u1", "u2", "u3"))
    users = users_frame(("u1", "u2", "u3"), timezone=[None, "Mars/Olympus", ZONE])
    plan = plan_of(scored, users=users)
    assert plan.summary["timezones_assumed"] == 2 and set(plan.pushes["timezone"]) == {ZONE}


def test_missing_prices_take_the_category_median():
    scored = scored_frame(items=3, category="c")
    scored["price"] = [2.0, 4.0, np.nan]
    scored["p_item"] = 0.5
    plan = plan_of(scored, timing=timing_frame(scored, 1.0))
    assert plan.pushes["expected_value"].iloc[0] == pytest.approx(0.25 * 0.5 * (2 + 4 + 3))
    assert plan.summary["prices_imputed"] == 1


def test_missing_prices_take_the_catalogues_median_where_it_is_known():
    scored = scored_frame(items=3, category="c")
    scored["price"] = [2.0, 4.0, np.nan]
    scored["p_item"] = 0.5
    usual = price_medians(pd.Series([1.0, 9.0, 6.0, 50.0]), pd.Series(["c", "c", "c", "d"]))
    context = replace(context_for(scored), usual_prices=usual)
    plan = plan_of(scored, timing=timing_frame(scored, 1.0), context=context)
    assert plan.pushes["expected_value"].iloc[0] == pytest.approx(0.25 * 0.5 * (2 + 4 + 6))


def test_prices_that_nobody_told_are_guessed_from_the_nearest_that_somebody_did():
    usual = price_medians(pd.Series([1.0, 2.0, 9.0, None]), pd.Series(["a", "a", None, "b"]))
    prices, kinds = pd.Series([5.0, None, None, None]), pd.Series(["a", "a", "b", None])
    filled, missing = filled_prices(prices, kinds, usual)
    assert (filled.tolist(), missing) == ([5.0, 1.5, 2.0, 2.0], 3)
    nothing = price_medians(pd.Series([None, None]), pd.Series(["a", "b"]))
    assert filled_prices(prices, kinds, nothing)[0].tolist() == [5.0, 1.0, 1.0, 1.0]


def test_send_times_on_the_day_clocks_change():
    scored = scored_frame(slots=("night",))
    users = users_frame(quiet_start="23:00", quiet_end="02:30")
    plan = plan_of(
        scored,
        users=users,
        plan_date=date(2017, 3, 12),
        context=context_for(scored, as_of=datetime(2017, 3, 1, tzinfo=UTC)),
    )
    assert plan.pushes["send_at"].iloc[0] == pd.Timestamp("2017-03-12T07:00Z")  # 02:30 does not exist: 03:00


def test_bad_input_is_named():
    scored = scored_frame()
    with pytest.raises(KairosError, match="candidates are repeated"):
        plan_of(pd.concat([scored, scored]), timing=timing_frame(scored))
    with pytest.raises(KairosError, match="1 candidates have no finite score"):
        plan_of(scored.assign(score=[np.nan, 1, 1, 1, 1, 1]))
    with pytest.raises(KairosError, match="no p_engage"):
        plan_of(scored, timing=timing_frame(scored)[:0])
    with pytest.raises(KairosError, match="'noon'"):
        plan_of(scored.assign(slot="noon"))


def test_reasons_reach_items_and_pushes():
    plan = plan_of(scored_frame(items=2))
    assert all(reasons for reasons in plan.items["reasons"])
    due = [{"code": "due", "words": "bought every 9 days, last 10 days ago"}]
    reasons = plan.items[["push_id", "item_id"]].assign(reasons=[due, due])
    worded = with_reasons(plan, reasons)
    assert worded.items["reasons"].tolist() == [due, due] and worded.pushes["reasons"].iloc[0] == due


def test_no_candidates_and_no_users_make_empty_plans_with_columns():
    scored = scored_frame()
    plan = plan_of(
        scored[:0], users=users_frame(("u1",)), timing=timing_frame(scored)[:0], context=context_for(scored)
    )
    assert plan.pushes.empty and list(plan.pushes.columns) == list(PUSH_COLUMNS)
    assert rules_of(plan) == {"below_value"}
    empty = plan_of(
        scored[:0], users=users_frame(()), timing=timing_frame(scored)[:0], context=context_for(scored)
    )
    assert empty.pushes.empty and empty.suppressions.empty and empty.summary["users"] == 0


@st.composite
def markets(draw):
    """A small random market with every kind of user, item and history."""
    seed = draw(st.integers(0, 10_000))
    zones = draw(
        st.lists(
            st.sampled_from([ZONE, "Asia/Kathmandu", "Europe/Paris", "UTC", None, "Nope"]),
            min_size=1,
            max_size=6,
        )
    )
    ids = [f"u{number}" for number in range(len(zones))]
    hours = st.sampled_from([None, "00:00", "07:30", "12:00", "21:00", "23:59", "soon"])
    users = users_frame(
        ids,
        timezone=zones,
        push_consent=[draw(st.sampled_from([True, True, True, False, None])) for _ in ids],
        quiet_start=[draw(hours) for _ in ids],
        quiet_end=[draw(hours) for _ in ids],
        max_per_day=[draw(st.sampled_from([np.nan, 0, 1, 2, 5])) for _ in ids],
    )
    slots = draw(st.lists(st.sampled_from(DAYPARTS), min_size=1, unique=True))
    scored = scored_frame(ids, slots, items=8, seed=seed)
    rng = np.random.default_rng(seed)
    scored = scored[rng.random(len(scored)) < 0.8].reset_index(drop=True)
    scored["price"] = scored["price"].where(rng.random(len(scored)) < 0.7)
    all_items = scored_frame(items=8)
    pushes = [
        (user, pd.Timestamp(AS_OF) + pd.Timedelta(hours=int(rng.integers(-30, 30))), "push")
        for user in ids
        if rng.random() < 0.4
    ]
    bought = [
        (user, f"i{item}", AS_OF.timestamp() - rng.uniform(0, 10) * 86_400, rng.choice([np.nan, 7.0]))
        for user in ids
        for item in range(8)
        if rng.random() < 0.3
    ]
    context = context_for(
        all_items,
        purchases=bought,
        pushes=pushes,
        available=rng.random(8) < 0.8,
        sensitive=rng.random(8) < 0.2,
    )
    params = PolicyParams(
        default_timezone=ZONE,
        max_per_category=draw(st.integers(1, 3)),
        max_items=draw(st.integers(1, 5)),
        min_gap_hours=draw(st.sampled_from([0.0, 4.0, 12.0])),
        max_per_week=draw(st.integers(1, 3)),
        min_expected_value=draw(st.sampled_from([0.0, 0.05])),
        fatigue_cost=draw(st.sampled_from([0.0, 0.05])),
        exploration_share=draw(st.sampled_from([0.0, 0.5])),
        quiet_action=draw(st.sampled_from(["defer", "drop"])),
    )
    return (
        scored,
        timing_frame(scored, dict(zip(DAYPARTS, rng.random(6), strict=True))),
        users,
        context,
        params,
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(markets())
def test_policy_holds_for_any_market(market):
    scored, timing, users, context, params = market
    hours = pd.DataFrame(np.random.default_rng(1).dirichlet(np.ones(24), len(users)), index=users["user_id"])
    hours = hours + 1e-9 if len(scored) % 2 else None
    plan = build_plan(scored, timing, users, context, params, PLAN_DATE, "m1", hours)
    pushes, people = plan.pushes, users.set_index("user_id")

    pushed, told = set(pushes["user_id"]), set(plan.suppressions["user_id"])
    assert pushed | told == set(users["user_id"])
    assert people.loc[list(pushed), "push_consent"].eq(True).all()
    cap = people["max_per_day"].fillna(1).clip(0, params.max_per_day)
    assert (pushes.groupby("user_id").size() <= cap.reindex(sorted(pushed))).all()
    assert (pushes["expected_value"] > params.min_expected_value).all()
    assert pushes["propensity"].between(0, 1, inclusive="right").all()
    assert pushes["propensity"].eq(1.0).all() or params.exploration_share > 0
    assert pushes["push_id"].is_unique and (pushes["send_at"] < pushes["expires_at"]).all()

    for push in pushes.itertuples():
        local = push.send_at.astimezone(ZoneInfo(push.timezone))
        assert local.date() == PLAN_DATE and daypart_of_hour(local.hour) == push.slot
        start, end = (
            minute_of_day(people.at[push.user_id, "quiet_start"]),
            minute_of_day(people.at[push.user_id, "quiet_end"]),
        )
        if start is None or end is None:
            start, end = 21 * 60, 8 * 60
        valid = pd.date_range(push.send_at, push.expires_at, freq="min", inclusive="left")
        valid = valid.tz_convert(push.timezone)
        minutes = np.asarray(valid.hour * 60 + valid.minute, dtype=np.int64)
        assert len(valid) >= params.min_window_minutes and not in_quiet_window(minutes, start, end).any()
        others = [
            *context.pushes.loc[context.pushes["user_id"] == push.user_id, "sent_at"],
            *pushes.loc[(pushes["user_id"] == push.user_id) & (pushes["push_id"] != push.push_id), "send_at"],
        ]
        assert all(
            abs((push.send_at - other).total_seconds()) >= params.min_gap_hours * 3600 for other in others
        )
        assert push.send_at >= AS_OF

    items = plan.items.merge(pushes[["push_id", "user_id"]], on="push_id")
    assert not items.duplicated(["user_id", "item_id"]).any()
    assert (items.groupby("push_id").size() <= params.max_items).all()
    catalogue = context.items.set_index("item_id").loc[items["item_id"]]
    assert catalogue["available"].all() and not catalogue["sensitive"].any()
    categories = items.merge(scored[["item_id", "category"]].drop_duplicates(), on="item_id")
    assert (categories.groupby(["push_id", "category"]).size() <= params.max_per_category).all()


@settings(max_examples=15, deadline=None)
@given(markets(), st.integers(0, 1000))
def test_row_order_changes_nothing(market, seed):
    scored, timing, users, context, params = market
    shuffled = [frame.sample(frac=1, random_state=seed) for frame in (scored, timing, users)]
    stirred = PolicyContext(
        context.as_of,
        *(
            frame.sample(frac=1, random_state=seed)
            for frame in (context.items, context.purchases, context.pushes)
        ),
    )
    first = build_plan(scored, timing, users, context, params, PLAN_DATE, "m1")
    second = build_plan(*shuffled, stirred, params, PLAN_DATE, "m1")
    pd.testing.assert_frame_equal(first.pushes, second.pushes)
    pd.testing.assert_frame_equal(first.items, second.items)
    pd.testing.assert_frame_equal(first.suppressions, second.suppressions)
    assert first.summary == second.summary
