"""What policy may be tuned with: one frozen record, and the version its values give it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class PolicyParams:
    """Limits that every plan obeys.

    Attributes:
        default_timezone: IANA zone of users whose own is missing or unknown.
        default_quiet_start, default_quiet_end: Local 'HH:MM'; for users without both of their own. A window
            whose end is before its start wraps midnight; equal ends mean no quiet hours.
        min_window_minutes: A slot is dropped when quiet hours leave no unbroken run of it this long.
        default_max_per_day: Pushes a local day for users who named no number.
        max_per_day: Never more than this, whatever the user allows.
        min_gap_hours: Hours between two pushes to one user.
        push_channels: Channels that count as a push for the gap and the cap; mail does not.
        recently_bought_fraction: An item rests until this share of its usual interval has passed.
        recently_bought_min_days: ... and at least so many days after any purchase.
        allow_sensitive: Whether items marked sensitive may be pushed.
        max_per_category: Items of one category in a push; items without a category are not limited.
        max_items: Items behind one push.
        margin: Share of the price that is earned when an item is bought.
        min_expected_value: A push must be worth more than this, in the currency of the prices.
    """

    default_timezone: str = "UTC"
    default_quiet_start: str = "21:00"
    default_quiet_end: str = "08:00"
    min_window_minutes: int = 30
    default_max_per_day: int = 1
    max_per_day: int = 3
    min_gap_hours: float = 12.0
    push_channels: tuple[str, ...] = ("push", "unknown")
    recently_bought_fraction: float = 0.3
    recently_bought_min_days: float = 1.0
    allow_sensitive: bool = False
    max_per_category: int = 2
    max_items: int = 5
    margin: float = 0.25
    min_expected_value: float = 0.0

    def __post_init__(self) -> None:
        """Refuses values no plan could obey, naming the parameter and its bound."""
        for name, low in _LOWEST.items():
            value = getattr(self, name)
            if not value >= low:
                raise ValueError(f"{name} == {value}, must be >= {low}; correct the policy setting.")

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
    "min_gap_hours": 0.0,
    "recently_bought_fraction": 0.0,
    "recently_bought_min_days": 0.0,
    "max_per_category": 1,
    "max_items": 1,
    "margin": 0.0,
    "min_expected_value": 0.0,
}
assert set(_LOWEST) <= {field.name for field in fields(PolicyParams)}
