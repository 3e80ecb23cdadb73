"""Queries of any source: every session with a target asks, and sessions are split by time or as told.

Source: the ranking protocol for sources in general: a query is a session (a user's day where there is none)
with at least one eligible item; it may use nothing from 00:00 local of its day on, whichever part it is in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import UsageError
from features.interactions import EventWeights
from models.interaction_log import InteractionLog
from models.queries import SPLITS, QuerySet, queries_of_baskets
from models.vocabulary import Longs

TRAIN, VALIDATION, TEST = range(3)  # positions in SPLITS
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class SessionParams:
    """Which sessions become queries, and how they are split.

    Attributes:
        min_items: Distinct eligible targets a session needs.
        min_earlier_baskets: Sessions that the user needs before the cut-off; 0 lets newcomers ask.
        train_share, validation_share: Of the sessions, oldest first; the newest test.
        train_queries, validation_queries, test_queries: At most so many of each part ask: the newest of
            training, an even draw of the others.
        train_fits, validation_fits, test_fits: How often retrievers and peers are refitted within a part.
        seed: Of the draws.
    """

    min_items: int = 1
    min_earlier_baskets: int = 0
    train_share: float = 0.7
    validation_share: float = 0.1
    train_queries: int = 12_000
    validation_queries: int = 2_500
    test_queries: int = 6_000
    train_fits: int = 6
    validation_fits: int = 2
    test_fits: int = 4
    seed: int = 20_171_204

    def __post_init__(self) -> None:
        if not (self.train_share > 0 and 0 < self.validation_share < 1 - self.train_share):
            raise UsageError(
                f"train_share == {self.train_share} and validation_share == {self.validation_share}: both "
                "must be > 0 and their sum < 1; write 0.7 and 0.1 for 70/10/20."
            )
        for name in ("queries", "fits"):
            for split in SPLITS:
                if getattr(self, f"{split}_{name}") < 1:
                    found = getattr(self, f"{split}_{name}")
                    raise UsageError(f"{split}_{name} == {found}, must be >= 1.")

    def limit(self, part: int) -> int:
        """At most so many queries of this part."""
        return (self.train_queries, self.validation_queries, self.test_queries)[part]

    def fits(self, part: int) -> int:
        """At most so many fit instants of this part."""
        return (self.train_fits, self.validation_fits, self.test_fits)[part]


@dataclass(frozen=True)
class SplitInstants:
    """Where the parts meet: training sessions at or after an instant are of the next part.

    Attributes:
        validation, test: UTC seconds; NEVER where the source itself tells what validates or tests.
        whole_days: Whether a session counts by its cut-off, so that days stay whole, or by its start.
    """

    validation: int
    test: int = NEVER
    whole_days: bool = True


@dataclass(frozen=True)
class SessionQueries:
    """Queries that ask, and how many could have: `available` by split."""

    asked: QuerySet
    available: Mapping[str, int]


def event_worths(event_types: set[str]) -> dict[str, float]:
    """What each kind of event is worth beside the target, which is worth 1: the strongest kind there is.

    Args:
        event_types: The kinds that occur; those without an item are left out.

    Raises:
        UsageError: None of them concerns an item.

    Examples:
        >>> event_worths({"view", "purchase", "search"})
        {'view': 0.1, 'purchase': 1.0}
        >>> event_worths({"view", "add_to_cart"})
        {'view': 0.25, 'add_to_cart': 1.0}
    """
    scale = EventWeights()
    every = {"view": scale.view, "add_to_cart": scale.add_to_cart, "purchase": scale.purchase}
    known = {name: worth for name, worth in every.items() if name in event_types}
    if not known:
        raise UsageError(f"no event concerns an item; found {sorted(event_types)}, expected {list(every)}.")
    strongest = max(known.values())
    return {name: round(worth / strongest, 6) for name, worth in known.items()}


def split_instants(log: InteractionLog, params: SessionParams) -> SplitInstants:
    """Where the parts meet, by the sessions of the whole log, eligible or not.

    Days stay whole, so that nothing of a day teaches a ranker that is judged on the same day; shares are
    met as nearly as that allows. Only a source of fewer days than parts is cut within them.

    A source that splits its own events and names no validation gives the newest of its training sessions, as
    large a part of them as of a source that does not.

    Raises:
        UsageError: Too few sessions or days, or a source's own split has no train or no test.
    """
    first, targets = _sessions(log)
    first = first[targets > 0]
    if log.part is None:
        whole = len(np.unique(log.midnight[first])) >= len(SPLITS)
        moment = (log.midnight if whole else log.time)[first]
        known = params.train_share + params.validation_share
        validation = _boundary(moment, params.train_share, spare=1)
        return SplitInstants(validation, _boundary(moment, known, after=validation), whole)
    told = log.part[first]
    for part in (TRAIN, TEST):
        _require(bool((told == part).any()), f"no {SPLITS[part]} session in events.split", "both")
    if (told == VALIDATION).any():
        return SplitInstants(NEVER)
    share = params.train_share / (params.train_share + params.validation_share)
    first = first[told == TRAIN]
    whole = len(np.unique(log.midnight[first])) >= len((TRAIN, VALIDATION))
    return SplitInstants(_boundary((log.midnight if whole else log.time)[first], share), NEVER, whole)


def session_queries(log: InteractionLog, instants: SplitInstants, params: SessionParams) -> SessionQueries:
    """Queries and truth from a log that is already restricted to the eligible items.

    Targets are the rows of weight 1 (see `event_worths`); the truth holds them alone.

    Args:
        log: Interactions of eligible items.
        instants: From `split_instants`.
        params: Which sessions ask.

    Raises:
        UsageError: A part has no query.
    """
    first, targets = _sessions(log)
    user, cutoff = log.user[first], log.midnight[first]
    told = np.zeros(len(first), dtype=np.int32) if log.part is None else log.part[first]
    moment = cutoff if instants.whole_days else log.time[first]
    part = np.where((told == TRAIN) & (moment >= instants.validation), VALIDATION, told)
    part = np.where((told == TRAIN) & (moment >= instants.test), TEST, part)
    asks = (targets >= params.min_items) & (part >= 0)
    asks &= log.baskets_before(user, cutoff) >= params.min_earlier_baskets
    # Before anything has happened there is nothing to learn from.
    blind = asks & (part == TRAIN) & (cutoff <= int(log.time.min(initial=0)))
    if (asks & (part == TRAIN) & ~blind).any():
        asks &= ~blind
    rng = np.random.default_rng(params.seed)
    drawn: list[Longs] = []
    fits: list[Longs] = []
    available = {}
    for code, split in enumerate(SPLITS):
        own = np.flatnonzero(asks & (part == code))
        _require(len(own) > 0, f"no {split} session with {params.min_items} eligible target(s)", "one")
        available[split] = len(own)
        limit = params.limit(code)
        if len(own) > limit and code == TRAIN:
            own = own[np.argsort(cutoff[own], kind="stable")[-limit:]]
        elif len(own) > limit:
            own = np.sort(rng.choice(own, limit, replace=False))
        drawn.append(own)
        fits.append(fit_instants(cutoff[own], params.fits(code)))
    chosen = np.concatenate(drawn)
    asked = queries_of_baskets(
        log,
        first[chosen],
        np.array(SPLITS)[part[chosen]],
        np.concatenate(fits),
        np.where(log.weight >= 1, log.weight, 0).astype(np.float32),
    )
    return SessionQueries(asked, available)


def fit_instants(cutoff: Longs, fits: int) -> Longs:
    """When the models that serve each query are fitted: the earliest cut-off of its group.

    Queries fall into at most `fits` groups by cut-off, as even as whole cut-offs allow; a model then serves
    all of its group and has seen nobody's day.

    Examples:
        >>> fit_instants(np.array([10, 20, 20, 30, 40, 40]), 2).tolist()
        [10, 10, 10, 30, 30, 30]
    """
    days, place, count = np.unique(cutoff, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - count / 2
    group = np.minimum((middle * fits / len(cutoff)).astype(np.int64), fits - 1)
    _, start = np.unique(group, return_index=True)
    return np.asarray(days[start[np.searchsorted(start, place, side="right") - 1]], dtype=np.int64)


def _sessions(log: InteractionLog) -> tuple[Longs, NDArray[np.int64]]:
    """(position of each session's first row, its targets), in order of session codes."""
    _, first, session = np.unique(log.basket, return_index=True, return_inverse=True)
    targets = np.bincount(session, weights=log.weight >= 1, minlength=len(first))
    return first.astype(np.int64), targets.astype(np.int64)


def _boundary(moment: Longs, share: float, *, after: int | None = None, spare: int = 0) -> int:
    """The moment before which the share of sessions nearest to `share` lies.

    Args:
        moment: Of each session, UTC seconds.
        share: Wanted, in (0, 1).
        after: The boundary is later than this one.
        spare: Leave so many later moments besides the boundary's own.
    """
    moments, count = np.unique(moment, return_counts=True)
    before = (np.cumsum(count) - count) / max(len(moment), 1)
    allowed = np.arange(1, len(moments) - spare)
    if after is not None:
        allowed = allowed[moments[allowed] > after]
    _require(len(allowed) > 0, f"sessions at {len(moments)} moments", "at least one a part")
    return int(moments[allowed[np.argmin(np.abs(before[allowed] - share))]])


def _require(met: bool, found: str, expected: str) -> None:
    if not met:
        raise UsageError(
            f"queries: found {found}, expected {expected}; load more history, or name a part of every event "
            "in the column split (train, validation, test)."
        )
