"""Every consenting user's candidates for one local day, scored: when to reach them, and with what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd

from features.calendar import DAYPARTS
from features.scenes import SCENE_PARTS, UNKNOWN
from flows.ranking_rows import ranking_rows, resolved
from flows.timing_frame import with_timing_features
from flows.training_data import TrainingData
from infra.feature_store import KairosFeatureStore
from models.compiled import Scorer
from models.policy.open_slots import open_slots
from models.policy.params import PolicyParams
from models.queries import fit_instant, scoring_queries, usual_scenes
from models.ranker import Ranker
from models.timing import TimingModel
from models.timing_rows import with_last_scene
from models.usual_slots import USUAL, usual_slots


@dataclass(frozen=True)
class DayScores:
    """One day's scored opportunities.

    Attributes:
        candidates: (user_id, slot, *SCENE_PARTS, item_id, category, score, p_item, price, features...), one
            row per considered slot and candidate; the scene is the one assumed.
        timing: (user_id, slot, p_engage, *SCENE_PARTS), every slot of every user; the scene is that of the
            user's last session.
    """

    candidates: pd.DataFrame
    timing: pd.DataFrame


def score_day(
    features: KairosFeatureStore,
    data: TrainingData,
    ranker: Ranker,
    timing_model: TimingModel,
    plan_date: date,
    known_until: datetime,
    *,
    users: pd.DataFrame,
    slots_considered: int,
    policy: PolicyParams,
    threads: int,
    scorer: Scorer | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
    timezones: Collection[str] | None = None,
    slots: Sequence[str] = (),
) -> DayScores:
    """The day's scores for `users`, as of `known_until` or the day's local midnight, whichever is earlier.

    Ranking costs by slot, so only each user's `slots_considered` likeliest slots get candidates: those that
    quiet hours leave open and that are not over first, so that the others are ranked only where they show
    why a user hears nothing. The scene assumed is the user's usual one.

    Args:
        users: USERS rows of who may be reached.
        policy: Whose quiet hours count for users without their own.
        scorer: Who scores the candidates; the ranker itself when None.
        advance: Told (queries done, queries in all).
        timezones: Zones of everybody who is scored for the day, of whom `users` may be a part: what
            retrievers may know ends where the week begins first. Those of `users` by default.
        slots: Parts of the day to choose from, or `USUAL`, each user's own; none: all.
    """
    known = data.log.before(int(known_until.timestamp()))
    timing = _timing(features, data, timing_model, plan_date, known_until, users)
    reachable = open_slots(users, policy, plan_date, known_until).assign(is_open=True)
    ranked = timing.merge(reachable, on=["user_id", "slot"], how="left")
    ranked["is_open"] = ranked["is_open"].notna()
    if USUAL in slots:
        ranked = usual_slots(_known_sessions(data, known_until), ranked)
    elif slots:
        ranked = ranked[ranked["slot"].isin(slots)]
    ranked = ranked.sort_values(
        ["user_id", "is_open", "p_engage", "slot"], ascending=[True, False, False, True], ignore_index=True
    )
    likeliest = ranked[ranked.groupby("user_id", sort=False).cumcount() < slots_considered]
    usual = usual_scenes(known).set_index("user_id")
    opportunities = likeliest.assign(
        daypart=likeliest["slot"],
        timezone=likeliest["user_id"].map(users.set_index("user_id")["timezone"]),
        **{part: likeliest["user_id"].map(usual[part]).fillna(UNKNOWN) for part in SCENE_PARTS},
    ).sort_values(["user_id", "slot"], ignore_index=True)
    opportunities = resolved(opportunities, data.scenes)
    queries = scoring_queries(opportunities, plan_date, known_until)
    if timezones is not None:
        queries["fit_epoch_seconds"] = fit_instant(timezones, plan_date, known_until)
    parts = []
    for rows in ranking_rows(
        features, data, queries, None, advance=lambda done: advance(done, len(queries)), cut=ranker.cut
    ):
        scores = (scorer or ranker).score(rows.features, threads)
        place = rows.query_id  # query ids of scoring queries are their positions
        item = pd.Categorical(rows.item_id)
        category = data.categories.reindex(item.categories)
        keys = {
            "user_id": pd.Categorical(opportunities["user_id"]).take(place),
            "slot": pd.Categorical(opportunities["slot"], categories=list(DAYPARTS)).take(place),
            **{part: pd.Categorical(opportunities[part]).take(place) for part in SCENE_PARTS},
            "item_id": item,
            "category": pd.Categorical(category.to_numpy()[item.codes]),
            "score": scores,
            "p_item": ranker.chances(scores),
            "price": rows.features["item_price"].to_numpy(),
        }
        parts.append(pd.concat([pd.DataFrame(keys), rows.features], axis=1))
    return DayScores(_stacked(parts), timing.sort_values(["user_id", "slot"], ignore_index=True))


def no_scores() -> DayScores:
    """The scores of nobody, with the columns that a plan reads."""
    keys = ["user_id", "slot", *SCENE_PARTS, "item_id", "category"]
    return DayScores(
        pd.DataFrame(
            {name: pd.Series(dtype="object") for name in keys}
            | {name: pd.Series(dtype="float64") for name in ("score", "p_item", "price")}
        ),
        pd.DataFrame(
            {name: pd.Series(dtype="object") for name in ("user_id", "slot", *SCENE_PARTS)}
            | {"p_engage": pd.Series(dtype="float64")}
        ),
    )


def _timing(
    features: KairosFeatureStore,
    data: TrainingData,
    model: TimingModel,
    plan_date: date,
    known_until: datetime,
    users: pd.DataFrame,
) -> pd.DataFrame:
    grid = users.loc[users.index.repeat(len(DAYPARTS)), ["user_id", "timezone"]].reset_index(drop=True)
    grid["daypart"] = np.tile(np.array(DAYPARTS, dtype=object), len(users))
    grid["local_day"] = (plan_date - date(1970, 1, 1)).days
    grid = resolved(with_last_scene(grid, _known_sessions(data, known_until)), data.scenes)
    asked = scoring_queries(grid, plan_date, known_until)
    frame = with_timing_features(features, asked, data)
    keys = {"user_id": grid["user_id"], "slot": grid["daypart"], "p_engage": model.predict(frame)}
    return pd.DataFrame(keys | {part: pd.Categorical(grid[part]) for part in SCENE_PARTS})


def _known_sessions(data: TrainingData, known_until: datetime) -> pd.DataFrame:
    return data.sessions[data.sessions["epoch_seconds"] < int(known_until.timestamp())]


def _stacked(parts: list[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame()
    columns: dict[str, object] = {}
    for name in parts[0].columns:
        pieces = [part[name] for part in parts]
        if isinstance(pieces[0].dtype, pd.CategoricalDtype):
            columns[name] = pd.api.types.union_categoricals(pieces, sort_categories=True)
        else:
            columns[name] = np.concatenate([piece.to_numpy() for piece in pieces])
    return pd.DataFrame(columns, copy=False)
