"""Scenes: where and how a person is reached, with 'unknown' for every part that nobody told us."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

SCENE_PARTS: tuple[str, ...] = ("device", "network", "region", "store_id", "channel", "weather")
UNKNOWN = "unknown"
PASSING_PARTS = ("weather",)
"""Parts that pass: those of a past session say nothing of a day to come, so nobody plans with them."""

_ESCAPES = (("%", "%25"), ("|", "%7C"), ("=", "%3D"))


def fill_scene(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy of `frame` with every scene part as text; missing, null and blank parts are 'unknown'.

    Examples:
        >>> filled = fill_scene(pd.DataFrame({"user_id": ["u1", "u2"], "device": ["ios", None]}))
        >>> filled["device"].tolist(), filled["channel"].tolist()
        (['ios', 'unknown'], ['unknown', 'unknown'])
    """
    filled = frame.copy(deep=False)
    for part in SCENE_PARTS:
        filled[part] = filled_part(filled[part]) if part in filled else UNKNOWN
    return filled


def filled_part(values: pd.Series) -> pd.Series:
    """The values of one scene part as trimmed text, 'unknown' where null or blank; same index."""
    text = values.astype("string").str.strip()
    return text.mask(text.isna() | (text == ""), UNKNOWN)


def scene_key(frame: pd.DataFrame, parts: Sequence[str] = SCENE_PARTS) -> pd.Series:
    """One text key a row, 'device=ios|store_id=343'; the same parts always give the same key.

    Args:
        frame: Rows with any of the scene parts; absent ones count as 'unknown'.
        parts: Which parts make the key, in this order; at least one of `SCENE_PARTS`.

    Examples:
        >>> rows = pd.DataFrame({"store_id": ["343", None], "channel": ["store", "mail"]})
        >>> scene_key(rows, ("store_id", "channel")).tolist()
        ['store_id=343|channel=store', 'store_id=unknown|channel=mail']
    """
    if not parts or not set(parts) <= set(SCENE_PARTS):
        raise ValueError(f"parts == {tuple(parts)}, must be a non-empty choice of {SCENE_PARTS}.")
    filled = fill_scene(frame)
    key = pd.Series("", index=filled.index, dtype="string")
    for position, part in enumerate(parts):
        values = filled[part].astype("string")
        for plain, escaped in _ESCAPES:  # a separator inside a value must not make two scenes one
            values = values.str.replace(plain, escaped, regex=False)
        key = key + ("|" if position else "") + f"{part}=" + values
    return key
