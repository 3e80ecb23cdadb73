"""Designs and readouts as JSON, and back: stored so that an experiment reads the same years later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from math import isfinite
from typing import Any

from models.experiments.split import Arm, Split
from monitoring.experiments.design import Design, Guardrail
from monitoring.experiments.metrics import Metric
from monitoring.experiments.result import Look, LookRow, Readout


def design_as_json(design: Design) -> dict[str, Any]:
    """The design, JSON-ready.

    Examples:
        >>> from datetime import UTC
        >>> split = Split("spring", "push", 0.0, 0.2, (Arm("control", 0.5), Arm("evening", 0.5)))
        >>> design = Design(split, "h", "o", Metric("buyers", "orders"), datetime(2026, 3, 2, tzinfo=UTC),
        ...                 (7, 14), 20_000, 0.05)
        >>> design_of_json(design_as_json(design)) == design
        True
    """
    return {**_listed(asdict(design)), "starts_at": design.starts_at.isoformat()}


def design_of_json(told: Mapping[str, Any]) -> Design:
    """The design that `design_as_json` told."""
    split = told["split"]
    return Design(
        **{
            **told,
            "split": Split(
                **{
                    **split,
                    "arms": tuple(Arm(**arm) for arm in split["arms"]),
                    "wave_shares": tuple(map(tuple, split.get("wave_shares", ()))),
                }
            ),
            "primary": Metric(**told["primary"]),
            "secondaries": tuple(Metric(**one) for one in told["secondaries"]),
            "guardrails": tuple(
                Guardrail(Metric(**one["metric"]), one["tolerance"]) for one in told["guardrails"]
            ),
            "starts_at": datetime.fromisoformat(told["starts_at"]),
            "look_days": tuple(told["look_days"]),
        }
    )


def readout_as_json(readout: Readout) -> dict[str, Any]:
    """The readout, JSON-ready; what is no finite number is null."""
    look = readout.look
    return {
        **_listed(asdict(readout)),
        "as_of": readout.as_of.isoformat(),
        "look": None if look is None else {**_listed(asdict(look)), "as_of": look.as_of.isoformat()},
    }


def look_of_json(told: Mapping[str, Any]) -> Look | None:
    """The look of a readout that `readout_as_json` told; None if it was none."""
    look = told["look"]
    if look is None:
        return None
    rows = tuple(LookRow(**row) for row in look["rows"])
    return Look(look["number"], datetime.fromisoformat(look["as_of"]), look["is_last"], rows)


def _listed(value: Any) -> Any:
    """The same with lists for tuples and null for infinities, which JSON does not know."""
    if isinstance(value, dict):
        return {name: _listed(one) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_listed(one) for one in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
