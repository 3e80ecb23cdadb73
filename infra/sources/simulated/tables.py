"""USERS and ITEMS rows as the shop tells them on a day: whoever has signed up, whatever has been launched.

Both are entered at the shop's noon before their first day, so that they are known everywhere when it begins.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from infra.sources.simulated.chance import Longs
from infra.sources.simulated.days import midnight
from infra.sources.simulated.event_table import item_id, user_id
from infra.sources.simulated.goods import stock_of, tags_of
from infra.sources.simulated.kinds import KINDS, TRAITS
from infra.sources.simulated.market import Market
from infra.sources.simulated.people import RHYTHMS
from infra.sources.simulated.places import PLACES


def user_rows(market: Market, today: int) -> pd.DataFrame:
    """USERS rows of everybody who may come on `today`, counted from the market's first day, or before."""
    people = market.people
    who = np.flatnonzero(people.signup_day <= today)
    names = [user_id(int(one)) for one in who]
    place = people.place[who]
    tells = people.tells_quiet[who]
    return pd.DataFrame(
        {
            "user_id": names,
            "signup_ts": _noon_before(market, people.signup_day[who]),
            "timezone": [PLACES[one].timezone for one in place],
            "locale": [PLACES[one].locale for one in place],
            "region": [PLACES[one].region for one in place],
            "push_consent": people.consents[who],
            "quiet_start": [
                _clock(one) if told else None
                for one, told in zip(people.quiet_start[who], tells, strict=True)
            ],
            "quiet_end": [
                _clock(one) if told else None for one, told in zip(people.quiet_end[who], tells, strict=True)
            ],
            "max_per_day": people.max_per_day[who],
            "segment": [list(RHYTHMS)[one] for one in people.kind_of_rhythm[who]],
        }
    )


def item_rows(market: Market, today: int) -> pd.DataFrame:
    """ITEMS rows of everything launched by `today`; what was withdrawn is not available any more."""
    goods, params = market.goods, market.params
    which = np.flatnonzero(goods.launched_day <= today)
    listed = [int(item) for item in which]
    stock, tags = stock_of(params, today), tags_of(params)
    return pd.DataFrame(
        {
            "item_id": [item_id(item) for item in listed],
            "title": [goods.title(item) for item in listed],
            "category_path": [KINDS[kind].path for kind in goods.kind[which]],
            "brand": [goods.brand_name(item) for item in listed],
            "price": goods.price[which],
            "tags": [tags[item] for item in listed],
            "created_ts": _noon_before(market, goods.launched_day[which]),
            "available": goods.withdrawn_day[which] > today,
            "stock": stock[which].astype(float),
            "sensitive": TRAITS.sensitive[goods.kind[which]],
        }
    )


def _noon_before(market: Market, days: Longs) -> list[datetime]:
    return [midnight(market.params, int(day)) - timedelta(hours=12) for day in days]


def _clock(hour: int) -> str:
    return f"{hour:02d}:00"
