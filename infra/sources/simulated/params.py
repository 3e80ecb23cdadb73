"""Every number of the simulated market, and how a source's specification names them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import date

from features.errors import UsageError
from infra.sources.simulated.kinds import KINDS

TIMEZONE = "Europe/Berlin"
"""Where the shop's own days begin; its customers live in zones of their own."""
MOST_DAYS, MOST_USERS = 3_000, 2_000_000
_IN_SPEC = ("seed", "users", "items", "days")


@dataclass(frozen=True)
class Truth:
    """How a push works: every coefficient is on the log-odds, unless its name says otherwise.

    Attributes:
        open_base: Log-odds of opening a push that is neither good nor bad.
        open_attention: For each e-fold by which the user is likelier than at an average hour to be there.
        open_device: For each e-fold by which the push's device is likelier to be in hand than one in two.
        open_taste, open_hour, open_hand: For the shown item: the user's taste, its hour, its device.
        open_need: From just bought to due.
        open_discount: For a discount of 1; a fifth off gives a fifth of it.
        open_fatigue: For each push of late, by the user's own proneness; taken off.
        open_quiet: In the user's quiet hours; taken off.
        buy_base, buy_taste, buy_hour, buy_hand, buy_need, buy_leisure, buy_discount: Of buying, once opened.
        also_shown: The chance of a further item of the push, as a share of its own chance when shown first.
        opt_out_base: P(opt-out) of a push that is neither good nor bad.
        opt_out_fatigue, opt_out_taste, opt_out_quiet: Exponents on it; taste is taken off.
        opt_out_most: No push annoys more than this.
        complaints: Complaints an opt-out.
        delivered: P(delivered) of a push to somebody who agreed and has not left.
        dismissed: P(dismissed) of a push that is seen and not opened.
        fatigue_half_life_days: After so long a push counts half as one of late.
        satisfied_share: What a push sold is not bought again for this share of its usual interval.
    """

    open_base: float = -3.9
    open_attention: float = 0.55
    open_device: float = 0.5
    open_taste: float = 0.35
    open_hour: float = 0.45
    open_hand: float = 0.5
    open_need: float = 0.7
    open_discount: float = 1.0
    open_fatigue: float = 0.2
    open_quiet: float = 0.7
    buy_base: float = -3.4
    buy_taste: float = 0.4
    buy_hour: float = 0.45
    buy_hand: float = 0.5
    buy_need: float = 1.2
    buy_leisure: float = 0.5
    buy_discount: float = 2.0
    also_shown: float = 0.15
    opt_out_base: float = 0.002
    opt_out_fatigue: float = 0.45
    opt_out_taste: float = 0.5
    opt_out_quiet: float = 1.2
    opt_out_most: float = 0.2
    complaints: float = 0.12
    delivered: float = 0.97
    dismissed: float = 0.25
    fatigue_half_life_days: float = 3.0
    satisfied_share: float = 0.6


@dataclass(frozen=True)
class Defects:
    """What goes wrong between an event and its arrival, each a share of events.

    Attributes:
        late: Arrive up to `late_hours` after they happened.
        repeated: Come twice, word for word.
        lost: Never come.
        broken: Come beside a spoilt copy that no contract accepts.
    """

    late: float = 0.01
    late_hours: float = 40.0
    repeated: float = 0.002
    lost: float = 0.003
    broken: float = 0.0003


@dataclass(frozen=True)
class MarketParams:
    """One market; the same values are the same market to the last row.

    Attributes:
        seed: Another seed is another market of the same kind.
        users, items: How many; the first ones stay who they are when there are more.
        first_day, days: The history before anybody plans: 28 weeks from a Monday on.
        visits_a_day: Sessions of an average user on an average day.
        buys: Share of sessions at a leisurely hour that mean to buy.
        interval_scale: Stretches every kind's interval: how large baskets are.
        consent: Share of users who agreed to pushes.
        newcomers, launched, withdrawn: Shares of users and items that come or go, within a year of the start.
    """

    seed: int = 7
    users: int = 2_000
    items: int = 600
    first_day: date = date(2024, 3, 4)
    days: int = 196
    visits_a_day: float = 0.45
    buys: float = 0.55
    interval_scale: float = 2.1
    consent: float = 0.8
    newcomers: float = 0.15
    launched: float = 0.15
    withdrawn: float = 0.1
    truth: Truth = field(default_factory=Truth)
    defects: Defects = field(default_factory=Defects)


def parse_market(spec: str) -> MarketParams:
    """The market that `simulated` or `simulated:users=500,items=200,days=120,seed=3` names.

    Raises:
        UsageError: Another parameter than these, or no whole number within reason.

    Examples:
        >>> parse_market("simulated:users=500,seed=3").users, parse_market("simulated").users
        (500, 2000)
    """
    least = {"seed": 0, "users": 10, "items": 2 * len(KINDS), "days": 28}
    most = {"seed": 2**31, "users": MOST_USERS, "items": 20_000, "days": MOST_DAYS - 365}
    told: dict[str, int] = {}
    for part in filter(None, spec.partition(":")[2].split(",")):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in _IN_SPEC:
            raise UsageError(
                f"source {spec!r} names {name!r}, must be of {', '.join(_IN_SPEC)}; write for example "
                "simulated:users=500,items=200."
            )
        if not value.isdecimal() or not least[name] <= int(value) <= most[name]:
            raise UsageError(
                f"source {spec!r} has {name} == {value!r}, must be a whole number in "
                f"{least[name]}..{most[name]}; correct it."
            )
        told[name] = int(value)
    return replace(MarketParams(), **told)  # type: ignore[arg-type]  # all four are whole numbers


def spec_of(params: MarketParams) -> str:
    """The specification that names this market.

    Examples:
        >>> spec_of(MarketParams()), spec_of(MarketParams(users=500))
        ('simulated', 'simulated:users=500')
    """
    plain = MarketParams()
    other = [
        f"{one.name}={getattr(params, one.name)}"
        for one in fields(params)
        if one.name in _IN_SPEC and getattr(params, one.name) != getattr(plain, one.name)
    ]
    return f"simulated:{','.join(other)}" if other else "simulated"
