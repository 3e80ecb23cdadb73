"""What the gate is shown: the comparison with today's champion, dated verdicts, and whom people took back."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.cycle_outcome import _worst
from flows.gate import Health, ask_gate, gate_evidence
from infra.model_registry import PromotionEvent
from models.gate import decide_gate

AS_OF = datetime(2024, 3, 25, tzinfo=UTC)
HEALTHY = Health("pass", "", AS_OF - timedelta(hours=1), "pass", (), AS_OF - timedelta(hours=3))


def evaluation(champion_version: str | None = "m0", **more: Any) -> dict[str, Any]:
    """As `judge` writes it, of a version that beats a baseline and the champion of that time."""
    means = {"Kairos": 0.27, "TIFU-KNN": 0.25, "champion": 0.26}
    return {
        "n_queries": 800,
        "n_users": 90,
        "champion_version": champion_version,
        "models": {name: {"ndcg@10": {"mean": mean}} for name, mean in means.items()},
        "differences": [
            {"model": "Kairos", "baseline": name, "ndcg@10": {"low": 0.005, "high": 0.03}}
            for name in ("TIFU-KNN", "champion")
        ],
    } | more


def reasons(
    champion: str | None = "m0",
    moves: tuple[PromotionEvent, ...] = (),
    health: Health = HEALTHY,
    **of: Any,
) -> str:
    """What the gate says of m1, in one line; it begins with yes or no."""
    evidence = gate_evidence(
        "m1", AS_OF, health, evaluation=evaluation(**of), trained_as_of=AS_OF, champion=champion, moves=moves
    )
    decision = decide_gate(evidence)
    return f"{'yes' if decision.promote else 'no'}: {'; '.join(decision.reasons)}"


def moved(before: str | None, after: str, who: str) -> PromotionEvent:
    return PromotionEvent("champion", before, after, who, "prices were wrong", AS_OF)


def test_only_a_comparison_with_the_present_champion_counts() -> None:
    assert "champion 0.260" in reasons("m0")
    for other in (None, "m9"):
        assert reasons("m0", champion_version=other).startswith("no: no comparison with the champion m0")
    undated = evaluation()
    del undated["champion_version"]
    evidence = gate_evidence(
        "m1", AS_OF, HEALTHY, evaluation=undated, trained_as_of=AS_OF, champion="m0", moves=()
    )
    assert evidence.champion is None
    assert "no champion yet" in reasons(None)


def test_the_gate_does_not_promote_what_a_person_took_back() -> None:
    first, promoted = moved(None, "m0", "gate"), moved("m0", "m1", "gate")
    back = moved("m1", "m0", "ada")
    said = reasons(moves=(back, promoted, first))
    assert said.startswith("no: rolled back by ada (prices were wrong); promote it by hand"), said
    later = moved("m0", "m2", "gate")
    assert reasons(champion="m2", champion_version="m2", moves=(later, back, promoted)).startswith("no: roll")


def test_the_gate_may_promote_again_what_no_person_took_back() -> None:
    first, promoted = moved(None, "m0", "gate"), moved("m0", "m1", "gate")
    assert reasons(moves=(moved("m1", "m0", "gate"), promoted, first)).startswith("yes")
    assert reasons(moves=(moved("m0", "m1", "ada"), moved("m1", "m0", "ada"), promoted)).startswith("yes")
    assert reasons(moves=(first,)).startswith("yes")


def test_few_users_are_no_evidence() -> None:
    assert "evaluated on 12 users, must be >= 30" in reasons(n_users=12)
    assert "evaluated on 40 queries, must be >= 100" in reasons(n_queries=40)


def test_verdicts_age_in_the_datas_time() -> None:
    old = Health("pass", "", AS_OF - timedelta(hours=60), "pass", (), AS_OF - timedelta(hours=72))
    said = reasons(health=old)
    assert "quality evidence is 60.0 hours old" in said and "drift evidence is 72.0 hours old" in said


def test_what_was_not_measured_blocks() -> None:
    assert _worst([]) is None
    assert _worst([{"verdict": "ok"}]) == "pass"
    said = reasons(health=Health())
    assert said.startswith("no") and "no data-quality verdict" in said and "no drift verdict" in said
    assert "drift evidence has no age" in said


def test_a_measurement_is_dated_by_its_rows_and_its_absence_is_no_verdict(first_cycle) -> None:
    from flows.cycle_outcome import health_of
    from flows.wiring import open_stores

    stores = open_stores()
    known = health_of(stores, first_cycle.challenger, first_cycle.as_of, first_cycle.plan_date)
    assert known.quality_as_of == known.drift_as_of == first_cycle.as_of
    assert known.report == first_cycle.report
    never = first_cycle.as_of - timedelta(days=1)
    unknown = health_of(stores, first_cycle.challenger, never, first_cycle.plan_date)
    assert (unknown.quality, unknown.drift, unknown.report) == (None, None, None)


@pytest.fixture
def two_versions(first_cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A home of its own with the first cycle's model twice, m0 and m1, never compared with a champion."""
    from flows.wiring import open_stores
    from infra.embedded_postgres import release_embedded

    made = open_stores().registry
    folder, lineage = made.version_dir(first_cycle.challenger), made.read(first_cycle.challenger).lineage
    monkeypatch.setenv("KAIROS_HOME", str(tmp_path / "home"))
    registry = open_stores().registry
    for version in ("m0", "m1"):
        shutil.copytree(folder, registry.version_dir(version))
        registry.register(version, {}, lineage)
    yield registry
    release_embedded(tmp_path / "home")


