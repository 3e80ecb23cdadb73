"""How flow runs are called in Prefect's UI."""

from __future__ import annotations

from prefect.runtime import flow_run


def run_name() -> str:
    """The flow and its knowledge cut-off, e.g. `cycle as of 2017-12-04 05:00`; `now` when none was given."""
    as_of = flow_run.parameters.get("as_of")
    return f"{flow_run.flow_name} as of {'now' if as_of is None else f'{as_of:%Y-%m-%d %H:%M}'}"
