"""The gate: may the challenger go live? Evidence in, a decision with its reasons out.

No evidence is a no. A yes says why, with the numbers that carried it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

PASS, WARN, FAIL = "pass", "warn", "fail"
REQUIRED = ("evaluation", "quality", "drift")


@dataclass(frozen=True)
class GateParams:
    """What the gate insists on.

    Attributes:
        champion_margin: How much worse than the champion the interval may reach, in the metric's units.
        slice_margin: A slice that surely loses to the champion, and by more than this, blocks even where the
            mean wins; in the metric's units.
        max_age_hours: Older evidence than this counts as none.
        min_queries, min_users: An evaluation on fewer proves nothing.
    """

    champion_margin: float = 0.003
    slice_margin: float = 0.02
    max_age_hours: float = 48.0
    min_queries: int = 100
    min_users: int = 30


@dataclass(frozen=True)
class Comparison:
    """Us against one opponent on the same queries.

    Attributes:
        opponent: A baseline's name, or the champion's version.
        ours, theirs: The metric; higher is better.
        low, high: 95 % interval of `ours - theirs`, paired.
    """

    opponent: str
    ours: float
    theirs: float
    low: float
    high: float

    @property
    def is_complete(self) -> bool:
        """Whether every number is one."""
        return all(isfinite(value) for value in (self.ours, self.theirs, self.low, self.high))


@dataclass(frozen=True)
class SliceComparison:
    """Us against the champion on a slice of the same queries.

    Attributes:
        name: Such as 'daypart morning'.
        lead: Ours minus the champion's.
        low, high: 95 % interval of it, paired.
    """

    name: str
    lead: float
    low: float
    high: float


@dataclass(frozen=True)
class ExperimentHealth:
    """An experiment that runs, or that was stopped having tried the challenger.

    Attributes:
        verdict: 'pass', 'warn' or 'fail'; None when it ought to have been read out and was not.
        words: What is wrong with it, or ''.
        age_hours: Of its newest readout; None when there is none or it is over.
    """

    name: str
    verdict: str | None
    words: str = ""
    age_hours: float | None = None


@dataclass(frozen=True)
class GateEvidence:
    """What is known of a challenger when the gate is asked.

    Attributes:
        subject: The challenger's version.
        metric: Such as 'ndcg@10'.
        baselines: One comparison a baseline; empty means that none was made.
        n_queries, n_users: What the comparisons are over.
        champion_version: The live model; None when there is none.
        champion: The comparison with it.
        slices: The same by slice, those that have an interval.
        rolled_back: Which person took it out of the champion's place, and why; None when nobody did.
        quality: 'pass', 'warn' or 'fail' of the data it was built from; None when unknown.
        quality_detail: One clause, with numbers.
        drift: Verdict of the scored frame against the model's reference; None when unknown.
        drift_columns: Those that failed, with their numbers: 'item_price wasserstein 0.61 > 0.50'.
        data_drift: Verdict on the newest day's events beside their season; None when not measured. A failure
            demands a win over the champion, where otherwise as good is good enough.
        experiments: Running experiments that have the champion in an arm; replacing it would spoil them.
        experiment_health: How those stand that run or have tried the challenger: one that loses its users
            says that assignment or data is broken, one that was stopped for harm that the challenger does it.
        age_hours: Age of each piece of evidence when the gate is asked, by name.
    """

    subject: str
    metric: str
    baselines: tuple[Comparison, ...] = ()
    n_queries: int = 0
    n_users: int = 0
    champion_version: str | None = None
    champion: Comparison | None = None
    slices: tuple[SliceComparison, ...] = ()
    rolled_back: str | None = None
    quality: str | None = None
    quality_detail: str = ""
    drift: str | None = None
    drift_columns: tuple[str, ...] = ()
    data_drift: str | None = None
    experiments: tuple[str, ...] = ()
    experiment_health: tuple[ExperimentHealth, ...] = ()
    age_hours: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class GateDecision:
    """Whether to promote, why, and all that was looked at (JSON-ready)."""

    promote: bool
    reasons: tuple[str, ...]
    evidence: dict[str, Any]


def decide_gate(evidence: GateEvidence, params: GateParams | None = None) -> GateDecision:
    """Yes only if nothing blocks; `reasons` are the blocks, or else what speaks for it.

    Examples:
        >>> weak = Comparison("popularity", 0.250, 0.254, -0.006, -0.001)
        >>> ages = {"evaluation": 1.0, "quality": 1.0, "drift": 1.0}
        >>> evidence = GateEvidence(
        ...     "m2", "ndcg@10", (weak,), 800, 90, quality="pass", drift="pass", age_hours=ages
        ... )
        >>> decide_gate(evidence).reasons
        ('ndcg@10 0.250 < popularity 0.254 (95% CI -0.006..-0.001)',)
    """
    params = params or GateParams()
    blocks = (
        *_overruled(evidence),
        *_missing(evidence),
        *_thin(evidence, params),
        *_stale(evidence, params),
        *_unhealthy(evidence),
        *_in_use(evidence),
        *_unhealthy_experiments(evidence, params),
        *_behind_baselines(evidence),
        *_behind_champion(evidence, params),
        *_behind_in_slices(evidence, params),
    )
    facts = {**asdict(evidence), "age_hours": dict(evidence.age_hours), "params": asdict(params)}
    return GateDecision(not blocks, blocks or _merits(evidence, params), facts)


def _overruled(evidence: GateEvidence) -> list[str]:
    if evidence.rolled_back is None:
        return []
    by_hand = "promote it by hand with kairos model promote --force"
    return [f"rolled back by {evidence.rolled_back}; {by_hand}"]


def _missing(evidence: GateEvidence) -> list[str]:
    found = []
    if not evidence.baselines:
        found.append("no evaluation against baselines; run the evaluation")
    broken = [one.opponent for one in evidence.baselines if not one.is_complete]
    if broken:
        found.append(f"no usable evaluation against {', '.join(broken)}; run the evaluation again")
    if evidence.champion_version is not None and (
        evidence.champion is None or not evidence.champion.is_complete
    ):
        found.append(
            f"no comparison with the champion {evidence.champion_version}; score both on the same queries"
        )
    if evidence.quality not in (PASS, WARN, FAIL):
        found.append("no data-quality verdict; run ingest")
    if evidence.drift not in (PASS, WARN, FAIL):
        found.append("no drift verdict; run monitor")
    return found


def _thin(evidence: GateEvidence, params: GateParams) -> list[str]:
    counted = (
        ("queries", evidence.n_queries, params.min_queries),
        ("users", evidence.n_users, params.min_users),
    )
    return [
        f"evaluated on {count:,} {name}, must be >= {floor:,}; judge it on more weeks or more data"
        for name, count, floor in counted
        if count < floor
    ]


def _stale(evidence: GateEvidence, params: GateParams) -> list[str]:
    found = []
    for name in (*REQUIRED, *sorted(set(evidence.age_hours) - set(REQUIRED))):
        age = evidence.age_hours.get(name)
        if age is None or not isfinite(age):
            found.append(f"{name} evidence has no age; record when it was made")
        elif age > params.max_age_hours:
            found.append(
                f"{name} evidence is {age:.1f} hours old, must be <= {params.max_age_hours:g}; renew it"
            )
    return found


def _unhealthy(evidence: GateEvidence) -> list[str]:
    found = []
    if evidence.quality == FAIL:
        found.append(f"data quality failed: {evidence.quality_detail or 'see the quality report'}")
    if evidence.drift == FAIL:
        columns = "; ".join(evidence.drift_columns) or "see the drift report"
        found.append(f"drift failed on {len(evidence.drift_columns)} columns: {columns}")
    return found


def _in_use(evidence: GateEvidence) -> list[str]:
    if evidence.champion_version is None or not evidence.experiments:
        return []
    names = ", ".join(evidence.experiments)
    return [f"the champion is an arm of the running experiment {names}; stop that first"]


def _unhealthy_experiments(evidence: GateEvidence, params: GateParams) -> list[str]:
    found = []
    for one in evidence.experiment_health:
        if one.verdict not in (PASS, WARN, FAIL):
            found.append(f"no readout of the experiment {one.name}; run kairos experiment readout")
        elif one.verdict == FAIL:
            found.append(f"experiment {one.name}: {one.words or 'see its readout'}")
        elif one.age_hours is not None and not one.age_hours <= params.max_age_hours:
            found.append(
                f"the readout of the experiment {one.name} is {one.age_hours:.1f} hours old, must be <= "
                f"{params.max_age_hours:g}; run kairos experiment readout"
            )
    return found


def _behind_baselines(evidence: GateEvidence) -> list[str]:
    complete = [one for one in evidence.baselines if one.is_complete]
    strongest = _strongest(evidence)
    found = [
        _verdict(evidence.metric, one, "<=" if one.ours == one.theirs else "<")
        for one in complete
        if one.ours <= one.theirs
    ]
    if strongest is not None and strongest.ours > strongest.theirs and strongest.low <= 0:
        found.append(
            _verdict(evidence.metric, strongest, ">", "strongest baseline ") + ", interval must be above zero"
        )
    return found


def _behind_champion(evidence: GateEvidence, params: GateParams) -> list[str]:
    champion = evidence.champion
    if evidence.champion_version is None or champion is None or not champion.is_complete:
        return []
    has_drifted = evidence.data_drift == FAIL
    least = 0.0 if has_drifted else -params.champion_margin
    if champion.low > least:
        return []
    sign = "<" if champion.ours < champion.theirs else ">="
    said = f", interval must stay above -{params.champion_margin:g}"
    if has_drifted:
        said = ", the data drifted, so the interval must be above zero"
    return [
        _verdict(evidence.metric, champion, sign, "champion ", named=False)
        + ("" if champion.high < 0 and not has_drifted else said)
    ]


def _behind_in_slices(evidence: GateEvidence, params: GateParams) -> list[str]:
    if evidence.champion_version is None:
        return []
    lost = [one for one in evidence.slices if one.high < 0 and one.lead < -params.slice_margin]
    return [
        f"{evidence.metric} in {one.name} {one.lead:+.3f} to the champion (95% CI {one.low:+.3f}.."
        f"{one.high:+.3f}), a slice may lose at most {params.slice_margin:g}"
        for one in sorted(lost, key=lambda one: one.lead)
    ]


def _merits(evidence: GateEvidence, params: GateParams) -> tuple[str, ...]:
    strongest = _strongest(evidence)
    reasons = []
    if strongest is not None:
        reasons.append(
            _verdict(
                evidence.metric, strongest, ">", f"the strongest of {len(evidence.baselines)} baselines, "
            )
        )
    if evidence.champion is not None and evidence.champion_version is not None:
        sign = "<" if evidence.champion.ours < evidence.champion.theirs else ">="
        reasons.append(
            _verdict(evidence.metric, evidence.champion, sign, "champion ", named=False)
            + f", within the margin of {params.champion_margin:g}"
        )
    else:
        reasons.append("no champion yet")
    warned = f" ({evidence.quality_detail})" if evidence.quality == WARN and evidence.quality_detail else ""
    drifted = "" if evidence.data_drift in (None, PASS) else f", data drift {evidence.data_drift}"
    reasons.append(f"data quality {evidence.quality}{warned}, drift {evidence.drift}{drifted}")
    reasons += [f"experiment {one.name} {one.verdict}: {one.words}" for one in evidence.experiment_health]
    return tuple(reasons)


def _strongest(evidence: GateEvidence) -> Comparison | None:
    complete = [one for one in evidence.baselines if one.is_complete]
    return max(complete, key=lambda one: (one.theirs, one.opponent), default=None)


def _verdict(metric: str, one: Comparison, sign: str, role: str = "", named: bool = True) -> str:
    opponent = f"{role}{one.opponent}" if named else role.strip()
    return (
        f"{metric} {one.ours:.3f} {sign} {opponent} {one.theirs:.3f} (95% CI {one.low:+.3f}..{one.high:+.3f})"
    )
