"""Graded relevance: what was looked at or put in the cart is worth something, what was bought is worth more.

Only what a ranker learns from is graded. What it is judged by and calibrated to stays the target alone: the
strongest kind of event that a source has, a purchase wherever there are any.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from itertools import pairwise

import numpy as np
import pandas as pd

from features.errors import UsageError


@dataclass(frozen=True)
class RelevanceParams:
    """What each kind of event is worth to the query on whose day it happens, weakest first; 0 leaves it out.

    Examples:
        >>> RelevanceParams(add_to_cart=2.0)
        Traceback (most recent call last):
        features.errors.UsageError: relevance view=0.1, add_to_cart=2.0, purchase=1.0 must rise from left to \
right and be >= 0; a stronger event is worth more.
    """

    view: float = 0.1
    add_to_cart: float = 0.4
    purchase: float = 1.0

    def __post_init__(self) -> None:
        worths = astuple(self)
        if worths[0] < 0 or any(weak >= strong for weak, strong in pairwise(worths)):
            told = ", ".join(f"{name}={worth}" for name, worth in zip(KINDS, worths, strict=True))
            raise UsageError(
                f"relevance {told} must rise from left to right and be >= 0; a stronger event is worth more."
            )


KINDS = tuple(field.name for field in fields(RelevanceParams))
"""Event types with an item, weakest first."""


@dataclass(frozen=True)
class Engagements:
    """What users did with items short of the target.

    Attributes:
        target: The strongest event type there is; '' where there is none.
        events: (user_id, item_id, local_day, event_type) of weaker ones, once each; local_day counts days
            since 1970-01-01.
    """

    target: str
    events: pd.DataFrame


def engagements_of(history: pd.DataFrame, items: pd.Series[str], first_day: int) -> Engagements:
    """The weaker events of these items from `first_day` (local, days since 1970-01-01) on.

    Args:
        history: user_id, item_id, local_day and event_type of interactions.
        items: Eligible items: only these are ever ranked.
        first_day: Of the oldest query.
    """
    present = set(history["event_type"].unique())
    target = next((kind for kind in reversed(KINDS) if kind in present), "")
    columns = ["user_id", "item_id", "local_day", "event_type"]
    weaker = history["event_type"].isin([kind for kind in KINDS if kind in present and kind != target])
    events = history.loc[weaker.to_numpy() & (history["local_day"].to_numpy() >= first_day), columns]
    events = events[events["item_id"].isin(items)].drop_duplicates(ignore_index=True)
    return Engagements(target, events)


def graded_truth(
    queries: pd.DataFrame, truth: pd.DataFrame, engagements: Engagements, params: RelevanceParams
) -> pd.DataFrame:
    """The truth with weaker engagements added, each worth its part of the target's relevance.

    An item counts with the strongest thing that its user did with it on the query's local day, in whichever
    session: what is planned at midnight is for that whole day. Targets keep the relevance they have.

    Args:
        queries: query_id, user_id and local_day.
        truth: (query_id, item_id, relevance) of the targets.
        engagements: From `engagements_of`.
        params: What each kind is worth.

    Returns:
        (query_id, item_id, relevance), by query and item; `truth` itself where nothing weaker counts.

    Examples:
        >>> asked = pd.DataFrame({"query_id": [0], "user_id": ["u"], "local_day": [9]})
        >>> bought = pd.DataFrame({"query_id": [0], "item_id": ["tea"], "relevance": [1.0]})
        >>> seen = pd.DataFrame({"user_id": ["u", "u"], "item_id": ["tea", "milk"], "local_day": [9, 9],
        ...                      "event_type": ["view", "view"]})
        >>> graded_truth(asked, bought, Engagements("purchase", seen), RelevanceParams()).values.tolist()
        [[0, 'milk', 0.1], [0, 'tea', 1.0]]
    """
    worth_of = {kind: worth for kind, worth in zip(KINDS, astuple(params), strict=True) if worth > 0}
    events = engagements.events[engagements.events["event_type"].isin(list(worth_of))]
    if not len(events) or not worth_of.get(engagements.target):
        return truth
    keys = ["user_id", "local_day"]
    asked = queries[["query_id", *keys]].astype({"user_id": "object", "local_day": "int64"})
    told = events.astype({"user_id": "object", "item_id": "object", "local_day": "int64"})
    found = asked.merge(told, on=keys)[["query_id", "item_id", "event_type"]]
    found["relevance"] = (
        found.pop("event_type").astype("object").map(worth_of).astype(np.float64)
        / worth_of[engagements.target]
    )
    both = pd.concat([truth.astype({"item_id": "object"}), found], ignore_index=True)
    return both.groupby(["query_id", "item_id"], sort=True)["relevance"].max().reset_index()
