"""Flow `dispatch`: pushes whose time has come go to the gateway, each once, or are recorded as expired."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from prefect import flow

from flows.alerts import raise_alert, recovered
from flows.run_name import run_name
from flows.wiring import Stores, open_stores
from infra.dispatch_store import DispatchStore
from infra.gateway import Gateway, open_gateway
from monitoring.alert_words import AlertFacts

_AT_ONCE = 200
_IDLE_SECONDS = 1.0
_REFUSED = ("failed", "retry")
COUNTS = ("sent", "expired", "retry", "failed", "withdrawn", "lost")


@flow(name="dispatch", flow_run_name=run_name, timeout_seconds=3600, persist_result=False)
def dispatch(as_of: datetime | None = None) -> dict[str, int]:
    """Hand every push that is due to the gateway.

    Args:
        as_of: Dispatch as if it were then; now by default.

    Returns:
        Pushes by what became of them.
    """
    return dispatch_due(open_stores(), as_of)


def dispatch_due(
    stores: Stores,
    now: datetime | None = None,
    gateway: Gateway | None = None,
    watch: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, int]:
    """Pushes by what became of them, once nothing is due any more; any number of these may run at once.

    Args:
        stores: Whose live plans count.
        now: Stands in for the database's clock.
        gateway: Who takes them; that of the settings by default.
        watch: Go on for ever: new pushes become due.
        sleep: How to wait.
    """
    settings = stores.settings
    gateway = gateway or open_gateway(settings)
    store = DispatchStore(
        stores.database,
        lease_seconds=settings.dispatch_lease_seconds,
        max_attempts=settings.dispatch_attempts,
    )
    counts = dict.fromkeys(COUNTS, 0)
    told: dict[str, int] = {}
    # What is claimed at once is handed over well within the lease, and in bursts of a second at most.
    within_lease = settings.dispatch_lease_seconds / 2 / gateway.slowest_seconds
    at_once = max(1, int(min(_AT_ONCE, within_lease, settings.dispatch_per_second)))
    with store.connect() as session:
        while True:
            queued, expired = store.queue_due(session, now)
            counts["expired"] += expired
            seen = 0
            while ready := store.ready(session, at_once):
                # Waiting comes before claiming: a claim must not age while the gateway rests.
                sleep(store.reserve_pace(session, gateway.name, ready, settings.dispatch_per_second))
                claim = store.claim(session, ready, now)
                seen += claim.seen
                counts["expired"] += claim.expired
                counts["withdrawn"] += claim.withdrawn
                if claim.pushes:
                    outcomes = gateway.hand_over(claim.pushes)
                    for name, count in store.record(session, claim, outcomes).items():
                        counts[name] += count
            if queued or expired or seen:
                continue
            _alert(stores, counts, told)
            if not watch:
                return counts
            sleep(_IDLE_SECONDS)


def _alert(stores: Stores, counts: dict[str, int], told: dict[str, int]) -> None:
    """Nothing; on-call hears when the gateway refuses pushes, and when it takes them again.

    Args:
        counts: So far.
        told: What they were when this was asked before; brought up to date.
    """
    new = {name: count - told.get(name, 0) for name, count in counts.items()}
    told.update(counts)
    refused = {name: new[name] for name in _REFUSED if new[name]}
    if refused:
        words = ", ".join(f"{count:,} {name}" for name, count in refused.items())
        done = "each is tried again with growing pauses, and never sent late"
        raise_alert(stores, "dispatch_failing", AlertFacts(f"{words}, {new['sent']:,} sent", done=done))
    elif new["sent"]:
        recovered(stores, "dispatch_failing")
