"""One unresolved row an incident; a notice is queued once and delivered until it has arrived."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from features.errors import RefusedError, UsageError
from infra.alert_outbox import MAX_ATTEMPTS
from infra.alert_routes import parse_routes
from infra.alert_rows import NewAlert
from infra.alert_store import AlertStore
from infra.notifier import DeliveryError

NOW = datetime(2026, 11, 27, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
NEW = NewAlert(
    "k", "drift", "m1", "error", "models", "Drift: m1", "infra/runbooks/drift.md", {"how_bad": "x"}
)
[ROUTE] = parse_routes("critical,error=file:told")


@pytest.fixture
def alerts(database) -> AlertStore:
    return AlertStore(database)


def once(one, mutes) -> str | None:
    return None if one.row["told"] else "trigger"


def test_seen_again_it_is_counted_and_a_graver_severity_stays(alerts: AlertStore) -> None:
    alerts.raise_alert(NEW, NOW)
    alerts.raise_alert(replace(NEW, severity="critical"), NOW + HOUR)
    one = alerts.raise_alert(NEW, NOW + 2 * HOUR)
    assert (one.row["count"], one.row["severity"]) == (3, "critical")
    assert (one.row["first_seen"], one.row["last_seen"]) == (NOW, NOW + 2 * HOUR)
    assert len(alerts.read()) == 1


def test_many_at_once_open_one(alerts: AlertStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: alerts.raise_alert(NEW, NOW + n * HOUR), range(16)))
    [one] = alerts.read(unresolved_only=False)
    assert one.row["count"] == 16


def test_soon_back_it_is_the_same_incident_and_later_a_new_one(alerts: AlertStore) -> None:
    first = alerts.raise_alert(NEW, NOW)
    assert alerts.recovered("k", NOW) and not alerts.recovered("k", NOW)
    back = alerts.raise_alert(NEW, NOW + HOUR, lambda resolved_at: True)
    assert (back.number, back.row["flaps"], back.row["status"]) == (first.number, 1, "open")
    alerts.recovered("k", NOW + HOUR)
    assert alerts.raise_alert(NEW, NOW + 2 * HOUR, lambda resolved_at: False).number != first.number
    assert len(alerts.read(unresolved_only=False)) == 2 and len(alerts.read()) == 1


def test_somebody_looks_after_it_and_ends_it(alerts: AlertStore) -> None:
    number = str(alerts.raise_alert(NEW, NOW).number)
    assert alerts.acknowledge(number, NOW, "ann").row["acknowledged_by"] == "ann"
    with pytest.raises(RefusedError, match="is acknowledged already"):
        alerts.acknowledge("k", NOW, "bob")
    assert alerts.resolve("k", NOW, "bob").row["resolved_by"] == "bob"
    with pytest.raises(RefusedError, match="is resolved already"):
        alerts.resolve(number, NOW, "bob")
    with pytest.raises(UsageError, match="there is no alert 'other'"):
        alerts.acknowledge("other", NOW, "ann")


def test_a_notice_is_queued_once_for_each_route_that_takes_it(alerts: AlertStore) -> None:
    alerts.raise_alert(NEW, NOW)
    alerts.raise_alert(replace(NEW, dedup_key="quiet", severity="info"), NOW)
    assert alerts.queue_notices(NOW, [ROUTE], once) == 2
    assert alerts.queue_notices(NOW, [ROUTE], once) == 0
    with alerts.due_deliveries(ROUTE.name, NOW) as outbox:
        [one] = outbox.deliveries
        assert (one.alert.key, one.notice) == ("k", "trigger")
        outbox.record(outbox.deliveries, None)
    with alerts.due_deliveries(ROUTE.name, NOW + HOUR) as outbox:
        assert not outbox.deliveries


def test_what_did_not_arrive_is_tried_again_later_and_given_up_loudly(alerts: AlertStore) -> None:
    alerts.raise_alert(NEW, NOW)
    alerts.queue_notices(NOW, [ROUTE], once)
    now = NOW
    for attempt in range(MAX_ATTEMPTS):
        with alerts.due_deliveries(ROUTE.name, now) as outbox:
            assert len(outbox.deliveries) == 1, attempt
            outbox.record(outbox.deliveries, DeliveryError("HTTP 500"))
        with alerts.due_deliveries(ROUTE.name, now) as outbox:
            assert not outbox.deliveries, "not again at once"
        now += HOUR
    assert alerts.undelivered(ROUTE.name) == ["HTTP 500"]
    alerts.raise_alert(replace(NEW, dedup_key="next"), now)
    alerts.queue_notices(now, [ROUTE], once)
    with alerts.due_deliveries(ROUTE.name, now) as outbox:
        outbox.record(outbox.deliveries, None)
    # Postgres keeps finished_at of both; the later one decides.
    assert alerts.undelivered(ROUTE.name) == []


def test_whoever_dies_while_sending_leaves_it_queued(alerts: AlertStore) -> None:
    alerts.raise_alert(NEW, NOW)
    alerts.queue_notices(NOW, [ROUTE], once)
    with pytest.raises(ZeroDivisionError), alerts.due_deliveries(ROUTE.name, NOW):
        raise ZeroDivisionError
    with alerts.due_deliveries(ROUTE.name, NOW) as outbox:
        assert len(outbox.deliveries) == 1
        with alerts.due_deliveries(ROUTE.name, NOW) as beside:
            assert not beside.deliveries, "another process passes over what is being sent"


def test_maintenance_windows(alerts: AlertStore) -> None:
    alerts.mute(NOW, NOW + HOUR, "drift", "", "ann", "upgrade")
    [window] = alerts.mutes(NOW)
    assert (window["kind"], window["why"]) == ("drift", "upgrade")
    assert alerts.mutes(NOW + HOUR) == []
    assert alerts.unmute(NOW + HOUR / 2) == 1
    assert alerts.mutes(NOW + HOUR / 2) == []
    with pytest.raises(UsageError):
        alerts.mute(NOW, NOW, "", "", "ann", "x")
