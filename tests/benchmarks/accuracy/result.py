"""What is written: the evaluation as the keys of ranking.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from models.evaluation import EvaluationReport
from tests.benchmarks.accuracy.ours import ABLATIONS, CONTEXT_FREE, OURS

KEYS = {"ndcg10": "ndcg@10", "recall20": "recall@20", "map12": "map@12", "hr10": "hit_rate@10"}
KAIROS = "kairos"


def headline(report: EvaluationReport) -> dict[str, Any]:
    """The metrics of Kairos and every peer, the ratio to the strongest of them, and what context adds."""
    peers = [name for name in report.models if name not in ABLATIONS]
    result: dict[str, Any] = {
        key: {KAIROS: report.models[OURS][metric].mean}
        | {name: report.models[name][metric].mean for name in peers}
        for key, metric in KEYS.items()
    }
    strongest = max(peers, key=lambda name: report.models[name]["ndcg@10"].mean)
    return result | {
        "peer_ratio": {"peer": strongest} | ratio(report, strongest),
        "context_uplift": ratio(report, CONTEXT_FREE),
        "ablations": {
            name: {key: vars(report.models[name][metric]) for key, metric in KEYS.items()}
            for name in ABLATIONS
        },
    }


def ratio(report: EvaluationReport, base: str) -> dict[str, float]:
    """Our NDCG@10 over `base`'s, its interval from that of the paired difference."""
    lead, theirs = report.differences[OURS, base]["ndcg@10"], report.models[base]["ndcg@10"].mean
    scale = 1.0 / theirs if theirs else math.nan
    return {
        "ratio": 1.0 + lead.mean * scale,
        "low": 1.0 + lead.low * scale,
        "high": 1.0 + lead.high * scale,
        "difference": lead.mean,
        "difference_low": lead.low,
        "difference_high": lead.high,
    }


def as_json(value: Any) -> Any:
    """The value in JSON types: numbers of numpy as plain ones, what is no number as None."""
    if isinstance(value, Mapping):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, np.ndarray)):
        return [as_json(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
