"""Every due push goes out once or expires, whoever dies, however many are at work."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from plans import PLAN_DATE, PUBLICATION, small_plan
from pydantic import SecretStr
from web_gateway import SECRET, web_gateway

from features.errors import UsageError
from infra.dispatch_store import DispatchStore
from infra.gateway import FileGateway, WebGateway, open_gateway
from infra.plan_store import PlanStore
from infra.settings import Settings

REPOSITORY = Path(__file__).parents[2]
DUE = datetime(2017, 12, 4, 15, tzinfo=UTC)  # when every push of the small plan is sent
DURING = DUE + timedelta(hours=1)
LATE = DUE + timedelta(hours=5)


def states(database) -> dict[str, int]:
    return dict(database.read_only("SELECT state, count(*) FROM kairos.push_dispatch GROUP BY 1")[1])


def run(database, gateway, now=DURING, lease_seconds=60.0, at_once=7, **options):
    """One dispatcher until nothing is ready."""
    store = DispatchStore(database, lease_seconds=lease_seconds, **options)
    total: dict[str, int] = {}
    with store.connect() as session:
        _, expired = store.queue_due(session, now)
        total["expired"] = expired
        while store.ready(session, at_once):
            claim = store.claim(session, at_once, now)
            told = {"expired": claim.expired, "withdrawn": claim.withdrawn}
            if claim.pushes:
                told |= store.record(session, claim, gateway.hand_over(claim.pushes))
            for name, count in told.items():
                total[name] = total.get(name, 0) + count
    return {name: count for name, count in total.items() if count}


@pytest.fixture
def planned(database):
    PlanStore(database).publish(small_plan(), **PUBLICATION)
    return database


def test_due_pushes_go_out_signed_and_once(planned):
    with web_gateway() as received:
        gateway = WebGateway(received.url, SecretStr(SECRET))
        assert run(planned, gateway, DUE - timedelta(seconds=1)) == {}
        assert run(planned, gateway) == {"sent": 20}
        assert run(planned, gateway) == {}
    assert (len(received.posts), len(received.kept), received.forged) == (20, 20, 0)
    told = json.loads(received.kept["push-3"])
    assert told["user_id"] == "user-3"
    assert told["items"] == ["item-6", "item-0"]
    assert told["send_at"] == "2017-12-04T15:00:00Z"
    assert told["scene"]["device"] == "unknown"
    assert "attempt" not in told
    assert states(planned) == {"sent": 20}


def test_what_is_late_expires_and_is_never_sent(planned):
    with web_gateway() as received:
        gateway = WebGateway(received.url, SecretStr(SECRET))
        assert run(planned, gateway, LATE) == {"expired": 20}
        assert run(planned, gateway, DURING) == {}, "a clock set back revives nothing"
    assert received.posts == []
    assert states(planned) == {"expired": 20}


def test_a_queued_push_that_grew_old_expires(planned):
    store = DispatchStore(planned)
    with store.connect() as session:
        assert store.queue_due(session, DURING) == (20, 0)
        claim = store.claim(session, 50, LATE)
    assert (claim.pushes, claim.expired, claim.withdrawn) == ((), 20, 0)


def test_the_holdout_is_never_sent(database):
    plan = small_plan()
    plan = replace(plan, pushes=plan.pushes.assign(holdout=[n % 2 == 0 for n in range(20)]))
    PlanStore(database).publish(plan, **PUBLICATION)
    with web_gateway() as received:
        assert run(database, WebGateway(received.url, SecretStr(SECRET))) == {"sent": 10}
    assert set(received.kept) == {f"push-{n}" for n in range(1, 20, 2)}


def test_a_push_that_a_new_plan_dropped_after_it_was_queued_is_withdrawn(planned):
    store = DispatchStore(planned)
    with store.connect() as session:
        store.queue_due(session, DURING)
        PlanStore(planned).publish(small_plan(users=3, score=0.9), **PUBLICATION)
        claim = store.claim(session, 50, DURING)
    assert len(claim.pushes) == 3
    assert claim.withdrawn == 17
    assert states(planned) == {"claimed": 3}


def test_a_new_plan_sends_nothing_again(planned):
    with web_gateway() as received:
        gateway = WebGateway(received.url, SecretStr(SECRET))
        assert run(planned, gateway) == {"sent": 20}
        PlanStore(planned).publish(small_plan(users=25, score=0.9), **PUBLICATION)
        assert run(planned, gateway) == {"sent": 5}
    assert received.most == 1


def test_a_gateway_in_trouble_is_tried_again_later_and_a_refusal_is_final(planned):
    def answer(key: str, nth: int) -> tuple[int, dict[str, str]]:
        if key == "push-1":
            return 400, {}
        if key == "push-2":
            return 409, {}  # it has that push already
        return (503, {"Retry-After": "0.2"}) if nth == 1 else (200, {})

    with web_gateway(answer) as received:
        gateway = WebGateway(received.url, SecretStr(SECRET))
        assert run(planned, gateway) == {"sent": 1, "failed": 1, "retry": 18}
        assert states(planned) == {"sent": 1, "failed": 1, "queued": 18}
        time.sleep(0.3)
        assert run(planned, gateway) == {"sent": 18}
    with planned.session() as session:
        said = session.execute(
            "SELECT last_error FROM kairos.push_dispatch WHERE state = 'failed'"
        ).fetchall()
    assert said == [("HTTP 400",)]


def test_a_gateway_that_is_away_costs_attempts_not_pushes(planned):
    gone = WebGateway("http://127.0.0.1:9/", SecretStr(SECRET))
    assert run(planned, gone) == {"retry": 20}
    with planned.session() as session:
        session.execute("UPDATE kairos.push_dispatch SET ready_at = clock_timestamp()")
    assert run(planned, gone, max_attempts=2) == {"failed": 20}
    assert SECRET not in repr(gone)


def test_the_clock_of_a_dispatcher_decides_nothing(planned, monkeypatch):
    """A machine whose clock is a day off claims, leases and records by the database's."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with web_gateway() as received:
        gateway = WebGateway(received.url, SecretStr(SECRET), clock=lambda: 12.0)
        assert run(planned, gateway) == {"sent": 20}
    with planned.session() as session:
        assert session.execute(
            "SELECT count(*) FROM kairos.push_dispatch "
            "WHERE finished_at BETWEEN now() - interval '1 minute' AND now()"
        ).fetchone() == (20,)


