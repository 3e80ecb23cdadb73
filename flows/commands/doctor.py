"""`kairos doctor`: what is wrong here, and the fix."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Try everything a run needs on this machine; print the effective settings, secrets masked."""
    from features.errors import KairosError
    from flows.commands.output import console, print_json, table
    from flows.examination import examine
    from infra.settings import load_settings

    settings = load_settings()
    findings = list(examine(settings))
    effective = settings.effective()
    if as_json:
        print_json(
            {
                "findings": [vars(finding) for finding in findings],
                "settings": {row.name: {"value": row.value, "source": row.source} for row in effective},
            }
        )
    else:
        rows = [(f.what, "ok" if f.fix is None else "WRONG", f.detail, f.fix or "") for f in findings]
        console().print(table("This machine", ("", "", "found", "fix"), rows))
        console().print(table("\nSettings in effect", ("setting", "value", "from"), effective))
    wrong = [finding for finding in findings if finding.fix is not None]
    if wrong:
        raise KairosError(f"{len(wrong)} of {len(findings)} are wrong: {wrong[0].what}; {wrong[0].fix}.")
