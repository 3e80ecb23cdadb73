"""The interaction log: who bought what, when and where, as integer columns that a retriever can sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import UsageError
from features.scenes import UNKNOWN
from models.bought_on_promotion import bought_on_promotion
from models.histories import Histories, QueryCodes
from models.relative_price import relative_prices
from models.scene_codes import CODED_PARTS, coded_scenes
from models.shop import Shop
from models.vocabulary import Column, Floats, Ints, Longs, Vocabulary

SECONDS_PER_DAY = 86_400.0
PURCHASES: Mapping[str, float] = {"purchase": 1.0}


@dataclass(frozen=True)
class InteractionLog:
    """Interactions as columns sorted by user, then time; one row per user, basket and item, the strongest.

    Users, stores and the rest are coded by sorted vocabularies that `before` and `restricted_to` keep,
    so codes of users, stores and dayparts mean the same in every cut of one log.

    Attributes:
        users, items, categories, stores, dayparts: The vocabularies.
        scenes: Every scene there is but for the store: device, network, region and so on; one row a code.
        item_category: Category code of each item.
        user, item, store, scene, daypart, weekday: Codes; weekday 0 is Monday.
        time: UTC seconds.
        midnight: UTC seconds of 00:00 local of the interaction's local day.
        local_day: Days since 1970-01-01, local.
        basket: Code of the basket (user and session; a day's events where there is no session), unique
            over the log.
        weight: What the interaction is worth, from its event type.
        known_until: UTC seconds; the log holds nothing at or after it. Ages are counted back from here.
        shop: What is known besides interactions; None where nobody told. Promotions in it are announced, so
            `before` keeps those to come.
        part: The part each row was put into by a source that splits its own events: a position in SPLITS of
            `models.queries`, -1 for none; None where the source does not.
        on_promotion: Whether each was made on promotion, 1 or 0, NaN where that is not known; see
            `bought_on_promotion`. None without a shop.
        relative_price: What was paid for each over what the item usually costs, NaN where that is not known;
            see `relative_prices`. None where nobody told amounts.
    """

    users: Vocabulary
    items: Vocabulary
    categories: Vocabulary
    stores: Vocabulary
    dayparts: Vocabulary
    scenes: pd.DataFrame
    item_category: Ints
    user: Ints
    item: Ints
    store: Ints
    scene: Ints
    daypart: Ints
    weekday: Ints
    time: Longs
    midnight: Longs
    local_day: Ints
    basket: Ints
    weight: Floats
    known_until: int
    shop: Shop | None = None
    on_promotion: Floats | None = None
    part: Ints | None = None
    relative_price: Floats | None = None

    @classmethod
    def from_frame(
        cls, interactions: pd.DataFrame, event_weights: Mapping[str, float] = PURCHASES
    ) -> InteractionLog:
        """The log of an interactions frame; events without a weight are left out.

        Args:
            interactions: Rows with user_id, item_id, category, event_type, epoch_seconds, local_day,
                local_weekday, local_midnight_epoch_seconds, daypart, store_id and session_id; the
                other parts of the scene where they are known, quantity and amount where they are told, part
                where the source tells it.
            event_weights: What an event of each type is worth; must be > 0.

        Raises:
            UsageError: A weight is not positive.
        """
        for name, worth in event_weights.items():
            if worth <= 0:
                raise UsageError(f"event_weights[{name!r}] == {worth}, must be > 0; or leave it out.")
        kinds = Vocabulary.of(list(event_weights))
        worths = np.array([event_weights[name] for name in kinds.values], dtype=np.float32)
        kind = kinds.codes(interactions["event_type"])
        if (kind < 0).any() or interactions["item_id"].isna().any():
            kept = (kind >= 0) & interactions["item_id"].notna().to_numpy()
            interactions, kind = interactions[kept], kind[kept]

        users = Vocabulary.of(interactions["user_id"])
        items = Vocabulary.of(interactions["item_id"])
        categories = Vocabulary.of(interactions["category"])
        stores = Vocabulary.of(interactions["store_id"])
        dayparts = Vocabulary.of(interactions["daypart"])
        user = users.codes(interactions["user_id"])
        item = items.codes(interactions["item_id"])
        local_day = interactions["local_day"].to_numpy(dtype=np.int32)
        basket = _basket_codes(user, interactions["session_id"], local_day)
        time = interactions["epoch_seconds"].to_numpy(dtype=np.int64)
        weight = worths[kind]
        scenes, scene = coded_scenes(interactions)

        item_category = np.full(len(items), -1, dtype=np.int32)
        item_category[item] = categories.codes(interactions["category"])
        # One row per user, basket and item, so that a repeated line is not a second purchase: the strongest
        # event at its own time, which no cut in between can show too early; the earliest of equal ones.
        pair = basket.astype(np.int64) * max(len(items), 1) + item
        order = np.lexsort((time, -weight, pair))
        _, first = np.unique(pair[order], return_index=True)
        order = order[first]
        order = order[np.lexsort((item[order], basket[order], time[order], user[order]))]
        return cls(
            users=users,
            items=items,
            categories=categories,
            stores=stores,
            dayparts=dayparts,
            scenes=scenes,
            item_category=item_category,
            user=user[order],
            item=item[order],
            store=stores.codes(interactions["store_id"])[order],
            scene=scene[order],
            daypart=dayparts.codes(interactions["daypart"])[order],
            weekday=interactions["local_weekday"].to_numpy(dtype=np.int32)[order],
            time=time[order],
            midnight=interactions["local_midnight_epoch_seconds"].to_numpy(dtype=np.int64)[order],
            local_day=local_day[order],
            basket=basket[order],
            weight=weight[order],
            known_until=int(time.max(initial=-1)) + 1,
            part=interactions["part"].to_numpy(dtype=np.int32)[order] if "part" in interactions else None,
            relative_price=_paid(interactions, order, item, local_day),
        )

    def __len__(self) -> int:
        return len(self.user)

    @property
    def n_users(self) -> int:
        """Rows of a users x items matrix."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Columns of a users x items matrix."""
        return len(self.items)

    @cached_property
    def user_slices(self) -> Longs:
        """Where each user's rows begin, with the total at the end: user u owns rows [s[u], s[u + 1])."""
        counts = np.bincount(self.user, minlength=self.n_users)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @cached_property
    def basket_ordinal(self) -> Ints:
        """How many baskets the user had started before each row's own, one entry per row."""
        opens = np.zeros(len(self), dtype=np.int32)
        _, first = np.unique(self.basket, return_index=True)
        opens[first] = 1
        started = np.cumsum(opens, dtype=np.int64)
        base = np.concatenate([[0], started])[self.user_slices[self.user]]
        ordinal_of_basket = np.zeros(int(self.basket.max(initial=-1)) + 1, dtype=np.int32)
        ordinal_of_basket[self.basket[first]] = (started - base - 1)[first]
        return ordinal_of_basket[self.basket]

    @cached_property
    def _baskets_started(self) -> Ints:
        """Baskets the user had started by each row, that row included."""
        ordinal = self.basket_ordinal.astype(np.int64)
        # A running maximum per user: lifting each user above the one before keeps it in one sweep.
        lift = self.user.astype(np.int64) * (len(self) + 1)
        return (np.maximum.accumulate(ordinal + lift) - lift + 1).astype(np.int32)

    @cached_property
    def _user_time_key(self) -> tuple[Longs, int, int]:
        """A sorted key of (user, time), with the first instant and the span that make it."""
        if not len(self):
            return np.zeros(0, dtype=np.int64), 0, 1
        start = int(self.time.min())
        span = int(self.time.max()) - start + 2
        return self.user.astype(np.int64) * span + (self.time - start), start, span

    def take(self, rows: NDArray[np.bool_]) -> InteractionLog:
        """The rows where the mask holds, with the same vocabularies."""
        return replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            store=self.store[rows],
            scene=self.scene[rows],
            daypart=self.daypart[rows],
            weekday=self.weekday[rows],
            time=self.time[rows],
            midnight=self.midnight[rows],
            local_day=self.local_day[rows],
            basket=self.basket[rows],
            weight=self.weight[rows],
            part=None if self.part is None else self.part[rows],
            on_promotion=None if self.on_promotion is None else self.on_promotion[rows],
            relative_price=None if self.relative_price is None else self.relative_price[rows],
        )

    def before(self, epoch_seconds: int) -> InteractionLog:
        """What was known at this UTC instant: the rows strictly before it, with the same codes."""
        return replace(self.take(self.time < epoch_seconds), known_until=int(epoch_seconds))

    def with_shop(self, shop: Shop | None) -> InteractionLog:
        """The same log that knows of this shop.

        Raises:
            UsageError: The shop is coded for other items or users.
        """
        if shop is not None and (len(shop.texts), len(shop.user_region)) != (self.n_items, self.n_users):
            raise UsageError(
                f"the shop tells of {len(shop.texts)} items and {len(shop.user_region)} users, the log of "
                f"{self.n_items} and {self.n_users}; make it from this log, after `restricted_to`."
            )
        return replace(
            self, shop=shop, on_promotion=None if shop is None else bought_on_promotion(self, shop)
        )

    @cached_property
    def age_days(self) -> Floats:
        """Days from each interaction to `known_until`, > 0."""
        return ((self.known_until - self.time) / SECONDS_PER_DAY).astype(np.float32)

    def everyone(self) -> Histories:
        """The histories of all users, in code order, as of `known_until`."""
        n = self.n_users
        now = np.full(n, self.known_until, dtype=np.int64)
        nowhere = np.full(n, -1, dtype=np.int32)
        users = np.arange(n, dtype=np.int32)
        return self.expand(QueryCodes(users, nowhere, nowhere, nowhere, now, now))

    def restricted_to(self, item_ids: Column) -> InteractionLog:
        """The rows of these items, recoded so that an item's code is its position in sorted `item_ids`.

        A shop is coded for the items before, so it stays behind: attach one with `with_shop` afterwards.
        """
        items = Vocabulary.of(item_ids)
        recode = items.codes(self.items.values)
        item_category = np.full(len(items), -1, dtype=np.int32)
        item_category[recode[recode >= 0]] = self.item_category[recode >= 0]
        kept = self.take(recode[self.item] >= 0)
        return replace(kept, items=items, item=recode[kept.item], item_category=item_category).with_shop(None)

    def encode(self, queries: pd.DataFrame) -> QueryCodes:
        """The queries frame in this log's codes, in the frame's order."""
        return QueryCodes(
            user=self.users.codes(queries["user_id"]),
            store=self.stores.codes(queries["store_id"]),
            daypart=self.dayparts.codes(queries["daypart"]),
            weekday=queries["weekday"].to_numpy(dtype=np.int32),
            cutoff=queries["cutoff_epoch_seconds"].to_numpy(dtype=np.int64),
            fit=queries["fit_epoch_seconds"].to_numpy(dtype=np.int64),
            scene=np.column_stack(
                [
                    told_codes(vocabulary, queries.get(part, UNKNOWN), len(queries))
                    for part, (vocabulary, _) in self._parts.items()
                ]
            ),
        )

    @cached_property
    def _parts(self) -> dict[str, tuple[Vocabulary, Ints]]:
        """(the values told of each part of a scene, the code of it in each row of `scenes`)."""
        found = {}
        for part in CODED_PARTS:
            vocabulary = Vocabulary.of(self.scenes[part])
            found[part] = vocabulary, told_codes(vocabulary, self.scenes[part], len(self.scenes))
        return found

    @property
    def part_codes(self) -> dict[str, Ints]:
        """The code of each part in each row of `scenes`, -1 where it is not told."""
        return {part: codes for part, (_, codes) in self._parts.items()}

    def _spans(self, user: Ints, cutoff: Longs) -> tuple[Longs, Longs]:
        """The rows [begin, end) of each user strictly before the cut-off; empty for user -1."""
        key, start, span = self._user_time_key
        known = np.maximum(user, 0).astype(np.int64)
        begin = self.user_slices[known]
        end = np.searchsorted(key, known * span + np.clip(cutoff - start, 0, span - 1), side="left")
        return begin, np.where(user < 0, begin, end).astype(np.int64)

    def baskets_before(self, user: Ints, cutoff: Longs) -> Ints:
        """Baskets that each user had started strictly before the cut-off; 0 for user -1."""
        begin, end = self._spans(user, cutoff)
        started = np.zeros(len(user), dtype=np.int32)
        seen = end > begin
        started[seen] = self._baskets_started[end[seen] - 1]
        return started

    def expand(self, queries: QueryCodes) -> Histories:
        """Every interaction of each query's user strictly before the query's cut-off."""
        begin, end = self._spans(queries.user, queries.cutoff)
        length = end - begin
        query = np.repeat(np.arange(len(queries), dtype=np.int32), length)
        offset = begin - (np.cumsum(length) - length)
        row = np.arange(len(query), dtype=np.int64) + np.repeat(offset, length)
        n_baskets = self.baskets_before(queries.user, queries.cutoff)
        return Histories(
            query=query,
            row=row,
            item=self.item[row],
            weight=self.weight[row],
            age_days=((queries.cutoff[query] - self.time[row]) / SECONDS_PER_DAY).astype(np.float32),
            basket_age=n_baskets[query] - 1 - self.basket_ordinal[row],
            n_baskets=n_baskets,
            n_items=self.n_items,
            on_promotion=None if self.on_promotion is None else self.on_promotion[row],
            relative_price=None if self.relative_price is None else self.relative_price[row],
            store=self.store[row],
            scene=self.scene[row],
            daypart=self.daypart[row],
            weekday=self.weekday[row],
        )


