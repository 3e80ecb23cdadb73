"""Beyond accuracy: how much of the catalogue a ranking shows, how varied, how surprising, how biased.

Source: Vargas and Castells (2011), Rank and relevance in novelty and diversity metrics; Abdollahpouri and
others (2019), The unfairness of popularity bias in recommendation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.bootstrap import UserSample
from models.evaluation import Estimate, EvaluationParams
from models.interaction_log import InteractionLog
from models.metrics import Doubles
from models.slices import bought_before, users_per_item
from models.vocabulary import Ints, Longs

SHOWN = 10
MEANS = ("diversity", "novelty_bits", "popularity_percentile", "users_reach", "new_to_user")
WHOLES = ("coverage", "gini")
TARGETS = "what was bought"


@dataclass(frozen=True)
class BeyondRow:
    """One ranking; lists are its first SHOWN items.

    Attributes:
        model: Its name, or TARGETS for what users bought, the yardstick of every bias.
        measures: 'coverage': share of the catalogue in anyone's list. 'gini': of how often items are shown,
            0 all alike, 1 one item only. 'diversity': share of a list's pairs from different categories.
            'novelty_bits': mean -log2 of the share of users who knew the item. 'popularity_percentile': mean
            place of the items by reach, 0 the most popular, 1 the least. 'users_reach': mean share of users
            who bought the item before. 'new_to_user': share of the list that the user never bought.
        leads: Baseline -> measure -> ours minus the baseline's; only for our ranking.
    """

    model: str
    measures: Mapping[str, Estimate]
    leads: Mapping[str, Mapping[str, Estimate]]

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON types."""

        def plain(measures: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
            return {
                name: {key: value if np.isfinite(value) else None for key, value in asdict(one).items()}
                for name, one in measures.items()
            }

        return {
            "model": self.model,
            "measures": plain(self.measures),
            "leads": {base: plain(measures) for base, measures in self.leads.items()},
        }


def beyond_accuracy(
    log: InteractionLog,
    queries: pd.DataFrame,
    truth: pd.DataFrame,
    rankings: Mapping[str, Ints],
    ours: str,
    baselines: Sequence[str] = (),
    params: EvaluationParams | None = None,
) -> list[BeyondRow]:
    """One row a ranking, then one for what was bought.

    Args:
        log: Interactions of the items that are ranked; reach is that before the first query's cut-off.
        queries: QUERY_COLUMNS, in the rankings' row order.
        truth: (query_id, item_id).
        rankings: Name -> item codes, queries x ranks, best first, -1 for nothing.
        ours: The ranking that is compared.
        baselines: With these.
        params: Resamples, confidence and seed.

    Means are bootstrapped over users, coverage and Gini are jackknifed over groups of users.
    """
    sample = UserSample.of(queries["user_id"], params)
    codes = log.encode(queries)
    reach = users_per_item(log, int(codes.cutoff.min()))
    lists = {name: ranked[:, :SHOWN] for name, ranked in rankings.items()} | {
        TARGETS: _target_lists(log, queries, truth)
    }
    means: dict[str, tuple[Doubles, Doubles]] = {}
    wholes: dict[str, dict[str, tuple[float, Doubles]]] = {}
    for name, shown in lists.items():
        new = (shown >= 0) & ~bought_before(
            log,
            np.repeat(codes.user, shown.shape[1]),
            shown.reshape(-1),
            np.repeat(codes.cutoff, shown.shape[1]),
        ).reshape(shown.shape)
        values = query_measures(shown, log.item_category, reach, log.n_users, new)
        totals = sample.totals(np.column_stack([np.nan_to_num(values), np.isfinite(values)]))
        drawn = sample.resampled(totals)
        with np.errstate(invalid="ignore", divide="ignore"):
            means[name] = (
                totals[:, : len(MEANS)].sum(axis=0) / totals[:, len(MEANS) :].sum(axis=0),
                drawn[:, : len(MEANS)] / drawn[:, len(MEANS) :],
            )
        wholes[name] = _wholes(sample, shown, log.n_items)
    return [
        BeyondRow(
            name,
            _measured(sample, means[name], wholes[name]),
            {
                base: _measured(
                    sample,
                    (means[name][0] - means[base][0], means[name][1] - means[base][1]),
                    {
                        key: (one[0] - wholes[base][key][0], one[1] - wholes[base][key][1])
                        for key, one in wholes[name].items()
                    },
                )
                for base in (*baselines, TARGETS)
                if name == ours and base != ours and base in lists
            },
        )
        for name in lists
    ]


def query_measures(
    shown: Ints, item_category: Ints, reach: Longs, n_users: int, new: NDArray[np.bool_]
) -> Doubles:
    """MEANS of each list, queries x measures; missing for an empty list, diversity for one of a single item.

    Args:
        shown: Item codes, -1 for nothing.
        item_category: Category code of each item.
        reach: Distinct users of each item.
        n_users: In all.
        new: Whether each shown item is new to the user.
    """
    filled = shown >= 0
    size = filled.sum(axis=1)
    category = np.append(item_category, -1)[shown]
    alike = np.zeros(len(shown))
    for left in range(shown.shape[1] - 1):
        same = (category[:, left : left + 1] == category[:, left + 1 :]) & filled[:, left + 1 :]
        alike += np.where(filled[:, left], same.sum(axis=1), 0)
    pairs = size * (size - 1) / 2
    # Half a user more, so that an item that nobody knows is very novel and not infinitely so.
    share = np.append((reach + 0.5) / (n_users + 1.0), np.nan)
    percentile = np.append(np.argsort(np.argsort(-reach, kind="stable")) / max(len(reach) - 1, 1), np.nan)
    known = np.append(reach / max(n_users, 1), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.column_stack(
            [
                1 - alike / np.where(pairs > 0, pairs, np.nan),
                np.where(filled, -np.log2(share)[shown], 0).sum(axis=1) / np.where(size > 0, size, np.nan),
                np.where(filled, percentile[shown], 0).sum(axis=1) / np.where(size > 0, size, np.nan),
                np.where(filled, known[shown], 0).sum(axis=1) / np.where(size > 0, size, np.nan),
                new.sum(axis=1) / np.where(size > 0, size, np.nan),
            ]
        )


def gini(counts: Longs) -> float:
    """Inequality of counts: 0 all alike, towards 1 when one holds everything.

    Examples:
        >>> gini(np.array([2, 2, 2])), gini(np.array([0, 0, 0, 4]))
        (0.0, 0.75)
    """
    ordered = np.sort(counts).astype(np.float64)
    total = ordered.sum()
    if not total:
        return 0.0
    place = np.arange(1, len(ordered) + 1)
    return float(((2 * place - len(ordered) - 1) * ordered).sum() / (len(ordered) * total))


def _wholes(sample: UserSample, shown: Ints, n_items: int) -> dict[str, tuple[float, Doubles]]:
    """WHOLES of the lists and without each group of users, from counts by group."""
    group = np.broadcast_to(sample.groups[:, None], shown.shape)[shown >= 0]
    item = shown[shown >= 0]
    n_groups = int(sample.groups.max()) + 1
    counts = np.bincount(group * n_items + item, minlength=n_groups * n_items).reshape(n_groups, n_items)
    whole = counts.sum(axis=0)
    without = [whole - counts[place] for place in range(n_groups)]
    return {
        "coverage": (
            float((whole > 0).sum() / max(n_items, 1)),
            np.array([(one > 0).sum() / max(n_items, 1) for one in without]),
        ),
        "gini": (gini(whole), np.array([gini(one) for one in without])),
    }


def _measured(
    sample: UserSample, means: tuple[Doubles, Doubles], wholes: Mapping[str, tuple[float, Doubles]]
) -> dict[str, Estimate]:
    found = {name: sample.jackknife_interval(*wholes[name]) for name in WHOLES}
    return found | {
        name: sample.interval(float(means[0][at]), means[1][:, at]) for at, name in enumerate(MEANS)
    }


def _target_lists(log: InteractionLog, queries: pd.DataFrame, truth: pd.DataFrame) -> Ints:
    """What each query's user bought, the first SHOWN items in a draw that does not follow popularity."""
    place = pd.Index(queries["query_id"]).get_indexer(pd.Index(truth["query_id"]))
    item = log.items.codes(truth["item_id"])
    kept = np.flatnonzero((place >= 0) & (item >= 0))
    kept = kept[np.lexsort((np.random.default_rng(0).random(len(kept)), place[kept]))]
    starts = np.searchsorted(place[kept], np.arange(len(queries)))
    rank = np.arange(len(kept)) - starts[place[kept]]
    shown = np.full((len(queries), SHOWN), -1, dtype=np.int32)
    first = rank < SHOWN
    shown[place[kept][first], rank[first]] = item[kept][first]
    return shown
