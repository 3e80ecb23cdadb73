"""The ranker on a small market whose truth is known: it learns it, repeats itself and survives storage."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.errors import KairosError, UsageError
from models.mixing import evened
from models.ranker import Ranker
from models.ranker_fit import RankerFit, fit_ranker
from models.ranker_params import RankerParams
from models.ranker_rows import feature_matrix
from models.training_set import RankingSet

PARAMS = RankerParams(
    learning_rate=0.2,
    leaves=15,
    min_rows_per_leaf=20,
    max_trees=40,
    patience_trees=10,
    refits=0,
    pointwise_trees=0,
    threads=1,
)
KINDS = ("display", "mailer", "none")


def market(seed: int, queries: int = 300, candidates: int = 20, noise_tells: float = 0.0) -> RankingSet:
    """Chances that rise with `rate` and with a mailer; `noise` says nothing unless told to."""
    rng = np.random.default_rng(seed)
    count = queries * candidates
    rate = rng.random(count)
    kind = rng.choice(KINDS, count)
    noise = rng.random(count)
    chance = 1.0 / (1.0 + np.exp(4.0 - 4.0 * rate - 2.0 * (kind == "mailer") - noise_tells * (noise - 0.5)))
    return RankingSet(
        pd.DataFrame(
            {
                "rate": np.where(rng.random(count) < 0.05, np.nan, rate).astype(np.float32),
                "noise": noise.astype(np.float32),
                "kind": pd.Categorical(kind, categories=KINDS),
            }
        ),
        (rng.random(count) < chance).astype(np.float32),
        np.repeat(np.arange(queries), candidates),
        pd.Series([f"i{n % candidates}" for n in range(count)]),
    )


@pytest.fixture(scope="module")
def fitted() -> Ranker:
    return fit_ranker(market(1), market(2), PARAMS)


@pytest.fixture(scope="module")
def unseen() -> RankingSet:
    return market(3)


def best_hits(rows: RankingSet, scores: np.ndarray) -> float:
    """Share of queries whose best three hold, on average, something bought."""
    order = np.lexsort((-scores, rows.query_id)).reshape(-1, 20)[:, :3]
    return float(rows.label[order].mean())


def test_it_learns_what_makes_people_buy(fitted: Ranker, unseen: RankingSet) -> None:
    ours = best_hits(unseen, fitted.score(unseen.features))
    by_noise = best_hits(unseen, unseen.features["noise"].to_numpy(dtype=float))
    by_rate = best_hits(unseen, np.nan_to_num(unseen.features["rate"].to_numpy(dtype=float)))
    assert ours > by_rate + 0.1 > by_noise + 0.2
    gains = fitted.importance().set_index("feature")["gain"]
    assert gains.sum() == pytest.approx(1.0)
    assert gains["noise"] < 0.25 < gains["rate"] + gains["kind"]
    assert fitted.importance()["gain"].is_monotonic_decreasing


def test_the_same_seed_gives_the_same_model(fitted: Ranker) -> None:
    again = fit_ranker(market(1), market(2), PARAMS)
    assert again.to_json() == fitted.to_json()
    assert fit_ranker(market(4), market(2), PARAMS).models != fitted.models
    assert fit_ranker(market(1), market(2), replace(PARAMS, seed=8)).models != fitted.models


def test_threads_do_not_change_a_byte(fitted: Ranker) -> None:
    assert fit_ranker(market(1), market(2), replace(PARAMS, threads=2)).to_json() == fitted.to_json()
    assert "num_threads" not in fitted.models[0]


def test_stored_and_read_again_it_scores_the_same_bits(fitted: Ranker, unseen: RankingSet) -> None:
    stored = Ranker.from_json(fitted.to_json())
    scores = fitted.score(unseen.features)
    assert len(np.unique(scores)) > 50
    assert (stored.score(unseen.features) == scores).all()
    assert (stored.chances(scores) == fitted.chances(scores)).all()
    assert (stored.features, stored.categories) == (fitted.features, fitted.categories)


def test_another_format_is_refused(fitted: Ranker) -> None:
    text = json.dumps({**json.loads(fitted.to_json()), "format": 99})
    with pytest.raises(KairosError, match="ranker format == 99, must be 3; train again"):
        Ranker.from_json(text)


def test_a_ranker_stored_as_one_booster_is_still_read(fitted: Ranker) -> None:
    stored = json.loads(fitted.to_json())
    (stored["model"],) = stored.pop("models")
    assert Ranker.from_json(json.dumps(stored | {"format": 1})) == fitted


def test_several_boosters_score_as_their_mean_and_explain_it(fitted: Ranker, unseen: RankingSet) -> None:
    three = fit_ranker(market(1), market(2), replace(PARAMS, boosters=3))
    assert three.models[0] == fitted.models[0]
    assert len(set(three.models)) == 3
    few = unseen.features.iloc[:300]
    scores = [replace(three, models=(text,)).score(few) for text in three.models]
    assert three.score(few) == pytest.approx(np.mean(scores, axis=0), abs=1e-12)
    assert three.contributions(few).sum(axis=1) == pytest.approx(three.score(few), abs=1e-9)
    assert three.importance()["gain"].sum() == pytest.approx(1.0)
    assert Ranker.from_json(three.to_json()) == three
    with pytest.raises(UsageError, match="boosters == 0, must be >= 1"):
        replace(PARAMS, boosters=0)


def perverse(seed: int) -> RankingSet:
    """A market where, against its meaning, a promotion repels."""
    rows = market(seed)
    rng = np.random.default_rng(seed)
    active = (rng.random(len(rows.label)) < 0.3).astype(np.float32)
    label = np.where((active == 1) & (rng.random(len(active)) < 0.7), 0.0, rows.label)
    return replace(rows, features=rows.features.assign(promo_active=active), label=label.astype(np.float32))


def test_a_declared_trend_holds_whatever_the_data_say() -> None:
    rows = perverse(3).features.iloc[:500]
    held = fit_ranker(perverse(1), perverse(2), PARAMS)
    free = fit_ranker(perverse(1), perverse(2), replace(PARAMS, monotone=False))
    without, promoted = rows.assign(promo_active=np.float32(0)), rows.assign(promo_active=np.float32(1))
    assert (free.score(promoted) < free.score(without)).mean() > 0.9
    assert (held.score(promoted) >= held.score(without)).all()


def test_a_trend_of_a_category_column_asks_nothing(unseen: RankingSet) -> None:
    trends = {"kind": 1, "rate": 1, "not a column": -1}
    held = fit_ranker(market(1), market(2), PARAMS, trends=trends)
    few = unseen.features.iloc[:300]
    assert (
        held.score(few.assign(rate=np.float32(0.9))) >= held.score(few.assign(rate=np.float32(0.1)))
    ).all()


def graded(seed: int, weak: float) -> RankingSet:
    """Half of the candidates that are not bought are looked at when `noise` is high."""
    rows = market(seed)
    seen = (rows.features["noise"].to_numpy() > 0.5) & (rows.label == 0)
    return replace(rows, label=np.where(seen, weak, rows.label).astype(np.float32))


def test_weak_relevance_counts_by_its_worth(unseen: RankingSet) -> None:
    """What is only looked at rises with its worth, and never above what is bought."""
    looks = []
    for weak in (0.02, 0.8):
        scores = fit_ranker(graded(1, weak), market(2), PARAMS).score(unseen.features)
        looks.append(np.corrcoef(scores, unseen.features["noise"])[0, 1])
        assert best_hits(unseen, scores) > unseen.label.mean() * 1.3
    assert looks[0] + 0.2 < looks[1]


def test_what_relevance_is_called_does_not_matter() -> None:
    """A source whose only relevance is 0.1 learns what one learns whose only relevance is 1."""
    rows, judged = market(1), market(2)
    tenth = fit_ranker(
        replace(rows, label=rows.label / np.float32(10)),
        replace(judged, label=judged.label / np.float32(10)),
        PARAMS,
    )
    ones = fit_ranker(rows, judged, PARAMS)
    few = market(3).features.iloc[:300]
    assert tenth.score(few) == pytest.approx(ones.score(few), rel=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
def test_scores_do_not_depend_on_threads_or_neighbours(
    fitted: Ranker, unseen: RankingSet, threads: int
) -> None:
    scores = fitted.score(unseen.features, threads=1)
    turned = fitted.score(unseen.features.iloc[::-1], threads=threads)[::-1]
    assert (scores == turned).all()
    assert fitted.score(unseen.features.iloc[5:6], threads=threads)[0] == scores[5]


def test_an_unknown_category_counts_as_missing(fitted: Ranker, unseen: RankingSet) -> None:
    few = unseen.features.iloc[:200]
    new = few.assign(kind=pd.Categorical(["coupon"] * 200))
    missing = few.assign(kind=pd.Categorical([None] * 200, categories=KINDS))
    assert (fitted.score(new) == fitted.score(missing)).all()
    assert not (fitted.score(new) == fitted.score(few)).all()


def test_categories_are_known_by_name_not_by_code(fitted: Ranker, unseen: RankingSet) -> None:
    few = unseen.features.iloc[:200]
    recoded = few.assign(kind=pd.Categorical(few["kind"].astype(str), categories=[*KINDS[::-1], "new"]))
    assert (fitted.score(recoded) == fitted.score(few)).all()
    matrix = feature_matrix(recoded, ("kind", "rate"), {"kind": KINDS})
    assert matrix.dtype == np.float32
    assert matrix[:, 0].tolist() == few["kind"].cat.codes.tolist()
    unknown = feature_matrix(recoded, ("kind",), {"kind": ("coupon",)})
    assert np.isnan(unknown).all()


def test_contributions_sum_to_the_score(fitted: Ranker, unseen: RankingSet) -> None:
    few = unseen.features.iloc[:300]
    contributions = fitted.contributions(few)
    assert contributions.shape == (300, len(fitted.features) + 1)
    assert contributions.sum(axis=1) == pytest.approx(fitted.score(few), abs=1e-9)


def test_chances_are_probabilities_that_rise_with_the_score(fitted: Ranker, unseen: RankingSet) -> None:
    scores = np.sort(np.r_[fitted.score(unseen.features), -1e9, 1e9])
    chances = fitted.chances(scores)
    assert ((chances > 0.0) & (chances < 1.0)).all()
    assert (np.diff(chances) >= 0.0).all()
    assert chances[-1] > 4.0 * chances[0]


def test_chances_mean_what_they_say(fitted: Ranker, unseen: RankingSet) -> None:
    chances = fitted.chances(fitted.score(unseen.features))
    assert chances.mean() == pytest.approx(unseen.label.mean(), abs=0.02)
    likely = chances > np.quantile(chances, 0.8)
    assert chances[likely].mean() == pytest.approx(unseen.label[likely].mean(), abs=0.05)


def with_context(seed: int, queries: int) -> RankingSet:
    """A market in which what tells of the moment is noise."""
    rows = market(seed, queries)
    rng = np.random.default_rng(seed + 50)
    moment = {
        name: rng.random(len(rows.label)).astype(np.float32) for name in ("query_daypart", "score_ease")
    }
    return replace(rows, features=rows.features.assign(**moment))


CAREFUL = replace(PARAMS, few_targets=1_000_000)


def test_with_few_targets_a_ranker_is_a_mix_that_context_cannot_lead_astray() -> None:
    fit = RankerFit(with_context(1, 60), with_context(2, 60), CAREFUL)
    assert fit.careful and not RankerFit(market(1), market(2), PARAMS).careful
    mixed = fit.ranker()
    assert len(mixed.weights) == len(mixed.models) and all(weight > 0 for weight in mixed.weights)
    assert fit.ranker().to_json() == mixed.to_json(), "the same boosters serve again"
    assert Ranker.from_json(mixed.to_json()) == mixed
    blind = fit.ranker(hidden={"query_daypart"})
    few = with_context(3, 5).features
    moved = few.assign(query_daypart=few["query_daypart"].to_numpy()[::-1])
    assert (blind.score(few) == blind.score(moved)).all(), "what is hidden is not read"


def test_contributions_of_a_mix_add_up_to_its_score() -> None:
    mixed = fit_ranker(with_context(1, 60), with_context(2, 60), CAREFUL)
    few = with_context(3, 2).features
    assert mixed.contributions(few).sum(axis=1) == pytest.approx(mixed.score(few))


def test_a_ranker_stored_before_weights_is_read_as_a_mean(fitted: Ranker, unseen: RankingSet) -> None:
    stored = json.loads(fitted.to_json())
    stored["format"] = 2
    del stored["weights"]
    old = Ranker.from_json(json.dumps(stored))
    assert (old.score(unseen.features) == fitted.score(unseen.features)).all()


def test_a_refit_learns_from_the_judged_queries_too() -> None:
    """Since the weeks that trained, `noise` has come to tell what sells: only what saw both knows it."""
    train, newer = market(1), market(2, noise_tells=6.0)
    alone = fit_ranker(train, newer, PARAMS)
    both = fit_ranker(train, newer, replace(PARAMS, refits=1))
    assert len(both.models) == 1 and both.models != alone.models, "what saw both serves alone"
    assert both.models[0].count("Tree=") == alone.models[0].count("Tree=") > 1
    assert both.chance == alone.chance, "chances are told by what has not seen validation"
    now = market(3, noise_tells=6.0)
    assert best_hits(now, both.score(now.features)) > best_hits(now, alone.score(now.features)) + 0.05
    graded = replace(train, label=train.label * np.where(train.features["kind"] == "mailer", 1.0, 0.4))
    assert len(fit_ranker(graded, newer, replace(PARAMS, refits=1)).models) == 1, "validation tells no grades"
    with pytest.raises(UsageError, match="refits == -1, must be >= 0"):
        RankerParams(refits=-1)


def test_half_of_the_score_learns_chances_and_both_halves_spread_alike(unseen: RankingSet) -> None:
    params = replace(PARAMS, pointwise_trees=40, pointwise_rate=0.2)
    pairs = fit_ranker(market(1), market(2), replace(PARAMS, boosters=2))
    mixed = fit_ranker(market(1), market(2), replace(params, boosters=2))
    assert len(mixed.models) == 3 and mixed.weights == () and "objective=" not in mixed.models[2]
    by_pairs = pairs.score(unseen.features)
    by_chances = 2 * mixed.score(unseen.features) - by_pairs
    sizes = unseen.group_sizes
    assert evened(by_chances, sizes) == pytest.approx(evened(by_pairs, sizes), rel=0.1)
    assert best_hits(unseen, by_chances) > 0.9 * best_hits(unseen, by_pairs)
    assert mixed.contributions(unseen.features).sum(axis=1) == pytest.approx(mixed.score(unseen.features))
    again = fit_ranker(market(1), market(2), replace(params, boosters=2, refits=1))
    assert len(again.models) == 2 and again.chance == mixed.chance
    spread = evened(again.score(unseen.features), sizes) / evened(mixed.score(unseen.features), sizes)
    assert spread == pytest.approx(1.0, rel=0.15), "chances are told by this scale"


def test_graded_relevance_is_no_chance() -> None:
    train = market(1)
    graded = replace(train, label=train.label * np.where(train.features["kind"] == "mailer", 1.0, 0.4))
    assert len(fit_ranker(graded, market(2), replace(PARAMS, pointwise_trees=5)).models) == 1
