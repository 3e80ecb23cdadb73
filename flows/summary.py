"""The end of a cycle: what was learnt, decided and published, as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from features.errors import RefusedError
from flows.plan_words import UserPlan, plan_in_words
from models.evaluation import Estimate


@dataclass(frozen=True)
class RankingRow:
    """One line of the metrics table.

    Attributes:
        model: Its name; the first row is ours.
        ndcg, recall: NDCG@10 and Recall@20 with intervals.
        lead: Our NDCG@10 minus this one's, paired; None for ours.
    """

    model: str
    ndcg: Estimate
    recall: Estimate
    lead: Estimate | None


@dataclass(frozen=True)
class CycleSummary:
    """What one cycle did.

    Attributes:
        as_of: Knowledge cut-off, UTC.
        challenger: The version evaluated.
        champion: The version that planned; None when the gate refused the first one.
        ranking: Ours, then the baselines.
        evaluated_on: What the metrics are over, in words.
        promote: The gate's answer, with its reasons.
        became: What became of the challenger: 'is champion', 'is in canary'.
        drift: The drift verdict in words.
        report: The drift report's page; None when drift was not measured.
        batch_id: The live batch; None without a champion.
        pushes, users, silent_users: What it holds.
        changed: False when exactly this batch was live already.
        samples: Three users' days.
        note: What to know of the data before believing any number; '' of real data.
    """

    as_of: datetime
    plan_date: date
    challenger: str
    champion: str | None
    ranking: tuple[RankingRow, ...]
    evaluated_on: str
    promote: bool
    became: str
    reasons: tuple[str, ...]
    drift: str
    report: Path | None
    batch_id: str | None
    pushes: int
    users: int
    silent_users: int
    checksum: str
    changed: bool
    samples: tuple[UserPlan, ...]
    note: str = ""

    def raise_if_refused(self) -> None:
        """Nothing; the gate said yes.

        Raises:
            RefusedError: It said no; the text carries the reasons.
        """
        if not self.promote:
            raise RefusedError(f"the gate refused {self.challenger}: {self.reasons[0]}.")


def render_summary(summary: CycleSummary, command: str) -> RenderableType:
    """The summary to print: metrics, gate, publication, report, three plans, what to try next.

    Args:
        command: That ran the cycle.
    """
    note = (Text(f"\n{summary.note}", style="bold yellow"),) if summary.note else ()
    return Group(
        *note,
        *_section(f"How well it ranks ({summary.evaluated_on})", ranking_table(summary.ranking)),
        *_section("Gate", gate_text(summary)),
        *_section("Published", Text(_published_words(summary))),
        *_section("Drift", Text(f"{summary.drift}\n{summary.report or 'no report'}")),
        *_samples_section(summary.samples),
        *_section("Try next", Text("\n".join(next_commands(summary, command)))),
    )


def summary_markdown(summary: CycleSummary) -> str:
    """The summary as a page for Prefect's UI, without the users."""
    lines = ["| model | NDCG@10 | Recall@20 | our lead |", "|---|---|---|---|"]
    for row in summary.ranking:
        lead = "" if row.lead is None else f"{row.lead.mean:+.4f} ({_interval(row.lead, '+')})"
        lines.append(f"| {row.model} | {row.ndcg} | {row.recall} | {lead} |")
    answer = "yes" if summary.promote else "no"
    return "\n".join(
        [
            *((f"**{summary.note}**", "") if summary.note else ()),
            f"Ranking on {summary.evaluated_on}:",
            "",
            *lines,
            "",
            f"Gate: **{answer}** to {summary.challenger}, which {summary.became}",
            *(f"- {reason}" for reason in summary.reasons),
            "",
            _published_words(summary),
            "",
            f"Drift: {summary.drift}",
        ]
    )


def ranking_table(rows: Sequence[RankingRow]) -> Table:
    """Metrics with 95 % intervals, one row a model, ours first."""
    grid = Table(box=None, pad_edge=False)
    grid.add_column("model")
    for name in ("NDCG@10", "95 % CI", "Recall@20", "our lead", "95 % CI"):
        grid.add_column(name, justify="right")
    for row in rows:
        ours = row.lead is None
        lead = ("", "") if row.lead is None else (f"{row.lead.mean:+.4f}", _interval(row.lead, "+"))
        cells = (row.model, f"{row.ndcg.mean:.4f}", _interval(row.ndcg), f"{row.recall.mean:.4f}", *lead)
        grid.add_row(*(Text(cell) for cell in cells), style="bold" if ours else "")
    return grid


def gate_text(summary: CycleSummary) -> Text:
    """The decision and every reason."""
    verdict = ("yes", "bold green") if summary.promote else ("no", "bold red")
    lines = "".join(f"\n  - {reason}" for reason in summary.reasons)
    return Text.assemble(verdict, f": {summary.challenger} {summary.became}{lines}")


def next_commands(summary: CycleSummary, command: str) -> list[str]:
    """Commands worth typing now, `command` once more among them, each with what it shows."""
    commands = [
        ("kairos model list", "every model version, and who is champion"),
        (command, "again: recomputes nothing, publishes the same rows"),
        ("kairos up", "server, UI, worker and schedules"),
    ]
    if summary.samples:
        user = summary.samples[0].user_id
        by_slot = "select slot, count(*) from kairos.push_plan_live group by 1"
        commands = [
            (f"kairos why {user} --date {summary.plan_date}", "one user's plan and everything held back"),
            (f'kairos sql "{by_slot}"', "what is sent when"),
            *commands,
        ]
    width = max(len(typed) for typed, _ in commands)
    return [f"  {typed:<{width}}  {words}" for typed, words in commands]


def _published_words(summary: CycleSummary) -> str:
    if summary.batch_id is None:
        return "nothing: there is no champion, so no plan."
    news = "" if summary.changed else " (unchanged: the same rows were live already)"
    return (
        f"{summary.pushes:,} pushes to {summary.users:,} users for {summary.plan_date}; "
        f"{summary.silent_users:,} users hear nothing that day{news}\n"
        f"batch {summary.batch_id}, checksum {summary.checksum[:12]}, by {summary.champion}"
    )


def _sample_lines(samples: Sequence[UserPlan]) -> list[str]:
    return [line for sample in samples for line in plan_in_words(sample, ledger_lines=2)]


def _samples_section(samples: Sequence[UserPlan]) -> tuple[RenderableType, ...]:
    """The users' days; nothing when no plan was published."""
    return _section("Three users", Text("\n".join(_sample_lines(samples)))) if samples else ()


def _section(title: str, body: RenderableType) -> tuple[RenderableType, ...]:
    return (Text(f"\n{title}", style="bold cyan"), body)


def _interval(estimate: Estimate, sign: str = "") -> str:
    return f"{estimate.low:{sign}.4f} .. {estimate.high:{sign}.4f}"
