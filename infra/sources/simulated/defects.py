"""What goes wrong on the way: events that come late, twice, never, or beside a spoilt copy of themselves."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.sources.simulated.chance import Flags, text_numbers, uniforms
from infra.sources.simulated.event_table import ARRIVES
from infra.sources.simulated.market import Market

SPOILT = "spoilt-"
"""Begins the event_id of every row that no contract should accept."""


def with_defects(market: Market, events: pa.Table) -> pa.Table:
    """The events as they arrive; their names decide what becomes of them, so a rerun gives the same rows."""
    if len(events) == 0:
        return events
    seed, rates = market.params.seed, market.params.defects
    whom = text_numbers(events["event_id"].to_numpy(zero_copy_only=False))
    late = uniforms(seed, "late", whom) < rates.late
    delay = np.where(late, uniforms(seed, "how late", whom) * rates.late_hours * 3600e6, 0.0)
    arrives = pc.add(events["event_ts"].cast(pa.int64()), pa.array(delay.astype(np.int64)))
    events = events.set_column(
        events.schema.get_field_index(ARRIVES), ARRIVES, arrives.cast(events.schema.field(ARRIVES).type)
    )
    lost = uniforms(seed, "lost", whom) < rates.lost
    repeated = ~lost & (uniforms(seed, "repeated", whom) < rates.repeated)
    spoilt = uniforms(seed, "spoilt", whom) < rates.broken
    odd = uniforms(seed, "spoilt how", whom[spoilt]) < 0.5
    copies = _spoilt(events.filter(pa.array(spoilt)), odd)
    return pa.concat_tables([events.filter(pa.array(~lost)), events.filter(pa.array(repeated)), copies])


def _spoilt(events: pa.Table, mistyped: Flags) -> pa.Table:
    """The rows under other names, some of an unknown type, the others with a negative amount."""
    ids = pc.binary_join_element_wise(SPOILT, events["event_id"], "")
    odd = pa.array(mistyped)
    kinds = pc.if_else(odd, "purchse", events["event_type"])
    amounts = pc.if_else(odd, events["amount"], -1.0)
    for name, column in (("event_id", ids), ("event_type", kinds), ("amount", amounts)):
        place = events.schema.get_field_index(name)
        events = events.set_column(place, events.schema.field(name), column)
    return events
