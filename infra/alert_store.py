"""Alerts in Postgres: one unresolved row an incident, and every notice that is still to be delivered.

A notice is decided and queued in one transaction, and its delivery is recorded in the one that holds its row:
whoever is killed in between leaves it queued, so that it is told late or twice, and never not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, insert, select, text, update

from features.errors import RefusedError, UsageError
from infra.alert_outbox import Outbox
from infra.alert_routes import SEVERITIES, AlertRoute
from infra.alert_rows import Delivery, NewAlert, StoredAlert
from infra.database import Database
from infra.tables import alert, alert_delivery, alert_mute


class AlertStore:
    """Reads and writes alerts, their deliveries and maintenance windows."""

    def __init__(self, database: Database) -> None:
        """Alerts kept in `database`, migrated."""
        self._database = database

    def raise_alert(
        self, new: NewAlert, now: datetime, is_return: Callable[[datetime], bool] = lambda resolved_at: False
    ) -> StoredAlert:
        """The incident, which this opens, or counts once more; a graver severity wins.

        Args:
            new: What is wrong.
            now: When it was seen.
            is_return: Whether an incident that was resolved then is this one come back.
        """
        with self._database.transaction() as connection:
            _serialise(connection)
            found = _newest(connection, new.dedup_key)
            facts = {
                "severity": new.severity,
                "title": new.title,
                "details": dict(new.details),
                "last_seen": now,
            }
            if found is not None and found.row["status"] != "resolved":
                graver = SEVERITIES.index(new.severity) <= SEVERITIES.index(found.row["severity"])
                kept = facts if graver else facts | {"severity": found.row["severity"]}
                _set(connection, found, kept | {"count": found.row["count"] + 1})
            elif found is not None and is_return(found.row["resolved_at"]):
                again = {"status": "open", "resolved_at": None, "resolved_by": None}
                again |= {"count": found.row["count"] + 1, "flaps": found.row["flaps"] + 1}
                _set(connection, found, facts | again)
            else:
                row = {
                    **facts,
                    "dedup_key": new.dedup_key,
                    "kind": new.kind,
                    "subject": new.subject,
                    "owner": new.owner,
                    "runbook": new.runbook,
                    "status": "open",
                    "first_seen": now,
                }
                connection.execute(insert(alert).values(**row))
            kept_alert = _newest(connection, new.dedup_key)
        assert kept_alert is not None
        return kept_alert

    def recovered(self, dedup_key: str, now: datetime, who: str = "kairos") -> bool:
        """Whether the incident was unresolved; it is resolved now."""
        with self._database.transaction() as connection:
            _serialise(connection)
            found = _newest(connection, dedup_key)
            if found is None or found.row["status"] == "resolved":
                return False
            _set(connection, found, {"status": "resolved", "resolved_at": now, "resolved_by": who})
        return True

    def acknowledge(self, key: str, now: datetime, who: str) -> StoredAlert:
        """The incident, which somebody looks after now.

        Args:
            key: Its number or dedup_key.

        Raises:
            RefusedError: It is acknowledged or resolved already.
            UsageError: There is none.
        """
        with self._database.transaction() as connection:
            _serialise(connection)
            found = _named(connection, key)
            if found.row["status"] != "open":
                raise RefusedError(f"alert {key} is {found.row['status']} already.")
            _set(
                connection, found, {"status": "acknowledged", "acknowledged_at": now, "acknowledged_by": who}
            )
            return _named(connection, key)

    def resolve(self, key: str, now: datetime, who: str) -> StoredAlert:
        """The incident, which is over; it opens again when it is seen again.

        Raises:
            RefusedError: It is resolved already.
            UsageError: There is none.
        """
        with self._database.transaction() as connection:
            found = _named(connection, key)
        if not self.recovered(found.key, now, who):
            raise RefusedError(f"alert {key} is resolved already.")
        with self._database.transaction() as connection:
            return _named(connection, key)

    def read(self, unresolved_only: bool = True, limit: int = 100) -> list[StoredAlert]:
        """Alerts, unresolved ones first, then the newest."""
        query = select(alert).order_by(text("status = 'resolved', last_seen DESC, alert DESC")).limit(limit)
        if unresolved_only:
            query = query.where(alert.c.status != "resolved")
        with self._database.transaction() as connection:
            return [StoredAlert(dict(row._mapping)) for row in connection.execute(query)]

    def queue_notices(
        self,
        now: datetime,
        routes: Sequence[AlertRoute],
        due: Callable[[StoredAlert, Sequence[Mapping[str, Any]]], str | None],
    ) -> int:
        """How many notices were decided; each is queued for every route that takes it.

        Args:
            due: (an alert, the maintenance windows that are not over) -> the notice due, or None.
        """
        count = 0
        with self._database.transaction() as connection:
            _serialise(connection)
            mutes = [
                dict(row._mapping)
                for row in connection.execute(select(alert_mute).where(alert_mute.c.ends_at > now))
            ]
            not_over = alert.c.status != "resolved"
            untold = alert.c.told.is_not(None) & (alert.c.told != "resolve")
            for row in connection.execute(select(alert).where(not_over | untold).order_by(alert.c.alert)):
                one = StoredAlert(dict(row._mapping))
                notice = due(one, mutes)
                if notice is None:
                    continue
                count += 1
                severity, owner = one.row["severity"], one.row["owner"]
                for route in routes:
                    if route.takes(severity, owner):
                        queued = {"alert": one.number, "route": route.name, "notice": notice}
                        connection.execute(
                            insert(alert_delivery).values(**queued, state="queued", ready_at=now)
                        )
                _set(connection, one, {"told": notice, "told_at": now, "told_severity": severity})
        return count

    @contextmanager
    def due_deliveries(self, route: str, now: datetime, limit: int = 50) -> Iterator[Outbox]:
        """The route's due notices, locked while the block runs; what it records holds from its end."""
        query = (
            select(alert_delivery)
            .where(
                alert_delivery.c.route == route,
                alert_delivery.c.state == "queued",
                alert_delivery.c.ready_at <= now,
            )
            .order_by(alert_delivery.c.delivery)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._database.transaction() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
            alerts = {
                row.alert: StoredAlert(dict(row._mapping))
                for row in connection.execute(
                    select(alert).where(alert.c.alert.in_([row["alert"] for row in rows]))
                )
            }
            deliveries = tuple(
                Delivery(row["delivery"], row["route"], row["notice"], row["attempts"], alerts[row["alert"]])
                for row in rows
            )
            yield Outbox(connection, deliveries, now)

    def undelivered(self, route: str) -> list[str]:
        """Why the route's newest notices failed for good, newest first; empty once one has arrived since."""
        query = text(
            "SELECT last_error FROM kairos.alert_delivery WHERE route = :route AND state = 'failed' "
            "AND finished_at > coalesce((SELECT max(finished_at) FROM kairos.alert_delivery "
            "WHERE route = :route AND state = 'sent'), '-infinity') ORDER BY delivery DESC LIMIT 20"
        )
        with self._database.transaction() as connection:
            return [str(row[0]) for row in connection.execute(query, {"route": route})]

    def mute(self, begins_at: datetime, ends_at: datetime, kind: str, owner: str, who: str, why: str) -> None:
        """Nothing; the maintenance window is on record.

        Raises:
            UsageError: It ends before it begins, or has no reason.
        """
        if ends_at <= begins_at or not why.strip():
            raise UsageError(
                f"a maintenance window from {begins_at} to {ends_at} because {why!r} is none; give a "
                "length and a reason."
            )
        row = {"begins_at": begins_at, "ends_at": ends_at, "kind": kind, "owner": owner}
        with self._database.transaction() as connection:
            connection.execute(insert(alert_mute).values(**row, who=who, why=why))

    def unmute(self, now: datetime) -> int:
        """How many maintenance windows this ended."""
        with self._database.transaction() as connection:
            done = connection.execute(
                text("DELETE FROM kairos.alert_mute WHERE begins_at >= :now"), {"now": now}
            )
            ended = connection.execute(
                text("UPDATE kairos.alert_mute SET ends_at = :now WHERE ends_at > :now AND begins_at < :now"),
                {"now": now},
            )
            return done.rowcount + ended.rowcount

    def mutes(self, now: datetime) -> list[dict[str, Any]]:
        """Maintenance windows that are not over."""
        query = select(alert_mute).where(alert_mute.c.ends_at > now).order_by(alert_mute.c.begins_at)
        with self._database.transaction() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]


def _serialise(connection: Connection) -> None:
    # Two that raise one key at once would otherwise both open it; alerts are few.
    connection.execute(text("LOCK TABLE kairos.alert IN SHARE ROW EXCLUSIVE MODE"))


def _newest(connection: Connection, dedup_key: str) -> StoredAlert | None:
    query = select(alert).where(alert.c.dedup_key == dedup_key).order_by(alert.c.alert.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else StoredAlert(dict(row._mapping))


def _named(connection: Connection, key: str) -> StoredAlert:
    if key.isdecimal():
        row = connection.execute(select(alert).where(alert.c.alert == int(key))).first()
        found = None if row is None else StoredAlert(dict(row._mapping))
    else:
        found = _newest(connection, key)
    if found is None:
        raise UsageError(f"there is no alert {key!r}; kairos alert list --all shows numbers and keys.")
    return found


def _set(connection: Connection, one: StoredAlert, facts: Mapping[str, Any]) -> None:
    table: Table = alert
    connection.execute(update(table).where(table.c.alert == one.number).values(**facts))
