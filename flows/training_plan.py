"""How a model version is made: weeks, sampling and model parameters, and the name that follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from flows.fingerprints import code_fingerprint, fingerprint_of
from flows.moments import shop_timezone
from infra.setting_values import relevance_weights
from infra.settings import Settings
from models.candidates.cut import CutParams
from models.catalogue import CatalogueParams
from models.evaluation import EvaluationParams
from models.policy.params import PolicyParams
from models.queries import QueryParams
from models.ranker_params import RankerParams
from models.relevance import RelevanceParams
from models.search import SearchParams
from models.timing import TimingParams
from models.training_set import SamplingParams

DECIDING_CODE = (
    "models",
    "flows.training_data",
    "flows.ranking_rows",
    "flows.timing_frame",
    "flows.day_scores",
    "flows.model_version",
)
"""What a version's content follows from besides data and features: change it, and the version is another."""


FEW_TARGETS = 10_000
"""Below so many purchases of validation a ranker is fitted with care: a mix, of smaller trees."""


@dataclass(frozen=True)
class TrainingPlan:
    """Every choice behind a model version.

    Attributes:
        queries: Which weeks train, validate and test.
        history_days: Days before those weeks that retrievers and habits know; None for all there are.
        relevance: What the ranker's labels are worth, by kind of event.
        search: How the ranker's parameters are searched for, starting from `ranker`.
        timing_user_days: User-days drawn for the timing model, by split.
        quiet_hours: Time zone, start and end for users without their own.
        country_quiet: Country, start and end that hold before those.
        slots_considered: Likeliest slots ranked for each user, in the reference as in every plan.
        reference_users: Users whose scored candidates of earlier weeks drift is measured against.
        reference_weeks: So many: the same weekday, one to so many weeks before the cut-off.
        sees_moment: Whether the ranker sees the columns that tell the moment: time, scene, promotions.
        cluster: Address of the Dask scheduler whose workers fit the ranker. A version's name tells whether
            there is one, not where.
    """

    queries: QueryParams = QueryParams(train_weeks=4, validation_weeks=1, test_weeks=2)
    history_days: int | None = None
    catalogue: CatalogueParams = CatalogueParams()
    sampling: SamplingParams = SamplingParams()
    relevance: RelevanceParams = RelevanceParams()
    cut: CutParams = CutParams()
    ranker: RankerParams = RankerParams()
    search: SearchParams = SearchParams()
    timing: TimingParams = TimingParams()
    evaluation: EvaluationParams = EvaluationParams()
    timing_user_days: dict[str, int] = field(
        default_factory=lambda: {"train": 15_000, "validation": 6_000, "test": 6_000}
    )
    reference_users: int = 120
    reference_weeks: int = 3
    slots_considered: int = 2
    quiet_hours: tuple[str, str, str] = ("UTC", "21:00", "08:00")
    country_quiet: tuple[tuple[str, str, str], ...] = ()
    sees_moment: bool = True
    cluster: str | None = field(default=None, repr=False)

    @property
    def reach(self) -> PolicyParams:
        """The policy that decides which slots are ranked; limits and values do not matter to a model."""
        timezone, start, end = self.quiet_hours
        return PolicyParams(
            default_timezone=timezone,
            default_quiet_start=start,
            default_quiet_end=end,
            country_quiet=self.country_quiet,
        )


def training_plan(settings: Settings) -> TrainingPlan:
    """The plan that settings ask for."""
    return TrainingPlan(
        queries=QueryParams(
            train_weeks=settings.train_weeks,
            validation_weeks=settings.validation_weeks,
            test_weeks=settings.test_weeks,
            min_items=settings.min_basket_items,
            min_earlier_baskets=settings.min_earlier_baskets,
            most_train=settings.max_train_baskets,
            most_judged=settings.max_judged_baskets,
        ),
        history_days=settings.history_days,
        catalogue=CatalogueParams(min_users=settings.min_item_users),
        relevance=RelevanceParams(**relevance_weights(settings.relevance)),
        cut=CutParams(threads=settings.threads),
        ranker=RankerParams(threads=settings.threads, few_targets=FEW_TARGETS),
        search=SearchParams(minutes=settings.search_minutes),
        timing=TimingParams(num_threads=settings.threads),
        slots_considered=settings.slots_considered,
        quiet_hours=(shop_timezone(settings), settings.quiet_start, settings.quiet_end),
        country_quiet=settings.country_quiet,
        sees_moment=settings.ranker_sees_moment,
        cluster=settings.dask_address,
    )


def version_of(plan: TrainingPlan, as_of: datetime, features_fingerprint: str) -> str:
    """The model version's name: its cut-off and a digest of data, features, code and every choice."""
    where = "" if plan.cluster is None else "cluster"
    digest = fingerprint_of(features_fingerprint, code_fingerprint(*DECIDING_CODE), repr(plan), where)
    return f"{as_of:%Y%m%d%H%M}-{digest[:8]}"
