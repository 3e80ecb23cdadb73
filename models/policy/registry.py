"""Every policy rule, in the order it is asked: one line a rule, grouped by what it can stop.

The first rule that stops a row is the one the ledger names.
"""

from __future__ import annotations

from models.policy.below_value import BELOW_VALUE
from models.policy.consent import CONSENT
from models.policy.daily_cap import DAILY_CAP
from models.policy.diversity import DIVERSITY
from models.policy.expired import EXPIRED
from models.policy.kill_switch import KILL_SWITCH
from models.policy.min_gap import MIN_GAP
from models.policy.quiet_hours import QUIET_HOURS
from models.policy.recently_bought import RECENTLY_BOUGHT
from models.policy.rule import Rule
from models.policy.sensitive import SENSITIVE
from models.policy.unavailable import UNAVAILABLE
from models.policy.weekly_cap import WEEKLY_CAP

USER_RULES: tuple[Rule, ...] = (
    CONSENT,
    KILL_SWITCH,
    DAILY_CAP,
    WEEKLY_CAP,
)
SLOT_RULES: tuple[Rule, ...] = (
    QUIET_HOURS,
    EXPIRED,
    MIN_GAP,
)
ITEM_RULES: tuple[Rule, ...] = (
    KILL_SWITCH,
    UNAVAILABLE,
    SENSITIVE,
    RECENTLY_BOUGHT,
    DIVERSITY,  # last: counts only items the others let through
)
PUSH_RULES: tuple[Rule, ...] = (BELOW_VALUE,)
AFTER_A_CHOICE_RULES: tuple[Rule, ...] = (
    DAILY_CAP,
    WEEKLY_CAP,
    MIN_GAP,
)
