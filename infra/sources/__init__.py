"""Where the four tables come from: one file a source, all behind the same three questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from features.errors import UsageError
from features.source_mapping import SourceMapping
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.sources.simulated.source import SimulatedSource

CHOICES = "complete-journey, simulated, parquet:DIR or sql:URL"


SIMULATED_NOTE = "simulated: no real people, no real shop, no real sales"


class Source(Protocol):
    """Someone else's data, read only.

    Attributes:
        name: What to call it in messages; never holds a password.
        default_timezone: Stands in for a user's missing zone.
        mapping: What it calls its columns; applied by `read`.
    """

    name: str
    default_timezone: str
    mapping: SourceMapping

    def fingerprint(self) -> str:
        """Text that changes whenever the data does; empty when only reading everything could tell."""
        ...

    def notes(self) -> tuple[str, ...]:
        """What this source decided on a person's behalf, one line each."""
        ...

    def read(self, table: str) -> Iterator[Any]:
        """Chunks of one contract table (Arrow tables or pandas frames), in a stable order.

        A source without users or promotions yields nothing for them.

        Raises:
            KairosError: The source cannot be read, or lacks events or items.
        """
        ...


def source_of(settings: Settings, spec: str | None = None) -> Source:
    """The source of these settings, or the one that `spec` names, read as their mapping says.

    Raises:
        UsageError: Not a source.
    """
    return open_source(
        spec or settings.source,
        default_timezone=settings.default_timezone,
        mapping=settings.mapping,
        home=settings.home,
    )


def is_simulated(spec: str) -> bool:
    """Whether nobody and nothing in this source is real.

    Examples:
        >>> is_simulated("simulated:users=500"), is_simulated("parquet:simulated")
        (True, False)
    """
    return spec.partition(":")[0] == "simulated"


def reality_note(spec: str) -> str:
    """What whoever reads a result must know of where it comes from; '' where it is somebody's real data."""
    return SIMULATED_NOTE if is_simulated(spec) else ""


def open_source(
    spec: str,
    *,
    default_timezone: str = "UTC",
    mapping: SourceMapping = SourceMapping(),
    home: Path | None = None,
) -> Source:
    """The source that a specification names; nothing is read yet.

    Args:
        spec: 'complete-journey', 'simulated' or 'simulated:users=500,items=200,days=120,seed=3',
            'parquet:DIR' (CSV too) or 'sql:URL'.
        default_timezone: IANA zone of users who have none.
        mapping: What it calls its tables and columns; the recorded data has the contract's names.
        home: Where a simulated market remembers the days it has lived; None: it knows its history only.

    Raises:
        UsageError: Not a source.
    """
    kind, _, address = spec.partition(":")
    if spec == "complete-journey":
        from infra.sources.complete_journey import CompleteJourneySource

        return CompleteJourneySource()
    if is_simulated(spec):
        return open_market(spec, home)
    if kind == "parquet" and address:
        from infra.sources.files import FilesSource

        return FilesSource(Path(address), default_timezone, mapping)
    if kind == "sql" and address:
        from infra.sources.database import DatabaseSource

        return DatabaseSource(address, default_timezone, mapping)
    shown = f"{kind}:..." if address else spec  # an address may hold a password
    raise UsageError(f"source == {shown!r}, must be {CHOICES}; set KAIROS_SOURCE to one of them.")


def open_market(spec: str, home: Path | None) -> SimulatedSource:
    """The simulated market that a specification names, with the memory it has in `home`.

    Raises:
        UsageError: Another kind of source, or a market that cannot be.
    """
    from infra.sources.simulated.params import parse_market
    from infra.sources.simulated.source import SimulatedSource

    if not is_simulated(spec):
        shown = spec.partition(":")[0]
        raise UsageError(
            f"source == {shown!r} is not simulated; set KAIROS_SOURCE=simulated and another KAIROS_HOME."
        )
    return SimulatedSource(parse_market(spec), None if home is None else home / "market")
