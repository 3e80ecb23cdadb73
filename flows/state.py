"""The platform's present state, gathered from its stores, for `kairos status`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flows.freshness import view_freshness
from flows.prefect_server import running_platform
from flows.quality import KIND as EVENTS
from flows.wiring import Stores
from infra.overrides import newest_overrides
from infra.report_store import DATA_DRIFT, DRIFT
from infra.sources import reality_note

_PLANS = (
    "SELECT plan_date, batch_id, rows, users, model_version, as_of, published_at FROM kairos.push_batch "
    "WHERE status = 'live' ORDER BY plan_date DESC LIMIT 7"
)
_FLOWS = "SELECT flow, value, updated_at FROM kairos.flow_watermark ORDER BY flow"
_ALERTS = (
    "SELECT severity, title, count, last_seen FROM kairos.alert WHERE status <> 'resolved' ORDER BY 4 DESC"
)


def read_state(stores: Stores) -> dict[str, Any]:
    """Everything worth knowing at a glance, as JSON types but for times."""
    platform = running_platform(stores.settings)
    registry = stores.registry
    gate = registry.latest_gate()
    return {
        "home": str(stores.settings.home),
        "source": stores.settings.source.partition("://")[0],
        "source_note": reality_note(stores.settings.source),
        "platform": None if platform is None else asdict(platform) | {"is_watched": platform.is_watched},
        "data": _data(stores),
        "features": _features(stores),
        "flows": _rows(stores, _FLOWS),
        "models": {
            "champion": registry.champion(),
            "challenger": registry.challenger(),
            "versions": len(registry.list_versions()),
            "rollout": _rollout(stores),
        },
        "gate": gate and {name: gate[name] for name in ("subject", "promote", "reasons", "decided_at")},
        "drift": _verdicts(stores.reports.latest_drift(kind=DRIFT)),
        "data_drift": _verdicts(stores.reports.latest_drift(kind=DATA_DRIFT)),
        "quality": _verdicts(stores.reports.latest_quality(kind=EVENTS)),
        "plans": _rows(stores, _PLANS),
        "stops": [asdict(stop) for stop in stores.stops.active()],
        "overrides": [asdict(one) | {"at": at} for one, at in newest_overrides(stores.database)],
        "alerts": _rows(stores, _ALERTS),
    }


def state_rows(state: dict[str, Any]) -> list[tuple[str, str]]:
    """The state as (what, how it is) lines."""
    data, models, gate = state["data"], state["models"], state["gate"]
    rows = [
        ("home", state["home"]),
        ("source", "; ".join(filter(None, (state["source"], state["source_note"])))),
        ("platform", platform_words(state["platform"])),
        ("data", _data_words(data) if data else "none yet; kairos ingest"),
        (
            "features",
            _feature_words(state["features"]) if state["features"] else "none yet; kairos materialize",
        ),
        ("champion", models["champion"] or "none yet; kairos demo"),
        ("challenger", models["challenger"] or "none"),
        *([("rollout", _rollout_words(models["rollout"]))] if models["rollout"] else []),
        ("last gate", _gate_words(gate) if gate else "none"),
    ]
    for name in ("drift", "data_drift", "quality"):
        verdicts = state[name]
        what = name.replace("_", " ")
        rows.append((what, _verdict_words(verdicts) if verdicts["measured"] else "not measured"))
    for plan in state["plans"]:
        words = f"{plan['rows']:,} pushes to {plan['users']:,} users by {plan['model_version']}"
        rows.append((f"plan {plan['plan_date']}", words))
    for stop in state["stops"]:
        what = f"{stop['scope']} {stop['target']}".strip()
        since = f"{stop['since']:%Y-%m-%d %H:%M} UTC"
        rows.append(("pushes stopped", f"{what}, by {stop['who']} since {since}: {stop['why']}"))
    for one in state["overrides"]:
        words = f"{one['subject']} by {one['who']} {one['at']:%Y-%m-%d %H:%M} UTC: {one['why']}"
        rows.append((f"override {one['gate']}", words))
    for flow in state["flows"]:
        rows.append((f"flow {flow['flow']}", f"processed up to {flow['value']:%Y-%m-%d %H:%M} UTC"))
    for alert in state["alerts"]:
        rows.append((f"alert {alert['severity']}", f"{alert['title']} ({alert['count']}x)"))
    return rows


def _rows(stores: Stores, query: str) -> list[dict[str, Any]]:
    columns, rows = stores.database.read_only(query)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _rollout(stores: Stores) -> dict[str, Any] | None:
    """The challenger in its stages, if any."""
    rollout = stores.rollouts.current()
    if rollout is None:
        return None
    return {
        "version": rollout.version,
        "stage": rollout.stage,
        "share": rollout.now.share,
        "since": rollout.entered_at,
        "stages": rollout.stages,
    }


def _rollout_words(rollout: dict[str, Any]) -> str:
    words = f"{rollout['version']} in {rollout['stage']} on {rollout['share']:.0%} of the users"
    return f"{words} since {rollout['since']:%Y-%m-%d %H:%M} UTC"


def _data(stores: Stores) -> dict[str, Any] | None:
    manifest = stores.lake.manifest()
    if manifest is None:
        return None
    return {name: told for name, told in asdict(manifest).items() if name not in ("days", "digests")}


def _features(stores: Stores) -> dict[str, Any] | None:
    """The feature tables and how fresh each view is, ages at the tables' own cut-off."""
    manifest = stores.features.tables.manifest()
    if manifest is None:
        return None
    views = view_freshness(manifest.newest, manifest.as_of, stores.settings.max_feature_age_hours)
    return {
        "as_of": manifest.as_of,
        "fingerprint": manifest.fingerprint,
        "mode": manifest.mode,
        "reason": manifest.reason,
        "rows": sum(manifest.rows.values()),
        "late_events_left_out": manifest.late.events,
        "views": {
            view.view: {
                "newest": view.newest,
                "age_hours": view.age_hours,
                "limit_hours": view.limit_hours,
                "too_old": view.too_old,
            }
            for view in views
        },
    }


