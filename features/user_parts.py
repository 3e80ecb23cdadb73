"""A share of the users, chosen by a salted hash of their id: the same ones on every machine and every day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Users(Protocol):
    """Some of the users, however they are chosen."""

    @property
    def is_everyone(self) -> bool: ...
    def holds(self, user_ids: Any) -> NDArray[np.bool_]: ...
    def of(self, rows: pd.DataFrame) -> pd.DataFrame: ...


@dataclass(frozen=True)
class UserPart:
    """The users whose place between 0 and 1 lies from `low` up to `high`.

    Attributes:
        salt: Places follow from it: two parts of one salt overlap as their bounds do, of two salts by chance.
    """

    salt: str = ""
    low: float = 0.0
    high: float = 1.0

    @property
    def is_everyone(self) -> bool:
        """Whether nobody is left out."""
        return self.low <= 0.0 and self.high >= 1.0

    def holds(self, user_ids: Any) -> NDArray[np.bool_]:
        """Whether each user is of the part.

        Examples:
            >>> canary, rest = UserPart("m2", 0.0, 0.5), UserPart("m2", 0.5, 1.0)
            >>> canary.holds(["1", "2", "3"]).tolist(), rest.holds(["1", "2", "3"]).tolist()
            ([True, False, False], [False, True, True])
        """
        ids = np.asarray(user_ids, dtype=object)
        if not len(ids) or self.is_everyone:
            return np.ones(len(ids), dtype=bool)
        hashed = pd.util.hash_array(ids + f"|{self.salt}", categorize=False)
        place = hashed / float(2**64)
        return (self.low <= place) & (place < self.high)

    def of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of `rows` whose `user_id` is of the part."""
        return rows if self.is_everyone else rows[self.holds(rows["user_id"])].reset_index(drop=True)


EVERYONE = UserPart()
