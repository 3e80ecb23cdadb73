"""The commented `kairos.toml` that `kairos init` writes."""

from __future__ import annotations

import json
from pathlib import Path

from features.errors import UsageError
from infra.settings import TOML_FILE

TEMPLATE = Path(__file__).with_name("kairos.toml.example")


def write_configuration(folder: Path, source: str | None, timezone: str | None, *, force: bool) -> Path:
    """The written `kairos.toml`, whole or not at all.

    Args:
        folder: Where `kairos` will be run.
        source, timezone: Filled in; the template's own when None.
        force: Replace one that is there.

    Raises:
        UsageError: There is one already.
    """
    target = folder / TOML_FILE
    if target.exists() and not force:
        raise UsageError(f"{target} is there already; edit it, or add --force to replace it.")
    text = TEMPLATE.read_text(encoding="utf-8")
    if source is not None:
        text = text.replace('\nsource = "complete-journey"', f"\nsource = {json.dumps(source)}", 1)
    if timezone is not None:
        text = text.replace('\n# default_timezone = "UTC"', f"\ndefault_timezone = {json.dumps(timezone)}", 1)
    fresh = target.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(target)
    return target
