"""What stops pushes that are planned already: kill switches, withdrawn consent, stopped items; who and why.

The view `push_plan_live` asks these tables at every read, so that each holds from its commit on. Nothing is
ever deleted but `item_stop`, which only mirrors the catalogue and the switches: a lifted stop keeps its row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, text

from features.categories import in_category
from features.errors import RefusedError, UsageError
from infra.database import Database

SCOPES = ("all", "channel", "category", "campaign", "item")


@dataclass(frozen=True)
class Stop:
    """A kill switch that is on: `target` is '' for scope all, else a channel, category path, ..."""

    scope: str
    target: str
    who: str
    why: str
    since: datetime

    @property
    def name(self) -> str:
        """As a person types it: 'all', or 'category:food > dairy'."""
        return f"{self.scope}:{self.target}" if self.target else self.scope


@dataclass(frozen=True)
class Withdrawal:
    """A user's withdrawal of consent that holds."""

    user_id: str
    cause: str
    who: str
    why: str
    since: datetime


def parse_scope(words: str) -> tuple[str, str]:
    """(scope, target) of 'all' or 'SCOPE:TARGET'.

    Raises:
        UsageError: An unknown scope, or one without its target.

    Examples:
        >>> parse_scope("all"), parse_scope("category: food > dairy")
        (('all', ''), ('category', 'food > dairy'))
    """
    scope, _, target = (part.strip() for part in words.partition(":"))
    if scope not in SCOPES or (scope == "all") == bool(target):
        raise UsageError(
            f"scope {words!r} is none; write all, channel:NAME, category:'food > dairy', campaign:NAME or "
            "item:ITEM_ID."
        )
    return scope, target