def judge_beside_champion(registry) -> None:
    """Nothing; m1's evaluation says that it is as good as m0."""
    from flows.model_files import read_evaluation, write_evaluation

    folder = registry.version_dir("m1")
    kept = read_evaluation(folder)
    same = dict.fromkeys(kept["differences"][0]["ndcg@10"], 0.0)
    kept["champion_version"] = "m0"
    kept["models"]["champion"] = kept["models"]["Kairos"]
    kept["differences"].append({"model": "Kairos", "baseline": "champion", "ndcg@10": same})
    write_evaluation(folder, kept)


def test_a_version_is_judged_again_when_another_is_champion_and_stays_back_when_rolled_back(
    two_versions,
) -> None:
    from flows.model_version import is_judged

    def ask(version: str) -> str:
        verdict = ask_gate.fn(version, AS_OF, HEALTHY)
        return f"{'yes' if verdict.promoted else 'no'}: {verdict.reasons[0]}"

    assert is_judged(two_versions, "m0")  # there is no champion to compare it with
    assert ask("m0").startswith("yes")
    assert is_judged(two_versions, "m0") and not is_judged(two_versions, "m1")
    assert ask("m1").startswith("no: no comparison with the champion m0")

    judge_beside_champion(two_versions)
    assert is_judged(two_versions, "m1")
    assert ask("m1").startswith("yes")

    two_versions.move_alias("champion", "m0", "ada", "prices were wrong")
    assert ask("m1").startswith("no: rolled back by ada (prices were wrong)")
    assert two_versions.champion() == "m0"


def test_with_stages_a_yes_begins_them_and_only_one_version_goes_at_a_time(
    two_versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.wiring import open_stores

    monkeypatch.setenv("KAIROS_PROMOTION_STAGES", "shadow=1d,canary=3d@0.1")
    first = ask_gate.fn("m0", AS_OF, HEALTHY)
    assert first.promoted and first.words == "is champion", "without a champion there are no stages"
    judge_beside_champion(two_versions)
    second = ask_gate.fn("m1", AS_OF, HEALTHY)
    assert (second.promoted, second.stage, second.words) == (False, "shadow", "is in shadow")
    assert two_versions.champion() == "m0"
    assert ask_gate.fn("m1", AS_OF, HEALTHY).stage == "shadow"

    shutil.copytree(two_versions.version_dir("m1"), two_versions.version_dir("m2"))
    two_versions.register("m2", {}, two_versions.read("m1").lineage)
    assert ask_gate.fn("m2", AS_OF, HEALTHY).words == "waits for another in its stages"

    rollouts = open_stores().rollouts
    rollouts.end(rollouts.current(), "returned", AS_OF, "guardrails", "opt-outs 4 times")
    refused = ask_gate.fn("m1", AS_OF, HEALTHY)
    assert refused.stage is None and refused.reasons[0].startswith("rolled back by guardrails (opt-outs 4")
    assert ask_gate.fn("m2", AS_OF, HEALTHY).stage == "shadow"
