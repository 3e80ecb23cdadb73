"""The command `kairos`: its list of commands, and how any failure becomes one line and an exit code."""

from __future__ import annotations

import atexit
import errno
import os
import signal
import sys
import warnings
from types import FrameType

import typer

from features.errors import KairosError
from flows.commands import (
    alert,
    backup,
    check_data,
    demo,
    deploy,
    dispatch,
    doctor,
    experiment,
    features,
    flow_runs,
    health,
    init,
    migrate,
    model,
    plan,
    push,
    reports,
    simulate,
    sql,
    status,
    up,
    why,
    worker,
)
from flows.process_environment import enter_quiet_environment
from flows.termination import EXIT_CODES, exit_code, words

INTERRUPTED, TERMINATED = EXIT_CODES[signal.SIGINT], EXIT_CODES[signal.SIGTERM]

app = typer.Typer(
    name="kairos",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo", rich_help_panel="Start here")(demo.demo)
app.command("up", rich_help_panel="Start here")(up.up)
app.command("init", rich_help_panel="Start here")(init.init)
for flow in flow_runs.COMMANDS:
    app.command(flow.__name__, rich_help_panel="One flow now")(flow)
app.command("dispatch", rich_help_panel="One flow now")(dispatch.dispatch)
app.command("simulate", rich_help_panel="One flow now")(simulate.simulate)
app.command("why", rich_help_panel="Look")(why.why)
app.command("status", rich_help_panel="Look")(status.status)
app.command("sql", rich_help_panel="Look")(sql.sql)
app.command("check-data", rich_help_panel="Look")(check_data.check_data)
app.command("doctor", rich_help_panel="Look")(doctor.doctor)
app.command("migrate", rich_help_panel="Operate")(migrate.migrate)
app.command("deploy", rich_help_panel="Operate")(deploy.deploy)
app.command("backup", rich_help_panel="Operate")(backup.backup)
app.command("restore", rich_help_panel="Operate")(backup.restore)
app.command("worker", rich_help_panel="Operate")(worker.worker)
app.command("reports", rich_help_panel="Operate")(reports.reports)
app.command("health", rich_help_panel="Operate")(health.health)
app.add_typer(features.app, name="features", rich_help_panel="Look")
app.add_typer(model.app, name="model", rich_help_panel="Decide")
app.add_typer(plan.app, name="plan", rich_help_panel="Decide")
app.add_typer(push.app, name="push", rich_help_panel="Decide")
app.add_typer(experiment.app, name="experiment", rich_help_panel="Decide")
app.add_typer(alert.app, name="alert", rich_help_panel="Look")


@app.callback()
def kairos() -> None:
    """The right item, for the right person, at the right moment, in the right scene; and when to stay silent.

    State lives under KAIROS_HOME (default .kairos). Settings: environment KAIROS_*, or kairos.toml.
    """


def main() -> None:
    """Nothing; runs what was typed and ends the process with its exit code."""
    enter_quiet_environment()
    if not os.environ.get("KAIROS_DEBUG"):
        # Libraries warn programmers, not whoever runs a command, and reset the filters as they please.
        warnings.showwarning = lambda *_, **__: None
    signal.signal(signal.SIGTERM, _terminate)
    codes = [TERMINATED]
    atexit.register(_leave, codes)  # registered first, so it runs last
    codes[0] = run(sys.argv[1:])


def run(arguments: list[str]) -> int:
    """The exit code: 0 done, 1 failed, 2 usage, 3 refused, 130 interrupted, 143 terminated."""
    try:
        app(arguments, prog_name="kairos")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        if os.environ.get("KAIROS_DEBUG"):
            raise
        # A library that a signal interrupts may say so in its own words.
        code = exit_code() or (error.exit_code if isinstance(error, KairosError) else 1)
        if code not in EXIT_CODES.values():
            typer.echo(f"error: {in_one_line(error)}", err=True)
    else:
        code = 0
    if code in EXIT_CODES.values():
        typer.echo(words(code), err=True)
    return code


def in_one_line(error: BaseException) -> str:
    """What went wrong and the fix, on one line.

    Examples:
        >>> in_one_line(KairosError("no model yet; run kairos train."))
        'no model yet; run kairos train.'
        >>> in_one_line(OSError(errno.ENOSPC, "No space left on device"))
        'the disk is full; free some space, or set KAIROS_HOME to a larger disk.'
        >>> in_one_line(ZeroDivisionError("division by zero"))
        'unexpected ZeroDivisionError: division by zero; set KAIROS_DEBUG=1 to see where.'
    """
    text = " ".join(str(error).split())
    if isinstance(error, KairosError):
        return text
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "No space left on device" in text:
        return "the disk is full; free some space, or set KAIROS_HOME to a larger disk."
    if isinstance(error, MemoryError):
        return "memory ran out; lower KAIROS_DUCKDB_MEMORY_GB, or use a machine with more."
    if isinstance(error, PermissionError):
        return f"{error.filename} may not be written; make it yours, or set KAIROS_HOME to a folder that is."
    return f"unexpected {type(error).__name__}: {text}; set KAIROS_DEBUG=1 to see where."


def _leave(codes: list[int]) -> None:
    # All is closed by now. Tearing the interpreter down would only make DuckDB's binding print pages about
    # objects it still holds.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(codes[0])


def _terminate(_: int, __: FrameType | None) -> None:
    # An orderly end, so that whatever this process started ends with it.
    sys.exit(TERMINATED)
