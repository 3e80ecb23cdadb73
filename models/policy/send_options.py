"""At which instants of a slot one could send, and how long a push sent then may be shown.

One could send every half hour from the slot's opening and whenever quiet hours end, as long as enough
minutes are left for it to be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from features.calendar import DAYPARTS, slot_ends_at, slot_send_at, utc_offsets
from models.policy.quiet_hours import loud_runs
from models.send_time import STARTS

STEP_SECONDS = 1800


@dataclass(frozen=True)
class SendOptions:
    """Instants of one slot, earliest first.

    Attributes:
        send: Epoch seconds; a push sent then has the slot's least window ahead of it, quiet or not.
        expires: When a push sent then is over: the slot's end, or the next quiet minute; nan where it would
            be sent in quiet hours or so shortly before that too little is left.
        hour: Local wall clock hour, with its fraction.
    """

    send: NDArray[np.int64]
    expires: NDArray[np.float64]
    hour: NDArray[np.float64]


def send_options(
    plan_date: date, slot: str, timezone: str, quiet_start: int, quiet_end: int, min_window_minutes: int
) -> SendOptions:
    """The instants at which one could send in the slot on the user's local `plan_date`.

    Args:
        quiet_start, quiet_end: Local minutes of the day.

    Examples:
        >>> found = send_options(date(2017, 12, 4), "morning", "America/New_York", 21 * 60, 8 * 60 + 40, 60)
        >>> found.hour.round(2).tolist()
        [6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 8.67, 9.0]
        >>> np.isnan(found.expires).tolist()
        [True, True, True, True, True, True, False, False]
    """
    opens = int(slot_send_at(plan_date, slot, timezone).timestamp())
    ends = int(slot_ends_at(plan_date, slot, timezone).timestamp())
    least = min_window_minutes * 60
    runs = loud_runs(opens, ends, timezone, quiet_start, quiet_end)
    runs = runs[runs[:, 1] - runs[:, 0] >= least]
    last = ends - least
    send = np.union1d(np.arange(opens, last + 1, STEP_SECONDS, dtype=np.int64), runs[:, 0])
    run = np.searchsorted(runs[:, 0], send, side="right") - 1
    expires = np.full(len(send), np.nan)
    if len(runs):
        over = runs[np.maximum(run, 0), 1]
        expires = np.where((run >= 0) & (send + least <= over), over.astype(float), np.nan)
    local = send + utc_offsets(send, timezone)
    hour = np.asarray(local % 86_400 / 3600.0, dtype=np.float64)
    # Where clocks go back over midnight, the first hour of the night shows the day before once more.
    in_slot = np.searchsorted(STARTS, hour, side="right") - 1 == DAYPARTS.index(slot)
    in_slot &= local // 86_400 == (plan_date - date(1970, 1, 1)).days
    return SendOptions(send[in_slot], expires[in_slot], hour[in_slot])