class PushStops:
    """Reads and writes the stops."""

    def __init__(self, database: Database) -> None:
        """Stops kept in `database`, migrated."""
        self._database = database

    def stop(self, scope: str, target: str, who: str, why: str) -> bool:
        """True when pushes of the scope are stopped from now on; False when they were already."""
        with self._database.transaction() as connection:
            _lock(connection)
            done = connection.execute(
                text(
                    "INSERT INTO kairos.kill_switch (scope, target, who, why) "
                    "VALUES (:scope, :target, :who, :why) "
                    "ON CONFLICT (scope, target) WHERE lifted_at IS NULL DO NOTHING"
                ),
                {"scope": scope, "target": target, "who": who, "why": _told(why)},
            )
            if scope == "item":
                _stop_items(connection, "kill_switch", {target: _told(why)}, only_add=True)
            return done.rowcount == 1

    def resume(self, scope: str, target: str, who: str, why: str) -> None:
        """Nothing; that switch is off again.

        Raises:
            RefusedError: It is not on.
        """
        with self._database.transaction() as connection:
            _lock(connection)
            done = connection.execute(
                text(
                    "UPDATE kairos.kill_switch SET lifted_at = now(), lifted_who = :who, lifted_why = :why "
                    "WHERE scope = :scope AND target = :target AND lifted_at IS NULL"
                ),
                {"scope": scope, "target": target, "who": who, "why": _told(why)},
            )
            if done.rowcount == 0:
                on = ", ".join(stop.name for stop in _active(connection)) or "nothing"
                name = f"{scope}:{target}" if target else scope
                raise RefusedError(f"{name} is not stopped ({on} is); kairos status shows what is.")

    def active(self) -> tuple[Stop, ...]:
        """The switches that are on, oldest first."""
        with self._database.transaction() as connection:
            return _active(connection)

    def mirror_items(self, items: pd.DataFrame) -> int:
        """How many items are stopped: those of stopped categories and items, and what cannot be bought.

        Args:
            items: (item_id, category_path, available, stock), the whole catalogue.
        """
        unavailable = {
            item: "withdrawn" if not available else f"stock is {stock:g}"
            for item, available, stock in zip(
                items["item_id"], items["available"], items["stock"], strict=True
            )
            if not available or stock <= 0
        }
        with self._database.transaction() as connection:
            _lock(connection)
            switched: dict[str, str] = {}
            for stop in _active(connection):
                if stop.scope == "item":
                    switched[stop.target] = stop.why
                elif stop.scope == "category":
                    inside = in_category(items["category_path"], stop.target)
                    switched |= dict.fromkeys(items["item_id"][inside], f"{stop.target}: {stop.why}")
            _stop_items(connection, "unavailable", unavailable)
            _stop_items(connection, "kill_switch", switched)
        return len(unavailable.keys() | switched.keys())

    def withdraw(self, user_id: str, who: str, why: str) -> bool:
        """True when the user's consent is withdrawn by hand from now on; False when it was already."""
        row = pd.DataFrame({"user_id": [user_id], "cause": "command", "since": pd.Timestamp.now("UTC")})
        return self._add(row, who, _told(why)) == 1

    def restore(self, user_id: str, who: str, why: str) -> None:
        """Nothing; a withdrawal by hand is lifted.

        Raises:
            RefusedError: There is none, or the user withdrew in person: only the source can tell otherwise.
        """
        with self._database.transaction() as connection:
            done = connection.execute(
                text(
                    "UPDATE kairos.consent_withdrawal SET lifted_at = now(), lifted_who = :who, "
                    "lifted_why = :why WHERE user_id = :user AND cause = 'command' AND lifted_at IS NULL"
                ),
                {"user": user_id, "who": who, "why": _told(why)},
            )
        causes = [held.cause for held in self.withdrawals(user_id)]
        if done.rowcount == 0:
            told = f"the data says so ({', '.join(causes)})" if causes else "nobody withdrew it by hand"
            raise RefusedError(
                f"consent of user {user_id} cannot be given back here: {told}; see kairos why."
            )

    def withdrawals(self, user_id: str) -> tuple[Withdrawal, ...]:
        """The user's withdrawals that hold, oldest first."""
        query = text(
            "SELECT user_id, cause, who, why, since FROM kairos.consent_withdrawal "
            "WHERE user_id = :user AND lifted_at IS NULL ORDER BY since, cause"
        )
        with self._database.transaction() as connection:
            return tuple(Withdrawal(*row) for row in connection.execute(query, {"user": user_id}))

    def withdrawn_by_hand(self) -> tuple[str, ...]:
        """Users whose consent somebody withdrew for them, sorted; what the data says, the lake tells."""
        query = text(
            "SELECT user_id FROM kairos.consent_withdrawal "
            "WHERE cause = 'command' AND lifted_at IS NULL ORDER BY user_id"
        )
        with self._database.transaction() as connection:
            return tuple(connection.execute(query).scalars())

    def stopped_item(self, item_id: str) -> str | None:
        """Why the item is stopped; None when it is not."""
        query = text(
            "SELECT string_agg(detail, '; ' ORDER BY cause) FROM kairos.item_stop WHERE item_id = :item"
        )
        with self._database.transaction() as connection:
            return connection.execute(query, {"item": item_id}).scalar()

    def mirror_withdrawals(self, told: pd.DataFrame) -> int:
        """How many withdrawals are new. One by an event holds for good; one by the users table as long as
        the table says so.

        Args:
            told: (user_id, cause, since), cause opt_out, complaint or users.
        """
        added = self._add(told, "the data", "as the source tells")
        still = told.loc[told["cause"] == "users", "user_id"].tolist()
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "UPDATE kairos.consent_withdrawal SET lifted_at = now(), lifted_who = 'the data', "
                    "lifted_why = 'the users table says yes again' "
                    "WHERE cause = 'users' AND lifted_at IS NULL AND NOT user_id = ANY(:still)"
                ),
                {"still": still},
            )
        return added

    def _add(self, told: pd.DataFrame, who: str, why: str) -> int:
        with self._database.transaction() as connection:
            done = connection.execute(
                text(
                    "INSERT INTO kairos.consent_withdrawal (user_id, cause, since, who, why) "
                    "SELECT u, c, s, :who, :why FROM unnest(CAST(:users AS text[]), CAST(:causes AS text[]), "
                    "CAST(:since AS timestamptz[])) AS told (u, c, s) "
                    "ON CONFLICT (user_id, cause) WHERE lifted_at IS NULL DO NOTHING"
                ),
                {
                    "users": told["user_id"].tolist(),
                    "causes": told["cause"].tolist(),
                    "since": [moment.to_pydatetime() for moment in told["since"]],
                    "who": who,
                    "why": why,
                },
            )
        return int(done.rowcount)


def _active(connection: Connection) -> tuple[Stop, ...]:
    query = text(
        "SELECT scope, target, who, why, since FROM kairos.kill_switch WHERE lifted_at IS NULL "
        "ORDER BY since, switch"
    )
    return tuple(Stop(*row) for row in connection.execute(query))


def _lock(connection: Connection) -> None:
    """Nothing; one writer of switches at a time, or a mirror could miss one just switched on."""
    connection.execute(text("LOCK TABLE kairos.item_stop IN SHARE ROW EXCLUSIVE MODE"))


def _stop_items(
    connection: Connection, cause: str, details: dict[str, str], *, only_add: bool = False
) -> None:
    """Nothing; exactly these items are stopped for the cause (or, `only_add`, these as well)."""
    items: Sequence[str] = list(details)
    if not only_add:
        connection.execute(
            text("DELETE FROM kairos.item_stop WHERE cause = :cause AND NOT item_id = ANY(:items)"),
            {"cause": cause, "items": items},
        )
    connection.execute(
        text(
            "INSERT INTO kairos.item_stop (item_id, cause, detail) "
            "SELECT i, :cause, d "
            "FROM unnest(CAST(:items AS text[]), CAST(:details AS text[])) AS told (i, d) "
            "ON CONFLICT (item_id, cause) DO UPDATE SET detail = excluded.detail "
            "WHERE kairos.item_stop.detail <> excluded.detail"
        ),
        {"cause": cause, "items": items, "details": list(details.values())},
    )


def _told(why: str) -> str:
    if not why.strip():
        raise UsageError("--why is empty, must say why: it is kept on record.")
    return why.strip()
