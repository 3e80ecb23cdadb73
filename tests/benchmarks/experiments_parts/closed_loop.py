"""Four weeks of the simulated market under an experiment, day after day by the real flows, beside its truth.

Control is what a plain shop does: items ranked without the moment, pushed in the part of the day in which
each user comes most. The treatment chooses item, slot and scene together. Every day both policies' pushes for
all users of the experiment, those of the other arm too, are weighed by the market's own probabilities: that
is the gain which the readout must find, and nothing here chooses it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import RefusedError
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

NAME = "joint"
CONTROL, JOINT = "item-only", "joint"
_FORM = """
name = "{name}"
hypothesis = "Choosing item, slot and scene together sells more a push."
owner = "crm"
start = {start}
share = 1.0
primary = "push_conversion"
secondaries = ["open_rate"]
mde = {mde}
looks = [{days}]
window_days = {window}
settling_days = 2
[[arm]]
name = "{control}"
share = 0.5
model = "{version}"
timing = ["usual"]
[[arm]]
name = "{joint}"
share = 0.5
"""


@dataclass(frozen=True)
class Size:
    """How large the market is, and how long the experiment lasts.

    Attributes:
        warm_up_days: On which the champion plans for all: the past that the launch works its power out of.
        mde: Smallest effect declared. The launch knows a week of pushes only, of the four that will be, and
            refuses what those do not tell.
    """

    users: int = 1_600
    items: int = 240
    history_days: int = 112
    days: int = 28
    warm_up_days: int = 7
    mde: float = 0.8

    @property
    def window_days(self) -> int:
        """All that is left when first pushes take a day, and late events two."""
        return self.days - 4

    @property
    def settings(self) -> dict[str, str]:
        """A market this small trains on fewer weeks."""
        return {
            "KAIROS_SOURCE": f"simulated:users={self.users},items={self.items},days={self.history_days}",
            "KAIROS_TRAIN_WEEKS": "3",
            "KAIROS_TEST_WEEKS": "1",
        }


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """The experiment's readout beside the truth."""
    size = Size() if max(effort.sizes) >= 1 else Size(300, 100, 70, 6, 2, 20.0)
    with _environment(size.settings | {"KAIROS_HOME": str(folder / "home")}) as home:
        figures = _lived(size, folder, say)
        from infra.embedded_postgres import release_embedded

        release_embedded(home)
    words = (
        f"{figures['gain_true']:+.5f} conversions a push by the market's truth, "
        f"{figures['gain_estimated']:+.5f} ({figures['low']:+.5f}..{figures['high']:+.5f}) by the readout"
    )
    holds = bool(figures["significant"] and figures["covered"])
    return Found(
        {"closed_loop": figures, "closed_loop_holds": float(holds)},
        words,
        notes=(
            f"{size.days} simulated days after {size.warm_up_days} of the champion alone; the truth weighs "
            "both policies' pushes for the same users on the same days by the market's probabilities, given "
            "what had really been sent to each of them before",
        ),
    )


def _lived(size: Size, folder: Path, say: Say) -> dict[str, Any]:
    from flows.flow_run import run_flow
    from infra.settings import load_settings

    settings = load_settings()
    first = "tests.benchmarks.experiments_parts.closed_loop_days.warm_up"
    say("history, features, first model")
    start, plain = run_flow(settings, first, days=size.warm_up_days, say=say)
    file = folder / "experiment.toml"
    told = {"name": NAME, "start": start, "mde": size.mde, "days": size.days, "window": size.window_days}
    file.write_text(_FORM.format(**told, control=CONTROL, joint=JOINT, version=plain), encoding="utf-8")
    _typed("launch", str(file), "--as-of", _midnight(start))
    _typed("approve", NAME, "--by", "benchmark", "--why", "closed loop")
    days = "tests.benchmarks.experiments_parts.closed_loop_days.experiment_days"
    worth = run_flow(settings, days, days=size.days, name=NAME, say=say)
    return _figures(size, start, worth)


def _figures(size: Size, start: date, worth: pd.DataFrame) -> dict[str, Any]:
    """The readout beside the truth of the days that its window covers."""
    from flows.wiring import open_stores

    stores = open_stores()
    one, readouts = stores.experiments.read(NAME), stores.readouts.read(NAME)
    newest = readouts[-1]["readout"]
    effect = next((row for row in newest["effects"] if row["role"] == "primary"), None)
    if effect is None:
        raise RefusedError(f"the readout tells no effect: {'; '.join(newest['reasons'])}")
    counted = worth[worth["day"] < start + timedelta(days=size.window_days)]
    sums = counted.groupby("policy")[["chance", "pushes"]].sum()
    own = counted[counted["own"]].groupby("policy")[["chance", "pushes"]].sum()
    true, sent = sums["chance"] / sums["pushes"], own["chance"] / own["pushes"]
    gain = float(true[JOINT] - true[CONTROL])
    return {
        "gain_true": gain,
        "true_by_policy": true.to_dict(),
        "gain_true_of_sent": float(sent[JOINT] - sent[CONTROL]),
        "gain_estimated": effect["effect"],
        "low": effect["low"],
        "high": effect["high"],
        "interval": effect["interval"],
        "p_value": effect["p_value"],
        "control_mean": effect["control_mean"],
        "days": size.days,
        "users": int(sum(effect["units"])),
        "pushes": int(own["pushes"].sum()),
        "decision": newest["decision"],
        "state": one.status,
        "mismatch": newest["mismatch"]["words"],
        "significant": newest["decision"] == "ship" and newest["winner"] == JOINT,
        "covered": bool(effect["low"] <= gain <= effect["high"]),
        "models_trained": len(stores.registry.list_versions()) - 1,
        "champion_after": stores.registry.champion(),
    }


def _midnight(day: date) -> str:
    from infra.sources.simulated.days import day_number, midnight
    from infra.sources.simulated.params import MarketParams

    params = MarketParams()
    return midnight(params, day_number(params, day)).isoformat()


def _typed(*words: str) -> None:
    """Nothing; the command ended well.

    Raises:
        RefusedError: It did not; what it said is on the terminal.
    """
    from flows import cli

    if code := cli.run(["experiment", *words]):
        raise RefusedError(f"kairos experiment {words[0]} ended with {code}; see above.")


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[Path]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield Path(values["KAIROS_HOME"])
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


PART = Part("closed_loop", measure, {"closed_loop_holds": ("at least", 1.0)})
