"""Whether a model can be served: it must have learnt from the features that are offered today."""

from __future__ import annotations

from collections.abc import Sequence

from features.errors import RefusedError
from features.tables import RANKING, TIMING
from models.ranker import Ranker
from models.timing import TimingModel
from models.training_set import SCENE_COLUMNS


def require_served_features(
    version: str, trained_on: Sequence[str], ranker: Ranker, timing: TimingModel
) -> None:
    """Nothing; both models read the services of today.

    Args:
        version: The model's, for the message.
        trained_on: Names of the services in its lineage; none where the lineage does not tell.

    Raises:
        RefusedError: It was trained on other services, or needs a feature that they no longer offer.
    """
    offered = (RANKING.name, TIMING.name)
    other = sorted(set(trained_on) - set(offered))
    if other:
        raise RefusedError(
            f"model {version} was trained on {', '.join(sorted(trained_on))}, features are served as "
            f"{', '.join(offered)}; run kairos train, then kairos cycle."
        )
    gone_by_service = (
        (RANKING, features_gone(ranker)),
        (TIMING, sorted({*timing.feature_names} - {"daypart"} - {*TIMING.features})),
    )
    for service, gone in gone_by_service:
        if gone:
            raise RefusedError(
                f"model {version} needs {gone[0]!r} ({len(gone)} such), which {service.name} does not offer; "
                "run kairos train, then kairos cycle."
            )


def features_gone(ranker: Ranker) -> list[str]:
    """What the ranker learnt from that the ranking service no longer offers; retrievers score themselves."""
    stored = {name for name in ranker.features if not name.startswith("score_")} - {*SCENE_COLUMNS}
    return sorted(stored - {*RANKING.features})
