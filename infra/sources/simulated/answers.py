"""What a published plan brings about: deliveries, opens, dismissals, purchases, opt-outs and complaints.

Chance is drawn by push_id: the same push answered twice, alone or among others, has the same outcome.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from infra.sources.simulated.chance import Doubles, Flags, Longs, Words, text_numbers, uniforms
from infra.sources.simulated.days import wall_clock, whole_seconds
from infra.sources.simulated.event_table import SCHEMA, TYPE_CODE, event_table, numbers_of
from infra.sources.simulated.market import PHONE, Market
from infra.sources.simulated.memory import PushMemory
from infra.sources.simulated.promotions import discount_of
from infra.sources.simulated.truth import hands_of, plan_truth, push_truth
from infra.sources.simulated.visits import order_lines

ITEMS_SEEN = 5
_OPENS_AFTER, _LONGEST = 1_500.0, 4 * 3_600.0  # seconds: on average, and at most


def answers(market: Market, pushes: pd.DataFrame, memory: PushMemory) -> pa.Table:
    """`event_table.SCHEMA` rows of all that these pushes bring about, as it happened: nothing late or lost.

    Args:
        market: Who answers.
        pushes: (push_id, user_id, item_id, items, send_at, device, channel), one row a push that was sent;
            `items` lists what it shows, the first included. One of an unknown item is sent and nothing more,
            one to nobody here is not even that.
        memory: What earlier pushes left behind; pushes of this frame count for later ones in it.
    """
    sent = pushes.sort_values(["send_at", "push_id"], kind="stable", ignore_index=True)
    turn = sent.groupby("user_id").cumcount()
    tables = []
    for number in range(int(turn.max()) + 1 if len(sent) else 0):
        # A user's second push meets whoever the first one has left behind.
        one = _answered(market, sent[turn == number].reset_index(drop=True), memory)
        memory = memory.with_events(market, one.to_pandas())
        tables.append(one)
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def sale_chances(market: Market, pushes: pd.DataFrame, memory: PushMemory) -> Doubles:
    """P(a push is delivered, opened and sells anything it shows), one entry a row: the truth about a plan.

    Args:
        pushes: As `answers` takes them; those of this frame do not count for each other.
    """
    if pushes.empty:
        return np.zeros(0)
    first = plan_truth(market, pushes, memory)
    row, _, _, own = _offers(market, pushes, first["p_buys_once_open"].to_numpy(), memory)
    unsold = np.ones(len(pushes))
    np.multiply.at(unsold, row, 1.0 - own)
    return np.asarray(first["p_delivered"] * first["p_open"] * (1.0 - unsold), dtype=np.float64)


def _offers(
    market: Market, sent: pd.DataFrame, p_first: Doubles, memory: PushMemory
) -> tuple[Longs, Longs, Longs, Doubles]:
    """(push, rank from 0, item, P(bought once opened)) of every known item that the pushes show."""
    names = [(row, *one) for row in range(len(sent)) for one in enumerate(_shown(sent.iloc[row]))]
    shown = pd.DataFrame(names, columns=["row", "rank", "name"])
    item = numbers_of(shown["name"], len(market.goods))
    row, rank = (shown[name].to_numpy(dtype=np.int64)[item >= 0] for name in ("row", "rank"))
    item = item[item >= 0]
    user = numbers_of(sent["user_id"], len(market.people))[row]
    instant, hand = whole_seconds(sent["send_at"])[row], hands_of(sent["device"].to_numpy()[row].tolist())
    own = push_truth(market, np.maximum(user, 0), item, instant, hand, memory)["p_buys_once_open"].to_numpy()
    return row, rank, item, np.where(rank == 0, p_first[row], market.params.truth.also_shown * own)


def _answered(market: Market, sent: pd.DataFrame, memory: PushMemory) -> pa.Table:
    """The events of at most one push a user."""
    seed = market.params.seed
    sent = sent[numbers_of(sent["user_id"], len(market.people)) >= 0].reset_index(drop=True)
    user = numbers_of(sent["user_id"], len(market.people))
    item = numbers_of(sent["item_id"], len(market.goods))
    whom = text_numbers(sent["push_id"].tolist())
    instant = whole_seconds(sent["send_at"])
    truth = plan_truth(market, sent, memory)

    def happens(what: str, chance: pd.Series | Doubles | float) -> Flags:
        return np.asarray(uniforms(seed, f"push {what}", whom) < chance, dtype=bool)

    delivered = happens("delivered", truth["p_delivered"])
    opened = delivered & happens("opened", truth["p_open"])
    dismissed = delivered & ~opened & happens("dismissed", market.params.truth.dismissed)
    leaves = delivered & happens("opt out", truth["p_opt_out"])
    complains = delivered & happens("complaint", truth["p_complaint"])
    arrives = instant + 1.0 + 20.0 * uniforms(seed, "push takes", whom)
    waits = np.minimum(-_OPENS_AFTER * np.log(uniforms(seed, "push waits", whom)), _LONGEST)
    seen = arrives + 2.0 + waits
    # What names no device is seen on a phone.
    seen_on = np.maximum(hands_of(sent["device"].tolist()), PHONE)
    rows = pd.DataFrame(
        {
            "push_id": sent["push_id"].to_numpy(dtype=object),
            "user": user,
            "item": item,
            "hand": seen_on,
            "cellular": False,
            "channel": sent["channel"].to_numpy(dtype=object),
            "quantity": np.nan,
            "amount": np.nan,
            "session_id": None,
            "query": -1,
        }
    )
    everyone = np.ones(len(rows), dtype=bool)
    told = [
        _events(rows, everyone, "push_sent", instant.astype(np.float64)),
        _events(rows, delivered, "push_delivered", arrives),
        _events(rows, opened, "push_opened", seen),
        _events(rows, dismissed, "push_dismissed", seen),
        _events(rows, leaves, "opt_out", seen + 30.0).assign(item=-1),
        _events(rows, complains, "complaint", seen + 90.0).assign(item=-1),
        *_visits(market, rows, sent, opened, seen, truth["p_buys_once_open"].to_numpy(), whom, memory),
    ]
    return event_table(market, pd.concat(told, ignore_index=True))


def _visits(
    market: Market,
    rows: pd.DataFrame,
    sent: pd.DataFrame,
    opened: Flags,
    seen: Doubles,
    p_first: Doubles,
    whom: Words,
    memory: PushMemory,
) -> list[pd.DataFrame]:
    """What follows an open: the app, the shown item, perhaps a purchase of it and of others in the push."""
    visit = rows[opened]
    visit = visit.assign(session_id=visit["push_id"], channel=None)
    found = [_events(visit.assign(item=-1), None, "app_open", seen[opened] + 1.0)]
    found.append(_events(visit, None, "view", seen[opened] + 3.0))
    at = np.flatnonzero(opened)
    if not len(at):
        return found
    row, rank, item, chance = _offers(market, sent.iloc[at], p_first[at], memory)
    row = at[row]
    buyer, instant = rows["user"].to_numpy()[row], whole_seconds(sent["send_at"])[row]
    bought = uniforms(market.params.seed, "push buys", whom[row], item) < chance
    row, rank, item, buyer = row[bought], rank[bought], item[bought], buyer[bought]
    day, _ = wall_clock(market.params, market.people.place[buyer], instant[bought])
    off = discount_of(market.params, market.goods.kind, market.people.store[buyer], item, day)
    pieces = uniforms(market.params.seed, "push pieces", whom[row], item)
    quantity, amount = order_lines(market, item, off, pieces)
    line = rows.iloc[row].assign(
        item=item, session_id=rows["push_id"].to_numpy()[row], channel=None, number=rank
    )
    later = seen[row] + 60.0 + 30.0 * rank
    found.append(_events(line, None, "add_to_cart", later))
    found.append(_events(line.assign(quantity=quantity, amount=amount), None, "purchase", seen[row] + 300.0))
    return found


def _shown(push: pd.Series) -> list[str]:
    """What a push shows, its own item first, at most `ITEMS_SEEN`."""
    own = str(push["item_id"])
    return [own, *(str(item) for item in push["items"] if item != own)][:ITEMS_SEEN]


def _events(rows: pd.DataFrame, happens: Flags | None, event_type: str, seconds: Doubles) -> pd.DataFrame:
    """An event of each row for which it happens, named after its push."""
    if happens is not None:
        rows, seconds = rows[happens], seconds[happens]
    tail = rows["number"].astype(str).radd("-") if "number" in rows else ""
    return rows.assign(
        event_id=rows["push_id"].astype(str) + f":{event_type}" + tail,
        type=TYPE_CODE[event_type],
        seconds=seconds,
    )
