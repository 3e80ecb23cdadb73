"""Scenes as one small integer a row: whole rows of device, network, region and so on, each kept once."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.scenes import SCENE_PARTS, UNKNOWN
from models.vocabulary import Ints, Vocabulary

CODED_PARTS: tuple[str, ...] = tuple(part for part in SCENE_PARTS if part != "store_id")
"""All but the store, which retrievers know by a vocabulary of its own."""


def coded_scenes(frame: pd.DataFrame) -> tuple[pd.DataFrame, Ints]:
    """(the distinct scenes as text, one row each; the row's scene, one code a row of `frame`).

    Args:
        frame: Any of CODED_PARTS, text or categories; an absent part and a missing value are 'unknown'.

    Examples:
        >>> scenes, code = coded_scenes(pd.DataFrame({"device": ["ios", None, "ios"]}))
        >>> scenes["device"].tolist(), scenes["region"].tolist(), code.tolist()
        (['ios', 'unknown'], ['unknown', 'unknown'], [0, 1, 0])
    """
    key = np.zeros(len(frame), dtype=np.int64)
    vocabularies: dict[str, tuple[Vocabulary, int]] = {}
    width = 1
    for part in CODED_PARTS:
        values = frame[part] if part in frame else pd.Series(UNKNOWN, frame.index, dtype=object)
        vocabulary = Vocabulary.of(values)
        code = vocabulary.codes(values)
        vocabularies[part] = (vocabulary, width)
        key += np.where(code < 0, len(vocabulary), code).astype(np.int64) * width
        width *= len(vocabulary) + 1
    distinct, place = np.unique(key, return_inverse=True)
    columns = {}
    for part, (vocabulary, step) in vocabularies.items():
        digit = distinct // step % (len(vocabulary) + 1)
        columns[part] = vocabulary.decode(np.where(digit == len(vocabulary), -1, digit))
    return pd.DataFrame(columns), place.astype(np.int32)