def test_a_killed_dispatchers_pushes_are_taken_over_and_the_file_holds_them_once(planned, tmp_path: Path):
    gateway = FileGateway(tmp_path / "out" / "pushes.ndjson")
    store = DispatchStore(planned, lease_seconds=0.2)
    with store.connect() as session:
        store.queue_due(session, DURING)
        dead = store.claim(session, 8, DURING)
        gateway.hand_over(dead.pushes)  # ... and is killed before it can record that
    with gateway.path.open("ab") as file:
        file.write(b'{"push_id": "push-9", "half a li')
    assert run(planned, gateway) == {"sent": 12}
    time.sleep(0.3)
    assert run(planned, gateway) == {"sent": 8}
    lines = [json.loads(line)["push_id"] for line in gateway.path.read_text().splitlines()]
    assert sorted(lines) == sorted(f"push-{n}" for n in range(20))
    with store.connect() as session:
        outcome = store.record(session, dead, gateway.hand_over(dead.pushes))
    assert outcome == {"sent": 0, "retry": 0, "failed": 0, "lost": 8}


def test_all_dispatchers_together_keep_the_rate(database):
    store = DispatchStore(database)
    with store.connect() as session, store.connect() as other:
        waits = [store.reserve_pace(one, "g", 10, 100.0) for one in (session, other, session, other)]
        assert store.reserve_pace(session, "another", 10, 100.0) == 0.0
    assert waits[0] == pytest.approx(0.0, abs=0.05)
    assert waits[3] == pytest.approx(0.3, abs=0.2)