def _feature_words(features: dict[str, Any]) -> str:
    views = features["views"]
    old = [name for name, view in views.items() if view["too_old"]]
    words = f"{len(views)} tables, {features['rows']:,} rows as of {features['as_of']:%Y-%m-%d %H:%M} UTC"
    words += f"; too old to score: {', '.join(old)}" if old else "; fresh enough to score"
    left = features["late_events_left_out"]
    return words + (f"; {left:,} late events left out, kairos backfill" if left else "")


def _verdicts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many measures passed, warned and failed, and which failed."""
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("ok", "warn", "fail")}
    failed = sorted({row["column_name"] for row in rows if row["verdict"] == "fail"})
    report = rows[0]["report"] if rows else None
    return {"measured": len(rows), **counts, "failed_columns": failed, "report": report}


def platform_words(platform: dict[str, Any] | None) -> str:
    """Whether it is up, and the fix if not; takes the state's `platform`."""
    if platform is None:
        return "not up; kairos up"
    if not platform["is_watched"]:
        return f"{platform['ui_url']} answers, but the kairos up that watched it was killed; kairos up again"
    return f"up, {platform['ui_url']}"


def _data_words(data: dict[str, Any]) -> str:
    counts = ", ".join(f"{counts['accepted']:,} {name}" for name, counts in data["tables"].items())
    return f"{counts}; events from {data['first_event']} to {data['last_event']}"


def _gate_words(gate: dict[str, Any]) -> str:
    verdict = "yes" if gate["promote"] else "no"
    return f"{verdict} to {gate['subject']} ({gate['decided_at']:%Y-%m-%d %H:%M} UTC)"


def _verdict_words(verdicts: dict[str, Any]) -> str:
    words = f"{verdicts['ok']} ok, {verdicts['warn']} warn, {verdicts['fail']} fail"
    failed = ", ".join(verdicts["failed_columns"])
    return f"{words} ({failed})" if failed else words
