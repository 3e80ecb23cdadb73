"""The goods: what is sold, from when to when, at which price, and how good it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from infra.sources.simulated.chance import Doubles, Flags, Longs, Words, drawn, normals, uniforms
from infra.sources.simulated.kinds import KINDS, TRAITS
from infra.sources.simulated.params import MarketParams
from infra.sources.simulated.people import NEVER

_BRANDS = ("Aldora", "Brisk", "Calma", "Dunes", "Elmwood", "Fjord", "Grano", "Halden", "Iris", "Juno")
_MANNERS = ("classic", "mild", "large", "organic", "light", "family", "fine", "extra", "daily", "pure")
_RUNS_OUT = 0.02
_TAGS = ("organic", "value", "local", "new recipe", "vegan", "premium")


@dataclass(frozen=True)
class Goods:
    """A row an item, arrays of one length.

    Attributes:
        kind: Code of `KINDS`.
        price: In the shop's currency.
        quality: What everybody likes about it, about standard normal.
        launched_day, withdrawn_day: Days since the market's first one, [launched, withdrawn).
        brand, manner: What its title is made of.
    """

    kind: Longs
    price: Doubles
    quality: Doubles
    launched_day: Longs
    withdrawn_day: Longs
    brand: Longs
    manner: Longs

    def __len__(self) -> int:
        return len(self.kind)

    def sold(self, item: Longs, day: Longs) -> Flags:
        """Whether each item is in the shop on each day."""
        return (self.launched_day[item] <= day) & (day < self.withdrawn_day[item])

    @cached_property
    def of_kind(self) -> Longs:
        """Items of each kind, kinds x the most there are of one, -1 where there are fewer."""
        count = np.bincount(self.kind, minlength=len(KINDS))
        listed = np.full((len(KINDS), int(count.max())), -1, dtype=np.int64)
        for kind in range(len(KINDS)):
            listed[kind, : count[kind]] = np.flatnonzero(self.kind == kind)
        return listed

    def title(self, item: int) -> str:
        """As a shop would print it; a number tells two of a kind apart."""
        noun = KINDS[self.kind[item]].path.rpartition(" > ")[2]
        return f"{_BRANDS[self.brand[item]]} {_MANNERS[self.manner[item]]} {noun} {item}"

    def brand_name(self, item: int) -> str:
        """Who makes it."""
        return _BRANDS[self.brand[item]]


def make_goods(params: MarketParams) -> Goods:
    """The market's goods; of each kind two at least are there from the first day to the last.

    Examples:
        >>> few, more = make_goods(MarketParams(items=100)), make_goods(MarketParams(items=200))
        >>> bool((few.kind == more.kind[:100]).all() and (few.price == more.price[:100]).all())
        True
    """
    seed, which = params.seed, np.arange(params.items)

    def uniform(purpose: str) -> Doubles:
        return uniforms(seed, purpose, which)

    weight = TRAITS.share / np.sqrt(TRAITS.interval_days)
    kind = drawn(np.tile(weight, (len(which), 1)), uniform("kind"))
    lasting = which < 2 * len(KINDS)
    kind = np.where(lasting, which % len(KINDS), kind)
    launched = ~lasting & (uniform("launched") < params.launched)
    withdrawn = ~lasting & ~launched & (uniform("withdrawn") < params.withdrawn)
    base = np.array([one.price for one in KINDS])[kind]
    return Goods(
        kind=kind,
        price=np.round(base * np.exp(0.3 * normals(seed, "price", which)), 2),
        quality=normals(seed, "quality", which),
        launched_day=np.where(launched, (uniform("launch day") * 365).astype(np.int64), -400),
        withdrawn_day=np.where(withdrawn, (uniform("withdrawal day") * 365).astype(np.int64), NEVER),
        brand=(uniform("brand") * len(_BRANDS)).astype(np.int64),
        manner=(uniform("manner") * len(_MANNERS)).astype(np.int64),
    )


def in_stock(params: MarketParams, item: Longs, day: Longs) -> Flags:
    """Whether each item has not run out on each day; now and then one does for a week."""
    return uniforms(params.seed, "out of stock", item, day // 7) >= _RUNS_OUT


def stock_of(params: MarketParams, day: int) -> Longs:
    """Pieces of each item on a day."""
    which = np.arange(params.items)
    there = in_stock(params, which, np.full(params.items, day))
    return np.where(there, 5 + (400 * uniforms(params.seed, "stock", which, day)).astype(np.int64), 0)


def tags_of(params: MarketParams) -> list[str]:
    """Each item's tags, joined with commas; '' where it has none."""
    which = np.arange(params.items)[:, None]
    has = uniforms(params.seed, "tag", which, np.arange(len(_TAGS))[None, :]) < 0.2
    return [",".join(np.array(_TAGS)[row]) for row in has]


def liking(params: MarketParams, user: Longs | Words, item: Longs) -> Doubles:
    """What each user likes about each item beyond its kind and quality, standard normal."""
    return normals(params.seed, "liking", user, item)
