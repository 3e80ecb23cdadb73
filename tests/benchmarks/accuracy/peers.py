"""The peers, tuned on the validation queries within the run, as fairly as we are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.progress import step
from models.baselines import baselines, grids, rank_all, tune
from models.candidates.retriever import Retriever
from models.interaction_log import InteractionLog
from models.queries import QuerySet
from models.vocabulary import Ints

TUNING_QUERIES = 1_500  # validation queries that choose between parameters; one in a few suffices for that
TUNING_SECONDS = 600.0


@dataclass(frozen=True)
class Peers:
    """The peers' rankings of the test queries.

    Attributes:
        rankings: By peer, item codes, test queries x RANKS.
        tuning: By peer: parameters, trials, validation NDCG@10, seconds.
    """

    rankings: Mapping[str, Ints]
    tuning: Mapping[str, Mapping[str, Any]]


def measure_peers(
    log: InteractionLog, queries: QuerySet, seconds: float = TUNING_SECONDS, seed: int = 20_171_204
) -> Peers:
    """Every peer's ranking, by the parameters that were best on validation.

    Args:
        log: Interactions of eligible items.
        queries: Of all splits.
        seconds: For all tuning together; a peer whose part is over keeps the best so far, and says so.
        seed: Of the draw of validation queries.
    """
    validation = drawn(queries.of_split("validation"), TUNING_QUERIES, seed)
    test = queries.of_split("test").queries
    known, tried = baselines(), grids()
    rankings: dict[str, Ints] = {}
    tuning: dict[str, dict[str, Any]] = {}
    left = seconds
    for position, (name, default) in enumerate(known.items()):
        with step("peer") as current:
            current.say(name)
            began = time.monotonic()
            waiting = sum(other in tried for other in list(known)[position:])
            best, facts = _tuned(log, validation, [default, *tried.get(name, ())], left / max(waiting, 1))
            took = time.monotonic() - began
            left -= took
            rankings[name] = rank_all(log, test, best)
            tuning[name] = facts | {
                "seconds": round(took, 2),
                "rank_seconds": round(time.monotonic() - began - took, 2),
            }
            current.say(f"{name}: {facts['parameters']}")
    return Peers(rankings, tuning)


def _tuned(
    log: InteractionLog, validation: QuerySet, grid: list[Retriever], seconds: float
) -> tuple[Retriever, dict[str, Any]]:
    """(the best of the grid, what was tried); the first, a known good choice, is always tried."""
    options = list({repr(one): one for one in grid}.values())
    if len(options) == 1 or seconds <= 0:
        return options[0], {"parameters": repr(options[0]), "trials": 0, "of": len(options)}
    began = time.monotonic()
    found: list[float] = []
    for one in options:
        spent = time.monotonic() - began
        if found and spent + spent / len(found) > seconds:
            break  # the next one would not end in time
        found.append(float(tune(log, validation, [one]).trials["ndcg@10"].iloc[0]))
    best = options[int(np.argmax(found))]
    facts = {"parameters": repr(best), "trials": len(found), "of": len(options), "ndcg10": max(found)}
    return best, facts


def drawn(queries: QuerySet, limit: int, seed: int) -> QuerySet:
    """At most `limit` of the queries, drawn evenly, with their truth."""
    if len(queries.queries) <= limit:
        return queries
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(queries.queries), limit, replace=False))
    kept = queries.queries.iloc[rows].reset_index(drop=True)
    truth = queries.truth[queries.truth["query_id"].isin(kept["query_id"])].reset_index(drop=True)
    return QuerySet(kept, truth)