def test_settings_that_cannot_dispatch_say_so(tmp_path: Path):
    with pytest.raises(UsageError, match="no gateway is set; set KAIROS_GATEWAY"):
        open_gateway(Settings(home=tmp_path))
    with pytest.raises(UsageError, match="KAIROS_GATEWAY_SECRET is not set"):
        open_gateway(Settings(home=tmp_path, gateway="https://push.example/x"))
    with pytest.raises(UsageError, match="begins with ftp:, must be"):
        open_gateway(Settings(home=tmp_path, gateway="ftp://push.example/x"))
    settings = Settings(home=tmp_path, gateway="https://h/token", gateway_secret=SecretStr("s3cret"))
    shown = str(settings.effective()) + repr(settings)
    assert "s3cret" not in shown and "token" not in shown


DISPATCHERS = """
import os, sys, time
from datetime import datetime
from pydantic import SecretStr
import httpx
from infra.database import connect
from infra.dispatch_store import DispatchStore
from infra.gateway import WebGateway

url, gateway_url, secret, now = sys.argv[1:]
now = datetime.fromisoformat(now)


def dispatch():
    store = DispatchStore(connect(url), lease_seconds=3.0)
    gateway = WebGateway(gateway_url, SecretStr(secret))
    with store.connect() as session:
        idle_since = time.monotonic()
        while time.monotonic() - idle_since < 5.0:
            store.queue_due(session, now)
            claim = store.claim(session, 10, now)
            if claim.pushes:
                store.record(session, claim, gateway.hand_over(claim.pushes))
                idle_since = time.monotonic()
            else:
                time.sleep(0.1)


for _ in range(10):  # forked: ten interpreters would spend most of the test on their imports
    pid = os.fork()
    if pid == 0:
        dispatch()
        os._exit(0)
    print(pid, flush=True)
codes = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(10)]
print(sorted(codes), flush=True)
"""


def test_ten_dispatchers_three_of_them_killed(database):
    users = 300
    PlanStore(database).publish(small_plan(users=users), **PUBLICATION)
    chance = random.Random(7)
    with web_gateway(seconds=0.02) as received:
        command = [sys.executable, "-c", DISPATCHERS, database.url, received.url, SECRET, DURING.isoformat()]
        ten = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        pids = [int(ten.stdout.readline()) for _ in range(10)]
        for number in range(3):
            while len(received.posts) < 40 * (number + 1):
                assert ten.poll() is None
                time.sleep(0.005)
            time.sleep(chance.random() * 0.05)
            os.kill(pids[number], signal.SIGKILL)
        codes = ten.stdout.readline()
        ten.wait(60)
    assert codes == f"{[-9] * 3 + [0] * 7}\n"
    assert states(database) == {"sent": users}
    assert len(received.kept) == users, "every push reached the gateway"
    # Only a push whose claim ran out may have been posted again, and the gateway drops that by its key.
    query = "SELECT push_id, attempts FROM kairos.push_dispatch WHERE attempts > 1"
    taken_over = dict(database.read_only(query)[1])
    again = {key: count for key, count in Counter(received.posts).items() if count > 1}
    assert taken_over, "the killed three held something"
    assert all(count <= taken_over.get(key, 1) for key, count in again.items())


def test_pushes_of_other_days_do_not_disturb(database):
    store = PlanStore(database)
    old = PLAN_DATE - timedelta(days=30)
    plan = small_plan(users=4)
    moved = plan.pushes.assign(
        plan_date=old,
        push_id=[f"old-{n}" for n in range(4)],
        send_at=plan.pushes["send_at"] - pd.Timedelta(days=30),
        expires_at=plan.pushes["expires_at"] - pd.Timedelta(days=30),
    )
    items = plan.items.assign(push_id=plan.items["push_id"].str.replace("push", "old"))
    store.publish(
        replace(plan, pushes=moved, items=items),
        **(PUBLICATION | {"plan_date": date.fromisoformat(str(old))}),
    )
    store.publish(small_plan(), **PUBLICATION)
    with web_gateway() as received:
        assert run(database, WebGateway(received.url, SecretStr(SECRET))) == {"sent": 20}
    assert states(database) == {"sent": 20}, "a month ago is history, not late"
