"""`kairos worker`: the worker of a container, which also looks after runs whose process was killed."""

from __future__ import annotations


def worker() -> None:
    """Run what is due, one flow at a time, until stopped; one worker a pool. kairos up has its own."""
    import subprocess
    import time

    from features.errors import KairosError
    from flows.commands.output import console
    from flows.interrupted_runs import InterruptedRuns
    from flows.platform import worker_command
    from flows.prefect_server import enter_prefect
    from infra.settings import load_settings

    enter_prefect(load_settings())
    process = subprocess.Popen([*worker_command("kairos"), "--with-healthcheck"])
    runs = InterruptedRuns()
    try:
        while process.poll() is None:
            for name in runs.hand_out_again():
                console().print(
                    f"the process of run {name!r} is gone; the run is handed out again", markup=False
                )
            time.sleep(1.0)
    finally:
        if process.poll() is None:  # it lets its run end in order
            process.terminate()
            process.wait()
    raise KairosError(f"the worker ended by itself (exit {process.returncode}); start it again.")
