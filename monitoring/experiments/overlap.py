"""Whether a new experiment gets in the way of declared ones, and the nearest place where it does not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from models.experiments.split import free_ranges
from monitoring.experiments.design import Design

_LEAST = 1e-9


def overlap_words(
    new: Design, declared: Sequence[Design], used_names: Collection[str] = (), zone: str = "UTC"
) -> str:
    """Why the new experiment must not start as it is, with the nearest one that may; empty if it may.

    Experiments of one layer must not share units at the same time. A name is never used twice, since arms are
    drawn by it: the same name again would give everybody the arm of last time.

    Args:
        declared: Experiments that run or wait.
        used_names: Of all that there ever were.
        zone: IANA zone of the dates that are told: the one in which a start is read.
    """
    if new.split.name in {*used_names, *(other.split.name for other in declared)}:
        return f"an experiment {new.split.name!r} exists already, must be new; take another name"
    others = _at_its_time(new, declared)
    hit = [other for other in others if _shared(new, other) > _LEAST]
    if not hit:
        return ""
    told = "; ".join(
        f"{_shared(new, other):.1%} of layer {new.split.layer!r} belongs to {other.split.name!r} until "
        f"{_date(other.ends_at, zone)}"
        for other in hit
    )
    return f"{told}; what works: {_nearest(new, others, zone)}"


def shares_units(new: Design, running: Sequence[Design]) -> bool:
    """Whether one of those that run has units of the new one.

    Dates do not count: it has them until a readout or somebody ends it, which may be late.
    """
    return any(other.split.layer == new.split.layer and _shared(new, other) > _LEAST for other in running)


def largest_free_share(new: Design, declared: Sequence[Design]) -> float:
    """The most of its layer that the new experiment could have in one piece, at its time."""
    return max((end - start for start, end in _free(_at_its_time(new, declared))), default=0.0)


def placed(new: Design, declared: Sequence[Design]) -> Design:
    """The new experiment where its share of the layer is free at its time; as it is where nothing fits."""
    for start, end in _free(_at_its_time(new, declared)):
        if end - start >= new.split.share - _LEAST:
            split = replace(new.split, starts_at=start, ends_at=min(start + new.split.share, end))
            return replace(new, split=split)
    return new


def _at_its_time(new: Design, declared: Sequence[Design]) -> list[Design]:
    return [
        other
        for other in declared
        if other.split.layer == new.split.layer
        and other.starts_at < new.ends_at
        and new.starts_at < other.ends_at
    ]


def _free(others: Sequence[Design]) -> list[tuple[float, float]]:
    return free_ranges([(other.split.starts_at, other.split.ends_at) for other in others])


def _shared(one: Design, other: Design) -> float:
    return min(one.split.ends_at, other.split.ends_at) - max(one.split.starts_at, other.split.starts_at)


def _date(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d}"


def _nearest(new: Design, others: Sequence[Design], zone: str) -> str:
    options = []
    free = _free(others)
    fitting = [start for start, end in free if end - start >= new.split.share - _LEAST]
    if fitting:
        start = min(fitting, key=lambda place: abs(place - new.split.starts_at))
        options.append(f"places {start:g} to {start + new.split.share:g}")
    elif free:
        start, end = max(free, key=lambda range_: range_[1] - range_[0])
        options.append(f"{end - start:.1%} of the layer (places {start:g} to {end:g})")
    begins = max(other.ends_at for other in others if _shared(new, other) > _LEAST)
    options.append(f"a start on {_date(begins, zone)}")
    return ", or ".join(options)
