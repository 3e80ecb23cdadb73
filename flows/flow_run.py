"""A flow run now, in this process, on the Prefect server that is there or a short-lived one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flows.moments import shop_timezone
from flows.prefect_server import enter_prefect
from flows.progress import step
from flows.termination import ending_soon
from infra.settings import Settings


def run_flow(settings: Settings, entrypoint: str, **parameters: Any) -> Any:
    """The result of a flow, e.g. `run_flow(settings, "flows.ingest.ingest")`.

    Raises:
        KairosError: As the flow does; at once when another run writes this home or the source is unknown.
    """
    from flows.wiring import sole_writer

    shop_timezone(settings)
    with ending_soon(), sole_writer(settings):
        return _run_in_prefect(settings, entrypoint, parameters)


def _run_in_prefect(settings: Settings, entrypoint: str, parameters: dict[str, Any]) -> Any:
    api_url = enter_prefect(settings)
    with step("Prefect") as current:
        current.say("starting a server for this run" if api_url is None else api_url)
        _import_prefect(with_server=api_url is None)
        # The server takes seconds to start, and so do our own imports and PostgreSQL: side by side.
        with ThreadPoolExecutor(1) as beside:
            reached = beside.submit(_reach_server)
            flow = _load(entrypoint)
            reached.result()
        current.say("a server for this run; its history is kept" if api_url is None else api_url)
    return flow(**parameters)


def _import_prefect(with_server: bool) -> None:
    """Nothing; two threads that import Prefect's modules at once would wait for each other."""
    import prefect.client.orchestration
    import prefect.flows
    import prefect.utilities.importtools

    prefect.utilities.importtools.import_object("prefect.flow")
    if with_server:
        import prefect.server.api.server


def _reach_server() -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        client.hello()


def _load(entrypoint: str) -> Any:
    """The flow, with the stores it needs already open."""
    from prefect.utilities.importtools import import_object

    flow = import_object(entrypoint)
    from flows.wiring import open_stores

    open_stores()
    return flow
