"""Effect sizes of two distributions given as counts over the same bins."""

from __future__ import annotations

import numpy as np

from monitoring.drift_bins import ColumnBins, Counts


def null_share(counts: Counts) -> float:
    """The share of nulls, whose bin is the last."""
    total = counts.sum()
    return float(counts[-1] / total) if total else 0.0


def wasserstein(bins: ColumnBins, reference: Counts, current: Counts) -> float:
    """Mean distance between the told values, in the reference's standard deviations.

    Exact at the edges and straight between them; the outer percent on each side counts as the percentile.

    Examples:
        >>> bins = ColumnBins("x", edges=(0.0, 1.0, 2.0), low=0.0, high=2.0, spread=0.5)
        >>> wasserstein(bins, np.array([0.0, 10, 0, 0, 0]), np.array([0.0, 0, 10, 0, 0]))
        2.0
    """
    return _area(bins, np.abs(_reached(reference) - _reached(current)))


def shift(bins: ColumnBins, reference: Counts, current: Counts) -> float:
    """How far the mean has moved up, in the reference's standard deviations, counted as `wasserstein` does.

    Examples:
        >>> bins = ColumnBins("x", edges=(0.0, 1.0, 2.0), low=0.0, high=2.0, spread=0.5)
        >>> shift(bins, np.array([0.0, 0, 10, 0, 0]), np.array([0.0, 10, 0, 0, 0]))
        -2.0
    """
    return _area(bins, _reached(reference) - _reached(current))


def jensenshannon(reference: Counts, current: Counts) -> float:
    """Distance of the two in 0..0.83, null being a value like the others.

    Source: Endres, Schindelin (2003); natural logarithm, as SciPy and Evidently take it.

    Examples:
        >>> round(jensenshannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])), 3)
        0.833
    """
    p, q = _shares(reference), _shares(current)
    middle = (p + q) / 2
    divergence = _entropy_gap(p, middle) + _entropy_gap(q, middle)
    return float(np.sqrt(max(divergence / 2, 0.0)))


def _area(bins: ColumnBins, apart: Counts) -> float:
    edges = np.array(bins.edges)
    inside = (edges >= bins.low) & (edges <= bins.high)
    edges, apart = edges[inside], apart[: len(inside)][inside]
    width = np.diff(edges)
    return float(((apart[1:] + apart[:-1]) / 2 * width).sum() / bins.spread)


def _reached(counts: Counts) -> Counts:
    """The share of told values up to each edge."""
    told = counts[:-1]
    total = told.sum()
    reached = np.cumsum(told)[:-1]
    return reached / total if total else np.zeros(len(reached))


def _shares(counts: Counts) -> Counts:
    total = counts.sum()
    return counts / total if total else np.full(len(counts), 1.0 / len(counts))


def _entropy_gap(p: Counts, middle: Counts) -> float:
    some = p > 0
    return float((p[some] * np.log(p[some] / middle[some])).sum())
