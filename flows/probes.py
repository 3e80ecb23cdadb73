"""What a container's probe asks: does this part answer, now? Starts nothing."""

from __future__ import annotations

import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable

from features.errors import KairosError, UsageError
from flows.prefect_server import is_healthy, running_platform
from infra.settings import Settings

_ASK_SECONDS = 3.0


def probe(settings: Settings, part: str) -> str:
    """How the part is, in words.

    Args:
        settings: In effect.
        part: One of `PARTS`, or an address that answers 200 when its process is well.

    Raises:
        KairosError: It is not well; says what to do.
        UsageError: No such part.
    """
    if part.startswith(("http://", "https://")):
        return _address(part)
    if part not in PARTS:
        raise UsageError(f"{part!r} is no part, must be {', '.join(PARTS)} or an http:// address.")
    return PARTS[part](settings)


def _database(settings: Settings) -> str:
    from infra.database import connect, known_revisions

    if settings.database_url is None:
        from infra.postgres_watchdog import postmaster_pid

        pid = postmaster_pid(settings.home.resolve() / "postgres" / "data")
        if pid is None:
            raise KairosError("the embedded PostgreSQL does not run; kairos up starts it.")
        return f"embedded, process {pid}"
    database = connect(settings.database_url.get_secret_value(), settings.connect_timeout_seconds)
    try:
        found = database.revision()
    finally:
        database.close()
    if found != known_revisions()[-1]:
        raise KairosError(
            f"the schema is at revision {found or 'none'}, must be {known_revisions()[-1]}; "
            "run kairos migrate."
        )
    return f"answers, schema at revision {found}"


def _prefect(settings: Settings) -> str:
    platform = running_platform(settings)
    address = os.environ.get("PREFECT_API_URL") or (platform.api_url if platform is not None else None)
    if address is None:
        raise KairosError("no Prefect server is known; set PREFECT_API_URL, or run kairos up.")
    if not is_healthy(address, _ASK_SECONDS):
        raise KairosError(f"no Prefect server answers at {address}; start it.")
    return f"answers at {address}"


def _home(settings: Settings) -> str:
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.home):
            return f"{settings.home} may be written"
    except OSError as error:
        raise KairosError(
            f"{settings.home} may not be written ({error.strerror}); correct its owner, or set KAIROS_HOME."
        ) from None


def _address(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=_ASK_SECONDS) as answer:
            return f"answers {answer.status}"
    except urllib.error.HTTPError as error:
        raise KairosError(f"{address} answers {error.code}; see the log of what listens there.") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise KairosError(f"{address} does not answer ({reason}); start what listens there.") from None


PARTS: dict[str, Callable[[Settings], str]] = {"database": _database, "prefect": _prefect, "home": _home}
