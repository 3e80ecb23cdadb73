"""`kairos deploy`: the deployments, on a Prefect server that is there already."""

from __future__ import annotations


def deploy() -> None:
    """Make or update work pool, deployments, schedules and automations on the server at PREFECT_API_URL."""
    from features.errors import UsageError
    from flows.commands.output import console
    from flows.prefect_server import enter_prefect
    from infra.settings import load_settings

    settings = load_settings()
    address = enter_prefect(settings)
    if address is None:
        raise UsageError("no Prefect server is known; set PREFECT_API_URL. kairos up deploys by itself.")
    from flows.deployments import deploy as deploy_all

    for name in deploy_all(settings):
        console().print(name, markup=False)
