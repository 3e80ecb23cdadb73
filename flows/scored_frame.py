"""A day's scored candidates as drift is watched on them: scores, chances, who proposed what, features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from flows.scored_shards import ScoredShards
from models.candidates.blend import default_sources
from models.importance import contribution_shares
from models.ranker import Ranker
from monitoring.attribution_drift import Shares
from monitoring.candidate_mix import CATEGORY, with_proposers

SCORED = ("score", "p_item", "p_engage")
_EXPLAINED_ROWS, _EXPLAINED_USERS = 400, 20
"""Enough for shares to two per cent, few enough to explain in a second."""


@dataclass(frozen=True)
class ScoredFrames:
    """What is compared.

    Attributes:
        reference: Of earlier weeks, with `period`.
        current: Of the day, for the users of the reference: who is drawn must not look like drift.
        columns: Those of both that are watched.
    """

    reference: pd.DataFrame
    current: pd.DataFrame
    columns: list[str]


def with_chances(candidates: pd.DataFrame, timing: pd.DataFrame) -> pd.DataFrame:
    """The candidates with `p_engage`, their occasion's chance of an answer."""
    keys = ["user_id", "slot"]
    plain = timing[[*keys, "p_engage"]].astype(dict.fromkeys(keys, "object"))
    occasions = candidates[keys].astype("object").merge(plain, on=keys, how="left")
    return candidates.assign(p_engage=occasions["p_engage"].to_numpy())


def scored_frames(reference: pd.DataFrame, files: ScoredShards, features: Sequence[str]) -> ScoredFrames:
    """The frames of a version's reference and of its scores of a day.

    Args:
        reference: As training kept it; one of an older version may lack chances and categories.
        features: Of the ranker, that are watched.
    """
    proposing = [one.retriever.name for one in default_sources() if one.budget]
    opinions = [f"score_{name}" for name in proposing if f"score_{name}" in reference]
    users = reference["user_id"].unique().tolist()
    asked = list(dict.fromkeys(("score", "p_item", CATEGORY, *opinions, *features)))
    current = files.read_columns(["user_id", "slot", *asked], users)
    timing = files.read_timing()
    current = with_chances(current, timing[timing["user_id"].isin(users)])
    before, proposers = with_proposers(reference, proposing)
    now, _ = with_proposers(current, proposing)
    told = [name for name in (*SCORED, CATEGORY) if name in before]
    return ScoredFrames(before, now, list(dict.fromkeys([*told, *proposers, *features])))


def theme_shares_now(ranker: Ranker, files: ScoredShards, users: Sequence[str], threads: int) -> Shares:
    """What decides the scores of a day, theme by theme, for a draw of these users' candidates."""
    rows = files.read_columns(list(ranker.features), list(users)[:_EXPLAINED_USERS])
    return explained(ranker, rows, threads)


def theme_shares_before(
    ranker: Ranker, reference: pd.DataFrame, period: str, threads: int
) -> dict[str, Shares]:
    """The same for each period of the reference, of the same users."""
    users = reference["user_id"].unique().tolist()[:_EXPLAINED_USERS]
    drawn = reference[reference["user_id"].isin(users)]
    return {str(name): explained(ranker, rows, threads) for name, rows in drawn.groupby(period)}


def explained(ranker: Ranker, rows: pd.DataFrame, threads: int) -> Shares:
    """Each theme's part of the contributions to the scores of a draw of the rows."""
    drawn = rows[list(ranker.features)].sample(min(_EXPLAINED_ROWS, len(rows)), random_state=0)
    _, themes = contribution_shares(ranker.contributions(drawn, threads), ranker.features)
    return {str(row["theme"]): float(row["share"]) for row in themes}
