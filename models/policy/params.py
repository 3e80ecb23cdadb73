"""What policy may be tuned with: one frozen record, and the version its values give it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields

DEFER, DROP = QUIET_ACTIONS = ("defer", "drop")


@dataclass(frozen=True)
class PolicyParams:
    """Limits that every plan obeys.

    Attributes:
        default_timezone: IANA zone of users whose own is missing or unknown.
        default_quiet_start, default_quiet_end: Local 'HH:MM'; for users without both of their own. A window
            whose end is before its start wraps midnight; equal ends mean no quiet hours; '00:00' to '24:00'
            is the whole day.
        country_quiet: (ISO country, start, end); before the defaults, for users of that country.
        quiet_action: 'defer': a push whose best time is quiet goes at the best time that is not, within its
            slot; 'drop': it does not go.
        min_window_minutes: A slot is dropped when quiet hours leave no unbroken run of it this long.
        default_max_per_day: Pushes a local day for users who named no number.
        max_per_day: Never more than this, whatever the user allows.
        max_per_week: Pushes on any 7 local days in a row, whoever sent them.
        min_gap_hours: Hours between two pushes to one user.
        uncounted_channels: Channels of a push_sent event that are no push for gap, caps and fatigue; every
            other one is, unknown ones too: rather silent once than once too often.
        recently_bought_fraction: An item rests until this share of its usual interval has passed.
        recently_bought_min_days: ... and at least so many days after any purchase.
        allow_sensitive: Whether items marked sensitive may be pushed.
        max_per_category: Items of one category in a push; items without a category are not limited.
        max_items: Items behind one push.
        margin: Share of the price that is earned when an item is bought.
        min_expected_value: A push must be worth more than this, in the currency of the prices.
        fatigue_cost: What a push costs for each push of late, in that currency; taken off its value.
        fatigue_half_life_days: After so long a push counts half as one of late.
        exploration_share: Share of choices made by chance among what policy allows; 0 always takes the best.
    """

    default_timezone: str = "UTC"
    default_quiet_start: str = "21:00"
    default_quiet_end: str = "08:00"
    country_quiet: tuple[tuple[str, str, str], ...] = ()
    quiet_action: str = DEFER
    min_window_minutes: int = 30
    default_max_per_day: int = 1
    max_per_day: int = 3
    max_per_week: int = 5
    min_gap_hours: float = 12.0
    uncounted_channels: tuple[str, ...] = (
        "mail",
        "email",
        "e-mail",
        "letter",
        "post",
        "sms",
        "phone",
        "print",
    )
    recently_bought_fraction: float = 0.3
    recently_bought_min_days: float = 1.0
    allow_sensitive: bool = False
    max_per_category: int = 2
    max_items: int = 5
    margin: float = 0.25
    min_expected_value: float = 0.0
    fatigue_cost: float = 0.0
    fatigue_half_life_days: float = 3.0
    exploration_share: float = 0.0

    def __post_init__(self) -> None:
        """Refuses values no plan could obey, naming the parameter and its bound."""
        for name, low in _LOWEST.items():
            value = getattr(self, name)
            if not value >= low:
                raise ValueError(f"{name} == {value}, must be >= {low}; correct the policy setting.")
        if self.quiet_action not in QUIET_ACTIONS:
            raise ValueError(
                f"quiet_action == {self.quiet_action!r}, must be one of {', '.join(QUIET_ACTIONS)}."
            )
        if self.exploration_share > 1:
            raise ValueError(f"exploration_share == {self.exploration_share}, must be <= 1.")

    @property
    def version(self) -> str:
        """The policy's name, the same exactly as long as no value changes.

        Examples:
            >>> PolicyParams().version == PolicyParams().version != PolicyParams(margin=0.3).version
            True
        """
        text = json.dumps(asdict(self), sort_keys=True)
        return f"policy-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


_LOWEST: dict[str, float] = {
    "min_window_minutes": 1,
    "default_max_per_day": 0,
    "max_per_day": 0,
    "max_per_week": 0,
    "min_gap_hours": 0.0,
    "recently_bought_fraction": 0.0,
    "recently_bought_min_days": 0.0,
    "max_per_category": 1,
    "max_items": 1,
    "margin": 0.0,
    "min_expected_value": 0.0,
    "fatigue_cost": 0.0,
    "fatigue_half_life_days": 0.01,
    "exploration_share": 0.0,
}
assert set(_LOWEST) <= {field.name for field in fields(PolicyParams)}
