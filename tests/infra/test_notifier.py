"""Every channel takes the same messages, says when they did not arrive, and gives no secret away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from events_api import KEY, events_api

from features.errors import UsageError
from infra.alert_routes import AlertRoute, parse_routes
from infra.notifier import DeliveryError, Message, PagerDuty, open_channel

SUMMARY = "Drift: m1"


def message(notice: str = "trigger", key: str = "kairos/drift/m1", **changes: object) -> Message:
    facts = {
        "notice": notice,
        "dedup_key": key,
        "severity": "error",
        "owner": "models",
        "kind": "drift",
        "title": SUMMARY,
        "lines": (("how bad", "score 0.61"), ("runbook", "infra/runbooks/drift.md")),
        "links": (("report", "http://host/page"),),
    }
    return Message(**(facts | changes))


def route(address: str) -> AlertRoute:
    return parse_routes(f"*={address}")[0]


@pytest.fixture(params=["pagerduty", "json", "file"])
def arrived(request: pytest.FixtureRequest, tmp_path: Path):
    """(a channel's route, what has arrived there as one text)."""
    if request.param == "file":
        path = tmp_path / "alerts" / "told.jsonl"
        yield route(f"file:{path}"), lambda: path.read_text() if path.exists() else ""
        return
    with events_api() as pager:
        address = pager.address if request.param == "pagerduty" else f"json://127.0.0.1:{pager.port}/hook"
        yield route(address), lambda: json.dumps(pager.events + pager.bodies)


def test_a_message_arrives_with_what_on_call_needs(arrived) -> None:
    where, text = arrived
    channel = open_channel(where)
    channel.send([message()])
    for words in (SUMMARY, "score 0.61", "infra/runbooks/drift.md", "error"):
        assert words in text()
    channel.send([message("resolve")])


def test_several_messages_arrive_all(arrived) -> None:
    where, text = arrived
    open_channel(where).send([message(key=f"k{n}", title=f"{SUMMARY}{n}") for n in range(3)])
    assert all(f"{SUMMARY}{n}" in text() for n in range(3))


def test_pagerduty_is_told_key_severity_links_and_action() -> None:
    with events_api() as pager:
        channel = open_channel(route(pager.address))
        for notice in ("trigger", "reminder", "acknowledge", "resolve"):
            channel.send([message(notice)])
    assert pager.told("kairos/drift/m1") == ["trigger", "trigger", "acknowledge", "resolve"]
    first = pager.events[0]
    assert (first["payload"]["severity"], first["payload"]["component"]) == ("error", "models")
    assert first["links"] == [{"href": "http://host/page", "text": "report"}]
    assert first["payload"]["custom_details"]["how bad"] == "score 0.61"
    assert "payload" not in pager.events[-1]
    assert not pager.open_incidents


@pytest.mark.parametrize(("status", "is_final"), [(500, False), (429, False), (400, True), (403, True)])
def test_pagerduty_says_whether_another_try_may_help(status: int, is_final: bool) -> None:
    with events_api(lambda nth: status) as pager, pytest.raises(DeliveryError) as caught:
        open_channel(route(pager.address)).send([message()])
    assert caught.value.is_final is is_final
    assert KEY not in str(caught.value)


def test_nobody_there_is_worth_another_try() -> None:
    for address in (f"pagerduty+http://{KEY}@127.0.0.1:9", "json://127.0.0.1:9"):
        with pytest.raises(DeliveryError) as caught:
            open_channel(route(address)).send([message()])
        assert not caught.value.is_final


def test_a_full_disk_is_said_and_not_half_written(tmp_path: Path) -> None:
    (tmp_path / "told").mkdir()
    with pytest.raises(DeliveryError):
        open_channel(route(f"file:{tmp_path / 'told'}")).send([message()])


def test_the_key_keeps_its_capitals_and_is_not_shown() -> None:
    channel = open_channel(route("pagerduty://AbC123"))
    assert isinstance(channel, PagerDuty)
    assert (channel.routing_key, channel.url) == ("AbC123", "https://events.pagerduty.com/v2/enqueue")
    europe = open_channel(route("pagerduty://AbC123@events.eu.pagerduty.com"))
    assert europe.url == "https://events.eu.pagerduty.com/v2/enqueue"
    assert "AbC123" not in repr(channel) and "AbC123" not in repr(route("pagerduty://AbC123"))


def test_routes_choose_by_severity_and_owner() -> None:
    routes = parse_routes("critical,error@models,data=file:a *@crm=file:b info=file:c")
    taken = [
        [one.takes(severity, owner) for one in routes]
        for severity, owner in (("error", "data"), ("error", "crm"), ("info", "platform"))
    ]
    assert taken == [[True, False, False], [False, True, False], [False, False, True]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file:a", "route 1 must be"),
        ("*=file:a loud=file:b", "route 2 names severity 'loud'"),
        ("*=file:a error=file:a", "goes where an earlier one does"),
        ("*=secret", "route 1 must be"),
    ],
)
def test_a_bad_route_is_named_without_its_address(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        parse_routes(text)
    assert "secret" not in str(caught.value)


def test_an_address_that_nothing_knows() -> None:
    with pytest.raises(UsageError, match="no address that Apprise takes"):
        open_channel(route("nonsense://token"))
