"""Users in buckets by a hash of their id: the same bucket on every machine, in every run and in every shard.

A shard is an unbroken range of buckets, so what is in bucket order does not tell how many shards made it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BUCKETS = 1_024
_BITS = 54  # the upper ten of 64


def user_buckets(user_ids: Any) -> NDArray[np.int32]:
    """The bucket of each id, 0 to BUCKETS - 1.

    Examples:
        >>> user_buckets(["1", "2", "u007"]).tolist()
        [848, 880, 2]
    """
    ids = np.asarray(user_ids, dtype=object)
    if not len(ids):
        return np.zeros(0, dtype=np.int32)
    hashed = pd.util.hash_array(ids, categorize=False)
    return (hashed >> np.uint64(_BITS)).astype(np.int32)


def bucket_ranges(shards: int) -> list[range]:
    """The buckets of each of so many shards, in order, sizes as equal as can be.

    Examples:
        >>> bucket_ranges(3)
        [range(0, 341), range(341, 682), range(682, 1024)]
    """
    bounds = [BUCKETS * shard // shards for shard in range(shards + 1)]
    return [range(first, last) for first, last in pairwise(bounds)]


def shards_for(users: int, users_per_shard: int) -> int:
    """How many shards so many users need; a bucket is never split.

    Examples:
        >>> shards_for(0, 100), shards_for(100, 100), shards_for(101, 100)
        (1, 1, 2)
    """
    return min(BUCKETS, max(1, -(-users // users_per_shard)))
