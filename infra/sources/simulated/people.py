"""The people: where they live, when they are there, what they like and need, how they bear being pushed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infra.sources.simulated.chance import Doubles, Flags, Longs, drawn, normals, uniforms
from infra.sources.simulated.kinds import KINDS, TRAITS
from infra.sources.simulated.params import MarketParams
from infra.sources.simulated.places import PLACES, STORES_A_PLACE

RHYTHMS: dict[str, tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]] = {
    # (hour, weight) of each peak of a working day, then of a day off
    "commuter": (((7.3, 0.4), (12.5, 0.15), (17.8, 0.3), (21.0, 0.15)), ((10.5, 0.5), (17.0, 0.5))),
    "parent": (((9.5, 0.4), (13.8, 0.25), (20.5, 0.35)), ((8.5, 0.4), (14.0, 0.6))),
    "student": (((11.5, 0.2), (16.0, 0.35), (22.5, 0.45)), ((14.0, 0.4), (22.8, 0.6))),
    "office": (((10.3, 0.35), (12.6, 0.3), (19.5, 0.35)), ((11.0, 0.6), (19.0, 0.4))),
    "early bird": (((6.3, 0.55), (14.5, 0.25), (18.3, 0.2)), ((7.0, 0.7), (16.0, 0.3))),
    "night owl": (((15.0, 0.2), (20.0, 0.25), (23.3, 0.55)), ((13.0, 0.3), (23.0, 0.7))),
}
_SHARES = np.array([0.28, 0.2, 0.14, 0.2, 0.1, 0.08])
_PEAK_HOURS = 1.1
_ALWAYS = 0.12  # of all visits, at any waking hour
NEVER = 1 << 40
"""A day that does not come."""


@dataclass(frozen=True)
class People:
    """A row a user, arrays of one length.

    Attributes:
        place, store: Codes of `PLACES` and `STORES`.
        rhythm: Share of visits by local hour, users x (working day, day off) x 24.
        kind_of_rhythm: Code of `RHYTHMS`.
        visits_a_day: On an average day.
        signup_day: Days since the market's first one.
        consents: Agreed to pushes.
        quiet_start, quiet_end: Local hours of their own, or those most people have.
        tells_quiet: Whether they told their own.
        max_per_day: Pushes they allow; nan where they named no number.
        desk, tablet, apple: How much they use a desktop and a tablet, whether their phone is Apple's.
        in_store: Share of visits that go to the store.
        taste: Users x kinds, about standard normal.
        interval_days: Users x kinds; inf where they never need it.
        openness, proneness: Log-odds they add to opening; how much pushes of late weigh for them.
        thrift: How much a price keeps them from buying.
    """

    place: Longs
    store: Longs
    rhythm: Doubles
    kind_of_rhythm: Longs
    visits_a_day: Doubles
    signup_day: Longs
    consents: Flags
    quiet_start: Longs
    quiet_end: Longs
    tells_quiet: Flags
    max_per_day: Doubles
    desk: Doubles
    tablet: Doubles
    apple: Flags
    in_store: Doubles
    taste: Doubles
    interval_days: Doubles
    openness: Doubles
    proneness: Doubles
    thrift: Doubles

    def __len__(self) -> int:
        return len(self.place)

    def in_hand(self, user: Longs, hour: Longs, day_off: Flags) -> Doubles:
        """P(a phone, a desktop, a tablet is in hand) of each row."""
        at_desk = (hour >= 9) & (hour < 17) & ~day_off
        desktop = self.desk[user] * np.where(at_desk, 1.6, np.where(hour >= 19, 0.5, 0.3))
        tablet = self.tablet[user] * np.where((hour >= 19) | (day_off & (hour < 12)), 1.2, 0.2)
        weights = np.stack([np.full(len(user), 0.6), desktop, tablet], axis=1)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def make_people(params: MarketParams) -> People:
    """The market's people; the first ones are the same however many there are.

    Examples:
        >>> few, more = make_people(MarketParams(users=10)), make_people(MarketParams(users=20))
        >>> bool((few.taste == more.taste[:10]).all() and (few.rhythm == more.rhythm[:10]).all())
        True
    """
    seed, who = params.seed, np.arange(params.users)
    kinds = np.arange(len(KINDS))
    each, of_kind = who[:, None], kinds[None, :]

    def uniform(purpose: str) -> Doubles:
        return uniforms(seed, purpose, who)

    place = drawn(np.tile([one.share for one in PLACES], (len(who), 1)), uniform("place"))
    rhythm_kind = drawn(np.tile(_SHARES, (len(who), 1)), uniform("rhythm"))
    taste = normals(seed, "taste", each, of_kind)
    odds = np.log(TRAITS.share / (1 - TRAITS.share)) + 0.8 * taste
    needs = uniforms(seed, "needs", each, of_kind) < 1 / (1 + np.exp(-odds))
    own = params.interval_scale * TRAITS.interval_days
    own = own * np.exp(-0.3 * taste + 0.25 * normals(seed, "interval", each, of_kind))
    new = uniform("newcomer") < params.newcomers
    signed = np.where(new, uniform("signup") * 365, -1 - uniform("signup") * 700)
    tells = uniform("tells quiet") < 0.15
    allows = np.select([uniform("allows") < 0.06, uniform("allows") < 0.12], [2.0, 1.0], np.nan)
    return People(
        place=place,
        store=place * STORES_A_PLACE + (uniform("store") * STORES_A_PLACE).astype(np.int64),
        rhythm=_rhythms(seed, who, rhythm_kind),
        kind_of_rhythm=rhythm_kind,
        visits_a_day=params.visits_a_day * np.exp(0.5 * normals(seed, "visits", who) - 0.125),
        signup_day=np.floor(signed).astype(np.int64),
        consents=uniform("consent") < params.consent,
        quiet_start=np.where(tells, 20 + (uniform("quiet from") * 4).astype(np.int64), 22),
        quiet_end=np.where(tells, 6 + (uniform("quiet to") * 4).astype(np.int64), 7),
        tells_quiet=tells,
        max_per_day=allows,
        desk=uniform("desk") ** 1.5,
        tablet=np.where(uniform("has tablet") < 0.3, uniform("tablet"), 0.0),
        apple=uniform("phone") < 0.45,
        in_store=np.where(uniform("goes out") < 0.5, 0.35 * uniform("in store"), 0.0),
        taste=taste,
        interval_days=np.where(needs, own, np.inf),
        openness=0.5 * normals(seed, "openness", who),
        proneness=np.exp(0.4 * normals(seed, "proneness", who)),
        thrift=np.exp(0.5 * normals(seed, "thrift", who)),
    )


def _rhythms(seed: int, who: Longs, kind: Longs) -> Doubles:
    """Users x (working day, day off) x 24: their kind's peaks, shifted and weighted by each as they like."""
    hours = np.arange(24) + 0.5
    waking = np.where((hours > 6.5) & (hours < 23.5), 1.0, 0.05)
    found = np.empty((len(who), 2, 24))
    shift = 0.6 * normals(seed, "shift", who)
    for code, (working, off) in enumerate(RHYTHMS.values()):
        rows = np.flatnonzero(kind == code)
        for day, peaks in enumerate((working, off)):
            total = np.zeros((len(rows), 24))
            for number, (centre, weight) in enumerate(peaks):
                own = weight * np.exp(0.6 * normals(seed, "peak", who[rows], day, number))
                away = np.abs(hours[None, :] - (centre + shift[rows])[:, None])
                away = np.minimum(away, 24.0 - away)
                total += own[:, None] * np.exp(-0.5 * (away / _PEAK_HOURS) ** 2)
            share = total / total.sum(axis=1, keepdims=True)
            found[rows, day] = (1 - _ALWAYS) * share + _ALWAYS * waking / waking.sum()
    return found
