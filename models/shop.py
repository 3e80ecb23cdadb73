"""The shop beside its interactions: what items are called, who users are, and what is promoted where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.vocabulary import Ints, Longs, Vocabulary

if TYPE_CHECKING:  # the log carries the shop; importing it here would turn in a circle
    from models.interaction_log import InteractionLog

_TEXT_COLUMNS = ("title", "category_path", "brand", "tags")
_UNTOLD = ("", "unknown")


def _nothing() -> Ints:
    return np.zeros(0, dtype=np.int32)


@dataclass(frozen=True)
class Shop:
    """What retrievers may know of items, users and promotions besides interactions, in the codes of one log.

    Attributes:
        texts: One an item code: title, category path, brand and tags joined, lower case, '' where unknown.
        created: UTC seconds, one an item code; -1 unknown.
        promo_item: Item code, one a promotion row; a row is one item in one place and time.
        promo_store: Store code; -1 in every store.
        promo_start, promo_end: UTC seconds, half open.
        user_region, user_segment: One a user code; -1 unknown.
        promo_region: Region code as in `user_region`; -1 in every region. Empty: all are.
        promo_kind: Code of the kind of promotion, such as a shelf display or a mailer. Empty: all are alike.
    """

    texts: tuple[str, ...]
    created: Longs
    promo_item: Ints
    promo_store: Ints
    promo_start: Longs
    promo_end: Longs
    user_region: Ints
    user_segment: Ints
    promo_region: Ints = field(default_factory=_nothing)
    promo_kind: Ints = field(default_factory=_nothing)


_NO_TIMES = np.zeros(0, dtype=np.int64)
NO_SHOP = Shop((), _NO_TIMES, _nothing(), _nothing(), _NO_TIMES, _NO_TIMES, _nothing(), _nothing())
"""A shop without items, users or promotions."""


def shop_of(log: InteractionLog, items: pd.DataFrame, users: pd.DataFrame, promotions: pd.DataFrame) -> Shop:
    """The shop in the codes of a log.

    Args:
        log: Its items, users and stores are the only ones kept.
        items: (item_id, title, category_path, brand, tags, created_ts); all but item_id may be absent.
        users: (user_id, region, segment); all but user_id may be absent.
        promotions: (item_id, region, store_id, starts_at, ends_at, kind), no end missing; a missing region
            or store means all of them. Rows of stores that nobody in the log visits say nothing and go.
    """
    of_item = items.drop_duplicates("item_id").set_index("item_id").reindex(log.items.values)
    of_user = users.drop_duplicates("user_id").set_index("user_id").reindex(log.users.values)
    regions = Vocabulary.of(_told(of_user, "region"))
    segments = Vocabulary.of(_told(of_user, "segment"))
    item = log.items.codes(promotions["item_id"])
    store, everywhere = log.stores.codes(promotions["store_id"]), promotions["store_id"].isna().to_numpy()
    region, all_regions = regions.codes(promotions["region"]), promotions["region"].isna().to_numpy()
    kept = (item >= 0) & (everywhere | (store >= 0)) & (all_regions | (region >= 0))
    return Shop(
        texts=_texts(of_item),
        created=_seconds(of_item["created_ts"]) if "created_ts" in of_item else np.full(log.n_items, -1),
        promo_item=item[kept],
        promo_store=store[kept],
        promo_start=_seconds(promotions["starts_at"])[kept],
        promo_end=_seconds(promotions["ends_at"])[kept],
        user_region=regions.codes(_told(of_user, "region")),
        user_segment=segments.codes(_told(of_user, "segment")),
        promo_region=region[kept],
        promo_kind=Vocabulary.of(promotions["kind"]).codes(promotions["kind"])[kept],
    )


def _told(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """The column as text, missing where it is absent, empty or 'unknown'."""
    if name not in frame:
        return pd.Series(np.nan, index=frame.index, dtype=object)
    text: pd.Series[Any] = frame[name].astype(object)
    return text.mask(text.isin(_UNTOLD) | text.isna(), np.nan)


def _texts(of_item: pd.DataFrame) -> tuple[str, ...]:
    """What is told of each item in one lower-case line.

    Examples:
        >>> _texts(pd.DataFrame({"title": ["Rye bread", None], "brand": ["Oat & Co", "unknown"]}))
        ('rye bread oat & co', '')
    """
    columns = [_told(of_item, name).fillna("").astype(str) for name in _TEXT_COLUMNS]
    return tuple(" ".join(filter(None, parts)).lower() for parts in zip(*columns, strict=True))


def _seconds(times: pd.Series[pd.Timestamp]) -> Longs:
    """UTC seconds of zoned times; -1 where there is none.

    Examples:
        >>> _seconds(pd.Series(pd.to_datetime(["1970-01-01T00:01Z", None]))).tolist()
        [60, -1]
    """
    values: NDArray[np.datetime64] = pd.to_datetime(times, utc=True).dt.tz_localize(None).to_numpy()
    seconds = values.astype("datetime64[s]").astype(np.int64)
    return np.where(np.isnat(values), -1, seconds).astype(np.int64)
