"""The history of drift reports as a workspace that Evidently's own UI shows: a folder of JSON files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

_PROJECT_VERSION = "2"


class ReportWorkspace:
    """Adds snapshots to the workspace; the UI reads it as it is."""

    def __init__(self, folder: Path) -> None:
        """A workspace in `folder`, which need not exist."""
        self._folder = folder

    def add_snapshot(self, project: str, name: str, snapshot: str, at: datetime) -> Path:
        """The snapshot's file. Idempotent: the same name in the same project is the same file.

        Args:
            project: What belongs together and is shown as one history.
            name: Of the snapshot.
            snapshot: Evidently's JSON of it.
            at: Its place in the history.
        """
        project_id = str(uuid5(NAMESPACE_URL, f"kairos/{project}"))
        folder = self._folder / project_id / "snapshots"
        folder.mkdir(parents=True, exist_ok=True)
        about = {"id": project_id, "name": project, "description": None, "version": _PROJECT_VERSION}
        _replace(self._folder / project_id / "metadata.json", about)
        content = json.loads(snapshot) | {"name": name, "timestamp": at.isoformat()}
        path = folder / f"{uuid5(NAMESPACE_URL, f'kairos/{project}/{name}')}.json"
        _replace(path, content)
        return path


def _replace(path: Path, content: Mapping[str, object]) -> None:
    """Nothing; the file holds `content`, and nobody ever saw half of it."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
