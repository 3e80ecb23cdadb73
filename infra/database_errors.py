"""PostgreSQL's complaints in one line a person can act on, never with the password."""

from __future__ import annotations

import re

import psycopg
from sqlalchemy.engine import URL

from features.errors import KairosError, MachineError, UsageError

_SETTING = "KAIROS_DATABASE_URL"

# What libpq says, what it means, and what to do. First match wins.
_CONNECTION_FIXES = (
    (r"password authentication failed", "wrong password for {user}", f"correct it in {_SETTING}"),
    (
        r"no password supplied",
        "it asks {user} for a password",
        f"set {_SETTING}=postgresql://USER:PASSWORD@HOST:5432/NAME",
    ),
    (
        r"database .* does not exist",
        "there is no such database",
        f"create it (createdb {{name}}) or correct the name in {_SETTING}",
    ),
    (r"role .* does not exist", "there is no {user}", f"create it or correct {_SETTING}"),
    (
        r"pg_hba|not permitted",
        "it does not admit {user} from here",
        "allow it in pg_hba.conf, or add ?sslmode=require to the URL",
    ),
    (r"resolve|translate host|Name or service", "that host is unknown", f"correct the host in {_SETTING}"),
    (
        r"refused|No such file",
        "nothing listens there",
        f"start it, or correct host and port in {_SETTING}",
    ),
    (r"timeout|timed out|unreachable", "no answer", "correct host and port, or open the firewall"),
    (
        r"too many|connection slots",
        "it has no connection left",
        "close idle clients or raise max_connections",
    ),
)
_LOST = r"closed|lost|terminating|unexpectedly|broken pipe|reset by peer"


def database_error(error: BaseException | None, url: URL) -> MachineError:
    """What to raise when the server is not there, refuses us, goes away or cannot go on."""
    said = " ".join(str(error).split())
    state = getattr(error, "sqlstate", None) or ""
    if state and not state.startswith(("08", "28", "3D", "57P")):
        return MachineError(
            f"{place(url)} could not go on: {primary_message(error)}; free what it lacks and run again."
        )
    if state.startswith("57P") or re.search(_LOST, said, re.IGNORECASE):
        return MachineError(
            f"the connection to {place(url)} was lost; check that the server runs, then run again."
        )
    for pattern, meaning, fix in _CONNECTION_FIXES:
        if re.search(pattern, said, re.IGNORECASE):
            user = f"user {url.username}" if url.username else "the user of this process"
            return MachineError(
                f"cannot open {place(url)}: {meaning.format(user=user)}; {fix.format(name=url.database)}."
            )
    last = (said.rpartition("FATAL:")[2] or said).strip().rstrip(".")
    return MachineError(f"cannot open {place(url)}: {last}; check {_SETTING}.")


def query_error(error: psycopg.Error, timeout_seconds: float) -> KairosError:
    """What to raise when a read-only query fails.

    Raises:
        psycopg.OperationalError: The connection itself failed; that is `database_error`'s to explain.
    """
    if error.sqlstate in ("25006", "42501"):  # a write; a right that only writes and files need
        return UsageError(f"this query is read-only: {primary_message(error)}; ask with SELECT.")
    if error.sqlstate == "57014":
        return UsageError(
            f"the query ran over {timeout_seconds:g} s; narrow it, or raise KAIROS_QUERY_TIMEOUT_SECONDS."
        )
    if error.sqlstate is None or error.sqlstate.startswith("57P"):
        if isinstance(error, psycopg.OperationalError):
            raise error
        return UsageError("that statement returns no rows; ask with SELECT.")
    hint = (error.diag.message_hint or "correct the query").rstrip(".")
    return UsageError(f"SQL: {primary_message(error)}; {hint[:1].lower()}{hint[1:]}.")


def primary_message(error: BaseException | None) -> str:
    """PostgreSQL's own one-line message, without its context."""
    message = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return (message or " ".join(str(error).split())).rstrip(".")


def place(url: URL) -> str:
    """Where the database is, without user and password."""
    host = url.host or url.query.get("host") or "the local socket"
    port = f":{url.port}" if url.port else ""
    return f"PostgreSQL at {host}{port}/{url.database or ''}"
