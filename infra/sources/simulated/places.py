"""Where people live: regions with their zone, language and stores, among them zones off by half an hour."""

from __future__ import annotations

from typing import NamedTuple

STORES_A_PLACE = 3


class Place(NamedTuple):
    """One region; `share` of all users lives there."""

    region: str
    timezone: str
    locale: str
    share: float

    @property
    def country(self) -> str:
        """ISO code: whose holidays count."""
        return self.locale[-2:]


PLACES: tuple[Place, ...] = (
    Place("de-north", "Europe/Berlin", "de_DE", 0.24),
    Place("de-south", "Europe/Berlin", "de_DE", 0.20),
    Place("gb", "Europe/London", "en_GB", 0.16),
    Place("us-east", "America/New_York", "en_US", 0.14),
    Place("us-west", "America/Los_Angeles", "en_US", 0.08),
    Place("in", "Asia/Kolkata", "en_IN", 0.12),  # half an hour off, no summer time
    Place("au-south", "Australia/Adelaide", "en_AU", 0.06),  # half an hour off, summer time in the south
)
STORES: tuple[str, ...] = tuple(
    f"{place.region}-{number + 1}" for place in PLACES for number in range(STORES_A_PLACE)
)
"""Store ids, those of a place beside each other."""
