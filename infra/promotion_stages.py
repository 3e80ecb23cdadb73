"""The stages between a gate's yes and the champion's place, as the setting `promotion_stages` tells them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

StageName = Literal["shadow", "canary"]
STAGES: tuple[StageName, ...] = ("shadow", "canary")
_SHARE: dict[str, float] = {"shadow": 1.0, "canary": 0.1}
_EXAMPLE = "shadow=1d,canary=3d@0.1"


@dataclass(frozen=True)
class PromotionStage:
    """How long a challenger proves itself, and on whom.

    Attributes:
        share: Of the users: those whom it scores beside the champion, or those whom it plans for.
    """

    name: StageName
    lasts: timedelta
    share: float


def parse_stages(text: str) -> tuple[PromotionStage, ...]:
    """The stages of `text` in their order; none of an empty one, which promotes at once.

    Raises:
        ValueError: It reads otherwise, or has a stage twice or in another order.

    Examples:
        >>> [(one.name, one.lasts.days, one.share) for one in parse_stages("shadow=1d, canary=3d@0.2")]
        [('shadow', 1, 1.0), ('canary', 3, 0.2)]
        >>> parse_stages("")
        ()
    """
    stages = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"(shadow|canary)=(\d+)([dh])(?:@(0?\.\d+|1(?:\.0+)?))?", part)
        if found is None:
            raise ValueError(f"has {part!r}, must be like {_EXAMPLE}")
        name, count, unit, share = found.groups()
        lasts = timedelta(days=int(count)) if unit == "d" else timedelta(hours=int(count))
        told = _SHARE[name] if share is None else float(share)
        if not lasts or not told:
            raise ValueError(f"has {part!r}, must last and have users, like {_EXAMPLE}")
        stages.append(PromotionStage("shadow" if name == "shadow" else "canary", lasts, told))
    order = [STAGES.index(one.name) for one in stages]
    if order != sorted(set(order)):
        raise ValueError(f"is {text!r}, must be shadow before canary, each once, like {_EXAMPLE}")
    if any(one.name == "canary" and one.share == 1.0 for one in stages):
        raise ValueError(f"is {text!r}, a canary of all has nobody to be compared with; like {_EXAMPLE}")
    return tuple(stages)
