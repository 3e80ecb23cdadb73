"""Stored experiments as designs, and what of them is in whose way."""

from __future__ import annotations

from infra.experiment_store import StoredExperiment
from monitoring.experiments.as_json import design_of_json
from monitoring.experiments.design import Design


def design_in(one: StoredExperiment) -> Design:
    """The design that is stored."""
    return design_of_json(one.design)
