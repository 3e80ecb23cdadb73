"""What a canary's users do beside everybody else's: opt out, complain, answer.

A user counts once for each, whatever happened to him how often: users, not pushes, were chosen by chance.
Opting out and complaints count as soon as they happen, since both groups wait equally long; an answer may
still come, so only users whose first push has had its time are asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from monitoring.model_health import Verdict, answered
from monitoring.rate_ratio import RateRatio, rate_ratio


@dataclass(frozen=True)
class GuardrailParams:
    """When a guardrail is broken.

    Attributes:
        alpha: Chance that a harmless canary ever breaks any of them.
        most_opt_outs, most_complaints: It breaks when its rate is surely more than so many times the others'.
        least_answers: It breaks when it is surely less than so many times the others'.
        answer_hours: For so long a session counts as the answer to a push.
    """

    alpha: float = 0.05
    most_opt_outs: float = 1.0
    most_complaints: float = 1.0
    least_answers: float = 0.9
    answer_hours: float = 4.0


@dataclass(frozen=True)
class Guardrail:
    """One measure of the canary beside the rest.

    Attributes:
        name: opt_out, complaint or answered.
        did, users: Of the canary's users, and how many there are.
        others_did, others: The same of the rest.
        ratio: Of the two rates.
        limit: What the ratio must not surely be beyond.
        verdict: 'fail' when it surely is, 'warn' when only its estimate is, else 'ok'.
    """

    name: str
    did: int
    users: int
    others_did: int
    others: int
    ratio: RateRatio
    limit: float
    verdict: Verdict

    @property
    def words(self) -> str:
        """One clause."""
        return (
            f"{self.name} {self.did:,} of {self.users:,} users of the canary, {self.others_did:,} of "
            f"{self.others:,} of the rest: {self.ratio.ratio:.2f} times "
            f"({self.ratio.low:.2f}..{self.ratio.high:.2f}, limit {self.limit:g})"
        )


def guardrails(
    pushes: pd.DataFrame,
    events: pd.DataFrame,
    canary: str,
    as_of: datetime,
    params: GuardrailParams | None = None,
) -> list[Guardrail]:
    """Every guardrail, the worst first; empty while one of the groups has had no push.

    Args:
        pushes: (push_id, user_id, sent_at, model_version), pushes sent since the canary began.
        events: (user_id, event_type, event_ts, push_id); those at or after `as_of` are ignored.
        canary: The version on trial; all others are the rest.
        as_of: Knowledge cut-off.
    """
    params = params or GuardrailParams()
    sent = pushes[pushes["sent_at"] < as_of].reset_index(drop=True)
    known = events[events["event_ts"] < as_of]
    if sent["model_version"].eq(canary).nunique() < 2:
        return []
    alpha = params.alpha / 3
    found = [
        _harm(kind, limit, sent, known, canary, alpha)
        for kind, limit in (("opt_out", params.most_opt_outs), ("complaint", params.most_complaints))
    ]
    answers = _answers(sent, known, canary, as_of, params, alpha)
    found += [] if answers is None else [answers]
    order: Sequence[Verdict] = ("fail", "warn", "ok")
    return sorted(found, key=lambda one: order.index(one.verdict))


def users_proven(found: Sequence[Guardrail]) -> int:
    """Users of the canary whose answer can be told."""
    return next((one.users for one in found if one.name == "answered"), 0)


def _harm(
    kind: str, limit: float, sent: pd.DataFrame, events: pd.DataFrame, canary: str, alpha: float
) -> Guardrail:
    first = sent.groupby("user_id").agg(
        sent_at=("sent_at", "min"), ours=("model_version", lambda versions: (versions == canary).any())
    )
    told = events.loc[events["event_type"] == kind, ["user_id", "event_ts"]]
    since = told["user_id"].map(first["sent_at"])
    who = told.loc[since.notna() & (told["event_ts"] >= since), "user_id"].unique()
    return _guardrail(kind, first["ours"], first.index.to_series().isin(who), limit, alpha, is_harm=True)


def _answers(
    sent: pd.DataFrame,
    events: pd.DataFrame,
    canary: str,
    as_of: datetime,
    params: GuardrailParams,
    alpha: float,
) -> Guardrail | None:
    mature = sent[sent["sent_at"] <= as_of - timedelta(hours=params.answer_hours)].reset_index(drop=True)
    if mature["model_version"].eq(canary).nunique() < 2:
        return None
    told = mature.assign(
        did=answered(mature, events, params.answer_hours), ours=mature["model_version"] == canary
    )
    users = told.groupby("user_id").agg(did=("did", "any"), ours=("ours", "any"))
    return _guardrail("answered", users["ours"], users["did"], params.least_answers, alpha, is_harm=False)


def _guardrail(
    name: str, ours: pd.Series, did: pd.Series, limit: float, alpha: float, is_harm: bool
) -> Guardrail:
    mine, done = ours.to_numpy(dtype=bool), did.to_numpy(dtype=bool)
    counts = (int(done[mine].sum()), int(mine.sum()), int(done[~mine].sum()), int((~mine).sum()))
    ratio = rate_ratio(*counts, alpha=alpha)
    surely = ratio.low > limit if is_harm else ratio.high < limit
    looks = ratio.ratio > limit if is_harm else ratio.ratio < limit
    verdict: Verdict = "fail" if surely else "warn" if looks else "ok"
    return Guardrail(name, *counts, ratio, limit, verdict)