def _paid(interactions: pd.DataFrame, order: NDArray[np.int64], item: Ints, local_day: Ints) -> Floats | None:
    """The relative price of the rows in this order; None where no amount is told."""
    if not {"quantity", "amount"} <= set(interactions.columns):
        return None
    amount = interactions["amount"].to_numpy(dtype=np.float64)[order]
    quantity = interactions["quantity"].to_numpy(dtype=np.float64)[order]
    if not (amount > 0).any():
        return None
    price = np.divide(amount, quantity, out=np.zeros(len(order)), where=quantity > 0)
    return relative_prices(item[order], local_day[order], price)


def told_codes(vocabulary: Vocabulary, values: Column | str, count: int) -> Ints:
    """The values' codes, -1 also for 'unknown'; one text stands for `count` of it."""
    if isinstance(values, str):
        values = pd.Series(values, range(count), dtype=object)
    codes = vocabulary.codes(values)
    unknown = vocabulary.codes(pd.Series([UNKNOWN], dtype=object))[0]
    return np.where(codes == unknown, -1, codes).astype(np.int32)


def _basket_codes(user: Ints, sessions: pd.Series[str], local_day: Ints) -> Ints:
    """A code per user and session; events without a session share one basket per user and local day.

    Examples:
        >>> days = np.array([3, 3, 4], dtype=np.int32)
        >>> _basket_codes(np.zeros(3, np.int32), pd.Series(["s", "unknown", "s"]), days).tolist()
        [0, 1, 0]
    """
    vocabulary = Vocabulary.of(sessions[sessions != "unknown"])
    session = vocabulary.codes(sessions).astype(np.int64)
    day = len(vocabulary) + local_day.astype(np.int64) - local_day.min(initial=0)
    session = np.where(session >= 0, session, day)
    _, codes = np.unique(user.astype(np.int64) * (session.max(initial=0) + 1) + session, return_inverse=True)
    return codes.astype(np.int32)
