"""Scored candidates of a plan date on disk, by model version: made once, planned and monitored from."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.scenes import SCENE_PARTS

if TYPE_CHECKING:
    from flows.day_scores import DayScores
    from infra.settings import Settings

_ROWS_AT_ONCE = 1 << 16
KEYS = ("user_id", "slot", *SCENE_PARTS, "item_id", "category", "score", "p_item", "price")


@dataclass(frozen=True)
class ScoredFiles:
    """Where one model's scores for one day lie; both files are there or the scores are not."""

    candidates: Path
    timing: Path

    @property
    def exist(self) -> bool:
        """Whether the scores are complete: `timing` is written last."""
        return self.candidates.exists() and self.timing.exists()

    def write(self, scores: DayScores) -> None:
        """Nothing; replaces both files, the marker of completeness last."""
        self.candidates.parent.mkdir(parents=True, exist_ok=True)
        self.timing.unlink(missing_ok=True)
        for path, frame in ((self.candidates, scores.candidates), (self.timing, scores.timing)):
            partial = path.with_suffix(f".{os.getpid()}.partial")
            try:
                write_frame(frame, partial)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    def read_candidates(self) -> pd.DataFrame:
        """Keys, scores and prices of every candidate, without features."""
        return pd.read_parquet(self.candidates, columns=list(KEYS))

    def read_timing(self) -> pd.DataFrame:
        """(user_id, slot, p_engage, *SCENE_PARTS) of every user and slot."""
        return pd.read_parquet(self.timing)

    def read_columns(self, columns: list[str], users: Collection[str] | None = None) -> pd.DataFrame:
        """These columns of every candidate, or of the candidates of `users`."""
        kept = None if users is None else [("user_id", "in", list(users))]
        return pd.read_parquet(self.candidates, columns=columns, filters=kept)

    def read_rows(self, keys: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
        """(user_id, slot, item_id, columns...) of the candidates that `keys` names; reads a piece at a time.

        Args:
            keys: (user_id, slot, item_id).
        """
        names = list(keys)
        wanted = pd.MultiIndex.from_frame(keys)
        found = []
        with pq.ParquetFile(self.candidates) as file:
            for piece in file.iter_batches(_ROWS_AT_ONCE, columns=[*names, *columns]):
                told = piece.select(names).to_pandas().astype(object)
                mine = pd.MultiIndex.from_frame(told).isin(wanted)
                found.append(piece.filter(pa.array(mine)).to_pandas().astype(dict.fromkeys(names, object)))
        return pd.concat(found, ignore_index=True)

    def write_plan(self, inputs: str, batch_id: str, summary: dict[str, int]) -> None:
        """Nothing; which batch these scores became, and what that followed from."""
        partial = self._plan.with_suffix(f".{os.getpid()}.partial")
        content = {"inputs": inputs, "batch_id": batch_id, "summary": summary}
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(self._plan)

    def read_plan(self, inputs: str) -> dict[str, Any] | None:
        """The batch these scores became under the same inputs; None when there is none."""
        if not self._plan.exists():
            return None
        content: dict[str, Any] = json.loads(self._plan.read_text(encoding="utf-8"))
        return content if content["inputs"] == inputs else None

    @property
    def _plan(self) -> Path:
        return self.timing.with_name(self.timing.name.replace(".timing.parquet", ".plan.json"))

    @property
    def rows(self) -> int:
        """How many candidates there are."""
        return int(pq.read_metadata(self.candidates).num_rows)


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Nothing; the frame as Parquet, quickly: words by dictionary, numbers as they are."""
    words = [name for name in frame if not pd.api.types.is_float_dtype(frame[name])]
    # Who reads a part asks for users; minima of everything else would be half the work of writing.
    told = [name for name in frame if name == "user_id"]
    frame.to_parquet(path, index=False, compression="lz4", use_dictionary=words, write_statistics=told)


def scored_files(
    settings: Settings, version: str, plan_date: date, as_of: datetime, fingerprint: str
) -> ScoredFiles:
    """Where this model's scores for this day, as known at `as_of`, belong."""
    folder = settings.home / "scored" / version
    stem = f"{plan_date.isoformat()}-{as_of:%Y%m%dT%H%M}-{fingerprint}"
    return ScoredFiles(folder / f"{stem}.candidates.parquet", folder / f"{stem}.timing.parquet")
