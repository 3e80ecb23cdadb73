"""The feature tables on disk: versions that readers see whole, made of files that hold a few days each.

root/current -> v-<fingerprint>/    <table>/<first day>_<day after the last>.parquet, manifest.json,
                                    state/<table>.parquet (the newest row of every key as of a day),
                                    attributes.parquet (zones and categories as counted), scenes.json
root/previous -> v-<fingerprint>/   the one before, kept for readers that still have it open
root/building/                      finished parts of the next version: a killed run goes on from them
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from duckdb import DuckDBPyRelation

from features.errors import KairosError
from features.table import FeatureTable
from infra.feature_files import write_rows
from infra.feature_manifest import TablesManifest
from infra.lake_files import disk_errors, point_to, sync

if TYPE_CHECKING:
    from features.taxonomy import SceneTaxonomy

SCENES = "scenes.json"
ATTRIBUTES = "attributes.parquet"
STATE = "state"
_MANIFEST = "manifest.json"
_BY_HAND = "v-by-hand"


class FeatureTables:
    """All feature tables, one version at a time.

    Args:
        root: Their folder; created when the first version is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def building(self) -> Path:
        """Where parts of the next version lie."""
        return self.root / "building"

    @property
    def current(self) -> Path | None:
        """The folder of the version in use, as it is called itself; None before the first."""
        return self._target("current")

    def manifest(self) -> TablesManifest | None:
        """What the version in use holds; None before the first build, or if it was written by hand."""
        return TablesManifest.read(self.root / "current" / _MANIFEST)

    def versions(self) -> dict[str, tuple[Path, TablesManifest]]:
        """Folder and manifest of every version there is, by fingerprint; that in use is the first."""
        current = self.current
        folders = [] if current is None else [current]
        folders += sorted(folder for folder in self.root.glob("v-*") if folder != current)
        told = ((folder, TablesManifest.read(folder / _MANIFEST)) for folder in folders)
        found: dict[str, tuple[Path, TablesManifest]] = {}
        for folder, manifest in told:
            if manifest is not None:
                found.setdefault(manifest.fingerprint, (folder, manifest))
        return found

    def files(self, name: str) -> list[Path]:
        """The table's files in the version in use, in order of time.

        Raises:
            KairosError: It was never written.
        """
        current = self.current
        found = [] if current is None else sorted((current / name).glob("*.parquet"))
        if not found:
            raise KairosError(
                f"feature table {name!r} has no file in {self.root / 'current' / name}; "
                "run `kairos materialize`, which builds it."
            )
        return found

    def read_taxonomy(self) -> SceneTaxonomy | None:
        """The scenes known to the version in use; None before the first build."""
        from features.taxonomy import SceneTaxonomy

        try:
            return SceneTaxonomy.from_json((self.root / "current" / SCENES).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def publish(self, manifest: TablesManifest, files: Mapping[str, Path]) -> TablesManifest:
        """The manifest of the version that is in use from now on, all tables together.

        Killed at any instant, this leaves the old version or the new one.

        Args:
            manifest: What it holds.
            files: Its files by their path in the version's folder; linked, not copied.
        """
        with disk_errors(self.root):
            staged = self.building / "version"
            shutil.rmtree(staged, ignore_errors=True)
            for name, source in files.items():
                target = staged / name
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(source, target)
            for name in manifest.tables:
                (staged / name).mkdir(parents=True, exist_ok=True)
            manifest.write(staged / _MANIFEST)
            for path in (*staged.glob("*"), staged):
                sync(path)  # the rows themselves were when they were written
            old, folder = self.current, self._free_folder(manifest.fingerprint)
            staged.rename(folder)
            if old is not None:
                point_to(self.root / "previous", old.name)
            point_to(self.root / "current", folder.name)
            sync(self.root)
        return manifest

    def use(self, manifest: TablesManifest) -> None:
        """Nothing; a version that is still there is the one in use from now on."""
        folder, _ = self.versions()[manifest.fingerprint]
        old = self.current
        if old is not None and old != folder:
            point_to(self.root / "previous", old.name)
            point_to(self.root / "current", folder.name)
            sync(self.root)

    def clean(self, kept: Collection[str] = ()) -> None:
        """Removes versions nobody needs and the parts of finished ones; only under the lock.

        Args:
            kept: Fingerprints of versions that are needed besides the current and the previous one.
        """
        linked = {folder for link in ("current", "previous") if (folder := self._target(link))}
        needed = {folder for name, (folder, _) in self.versions().items() if name in kept}
        for folder in self.root.glob("v-*"):
            if folder not in linked | needed:
                shutil.rmtree(folder)
        shutil.rmtree(self.building, ignore_errors=True)

    def write_whole(self, table: FeatureTable, relation: DuckDBPyRelation) -> Path:
        """The one file that is now the table, in a version written by hand: for trials and tests.

        Raises:
            KairosError: A declared column is missing.
        """
        folder = self.root / _BY_HAND
        file = folder / table.name / f"{date.min}_{date.max}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_rows(relation, table, file)
        if self.current != folder:
            point_to(self.root / "current", folder.name)
        return file

    def _free_folder(self, fingerprint: str) -> Path:
        """A folder that nobody reads: a recount may leave the same rows under the same fingerprint."""
        names = (f"v-{fingerprint}{suffix}" for suffix in ("", *(f"-{number}" for number in range(2, 9))))
        return next(folder for name in names if not (folder := self.root / name).exists())

    def _target(self, link: str) -> Path | None:
        path = self.root / link
        return self.root / path.readlink().name if path.is_symlink() else None
