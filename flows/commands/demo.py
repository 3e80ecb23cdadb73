"""`kairos demo`: the main job on the embedded default, start to end."""

from __future__ import annotations

import time


def demo() -> None:
    """Turn events, by default real grocery data, into a published push plan: the main job, start to end."""
    from flows.commands.output import console, progress_console
    from flows.flow_run import run_flow
    from flows.progress import showing_progress
    from flows.summary import CycleSummary, render_summary
    from infra.settings import load_settings
    from infra.sources import open_source, reality_note

    settings = load_settings()
    began = time.monotonic()
    shown = progress_console()
    source = open_source(settings.source).name  # the setting itself may hold a password
    note = reality_note(settings.source)
    source = f"{source} ({note})" if note else source
    shown.print(f"Kairos on {source}; everything it writes goes to {settings.home}", soft_wrap=True)
    with showing_progress(shown):
        summary = run_flow(settings, "flows.cycle.cycle")
    assert isinstance(summary, CycleSummary)
    console().print(render_summary(summary, "kairos demo"))
    shown.print(f"\ndone in {time.monotonic() - began:.0f} s")
    summary.raise_if_refused()
