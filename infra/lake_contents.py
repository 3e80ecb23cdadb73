"""What a lake's files hold, told from the files alone: digests, and the events of each day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from infra.lake_files import digest_of_files, digests_of_files
from infra.lake_manifest import DayContent, Manifest


@dataclass(frozen=True)
class LakeContents:
    """The files of one lake.

    Attributes:
        fingerprint: Equal content, equal text.
        days: Events of each UTC day that has any, in order; keys are ISO dates.
        digests: Digest of each other table's rows.
    """

    fingerprint: str
    days: Mapping[str, DayContent]
    digests: Mapping[str, str]


def contents_of(folder: Path) -> LakeContents:
    """What lies in `folder`, laid out as a lake."""
    files = digests_of_files(folder)
    days: dict[str, DayContent] = {}
    others: dict[str, str] = {}
    for name, digest in files.items():
        top, _, rest = name.partition("/")
        if top == "events":
            day = rest.partition("/")[0].removeprefix("day=")
            known = days.get(day, DayContent(0, ""))
            rows = known.events + pq.read_metadata(folder / name).num_rows
            days[day] = DayContent(rows, known.digest + digest.hex()[:16])
        elif not rest and name.endswith(".parquet"):
            others[name.removesuffix(".parquet")] = digest.hex()[:16]
    return LakeContents(digest_of_files(files), days, others)


def described(manifest: Manifest, folder: Path) -> Manifest:
    """The manifest with days and digests; one that was made without them gets them from the files."""
    if manifest.days or not manifest.tables["events"].accepted:
        return manifest
    contents = contents_of(folder)
    return replace(manifest, days=contents.days, digests=contents.digests)
