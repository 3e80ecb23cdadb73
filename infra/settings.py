"""Every setting of Kairos: from the environment (`KAIROS_*`), `kairos.toml`, or its default."""

from __future__ import annotations

import difflib
import os
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, field_serializer
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from features.errors import UsageError
from features.source_mapping import Columns, Constants, EventTypes, SourceMapping, Tables
from infra.secret_files import SECRETS, SecretFiles, file_variable
from infra.setting_values import (
    CLOCK,
    absolute,
    known_quiet_hours,
    known_regional_zones,
    known_routes,
    known_stages,
    known_timezone,
    mapping_reader,
    pairs_by_place,
    postgres_secret,
    quiet_hours_by_country,
    rising_relevance,
)

ENV_PREFIX = "KAIROS_"
TOML_FILE = Path("kairos.toml")
MASK = "********"


class SettingRow(NamedTuple):
    """One effective setting, safe to print: secrets are masked."""

    name: str
    value: str
    source: str


class Settings(BaseSettings):
    """The effective configuration of one process; frozen, built by `load_settings`.

    Precedence: arguments, environment `KAIROS_<NAME>`, a secret's file `KAIROS_<NAME>_FILE`, `kairos.toml` in
    the working directory, default.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    home: Annotated[Path, AfterValidator(absolute)] = Field(
        Path(".kairos"), validate_default=True, description="Folder that holds all state."
    )
    source: str = Field(
        "complete-journey", description="complete-journey, simulated, parquet:DIR or sql:URL.", repr=False
    )
    tables: Annotated[Tables, NoDecode, mapping_reader("tables")] = Field(
        (), description="What the source calls its tables or files: [tables]."
    )
    columns: Annotated[Columns, NoDecode, mapping_reader("columns")] = Field(
        (), description="What the source calls its columns: [columns.TABLE]."
    )
    constants: Annotated[Constants, NoDecode, mapping_reader("constants")] = Field(
        (), description="Columns that are the same in every row: [constants.TABLE]."
    )
    event_types: Annotated[EventTypes, NoDecode, mapping_reader("event_types")] = Field(
        (), description="What the source calls its types of events: [event_types]."
    )
    ingest_overlap_hours: float | None = Field(
        None,
        ge=0,
        description="Of sql: sources only events from so long before the newest on are read; unset: all.",
    )
    database_url: Annotated[SecretStr | None, BeforeValidator(postgres_secret)] = Field(
        None, description="PostgreSQL to use; the embedded one when unset."
    )
    max_quarantine_share: float = Field(
        0.05, ge=0, le=1, description="More quarantined rows than this share block everything downstream."
    )
    default_timezone: Annotated[str, AfterValidator(known_timezone)] = Field(
        "UTC", description="Time zone of users who have none."
    )
    late_events_hours: float = Field(
        48.0, ge=0, le=24 * 90, description="Days so far back are counted anew where their events changed."
    )
    feature_chunk_events: int = Field(
        25_000_000, ge=1_000, description="Events counted at a time when features are built; bounds memory."
    )
    max_feature_age_hours: float | None = Field(
        None, gt=0, description="Oldest features that may be scored; unset: each table's own limit."
    )
    duckdb_memory_gb: float = Field(4.0, gt=0, description="Memory DuckDB may use before it spills to disk.")
    connect_timeout_seconds: int = Field(10, ge=1, le=600, description="Wait for PostgreSQL to answer.")
    query_timeout_seconds: float = Field(30.0, gt=0, description="Longest `kairos sql` query.")
    train_weeks: int = Field(4, ge=1, description="Weeks of past baskets the ranker learns from.")
    validation_weeks: int = Field(1, ge=1, description="Weeks after them that stop and calibrate it.")
    test_weeks: int = Field(2, ge=1, description="Newest weeks, on which it is judged against baselines.")
    history_days: int | None = Field(
        None, ge=1, description="Days before those weeks that are known at all; unset: all. Bounds memory."
    )
    min_basket_items: int = Field(3, ge=1, description="Items a basket needs to be learnt from.")
    min_earlier_baskets: int = Field(5, ge=0, description="Baskets a user needs before one counts.")
    max_train_baskets: int = Field(
        40_000, ge=1, description="Baskets that teach at most, drawn evenly; some 50 kB of memory each."
    )
    max_judged_baskets: int = Field(
        12_000, ge=1, description="Baskets that validate at most, and that test at most, drawn evenly."
    )
    min_item_users: int = Field(30, ge=1, description="Buyers an item needs before it is recommended.")
    slots_considered: int = Field(2, ge=1, le=6, description="Likeliest slots ranked for each user.")
    threads: int = Field(2, ge=1, description="CPU threads of model training and scoring.")
    relevance: Annotated[str, AfterValidator(rising_relevance)] = Field(
        "view=0.1,add_to_cart=0.4,purchase=1",
        description="What each kind of event is worth to the ranker's labels; rising, 0 leaves it out.",
    )
    search_minutes: float = Field(
        0.0,
        ge=0,
        description="Time to search the ranker's hyper-parameters; 0: take the defaults.",
    )
    ranker_sees_moment: bool = Field(
        True,
        description="Whether the ranker sees time, scene and promotions; off: a plain one, to compare with.",
    )
    dask_address: str | None = Field(
        None, description="Dask scheduler whose workers fit the ranker, tcp://HOST:8786; here when unset."
    )
    quiet_start: str = Field(
        "21:00", pattern=CLOCK, description="Local time from which nobody is pushed (own times win)."
    )
    quiet_end: str = Field(
        "08:00", pattern=CLOCK, description="Local time until which nobody is pushed (own times win)."
    )
    quiet_hours_by_country: Annotated[str, AfterValidator(known_quiet_hours)] = Field(
        "", description="Quiet hours by ISO country, before quiet_start and quiet_end: DE=22:00-07:00,..."
    )
    quiet_action: Literal["defer", "drop"] = Field(
        "defer", description="A push whose best time is quiet: put off within its slot, or dropped."
    )
    timezone_by_region: Annotated[str, AfterValidator(known_regional_zones)] = Field(
        "", description="Zone of users who have none, by region or ISO country: CA=America/Toronto,..."
    )
    max_pushes_per_day: int = Field(1, ge=0, le=3, description="Pushes a user and day, unless the user says.")
    max_pushes_per_week: int = Field(5, ge=0, description="Pushes a user and any 7 days, from all campaigns.")
    min_gap_hours: float = Field(12.0, ge=0, description="Hours between two pushes to one user.")
    min_push_value: float = Field(
        0.001, ge=0, description="What one push must be worth, in the currency of the prices; else silence."
    )
    push_margin: float = Field(0.25, ge=0, le=1, description="Share of an item's price that a sale earns.")
    fatigue_cost: float = Field(
        0.001, ge=0, description="What each push of late takes off the next one's value, in that currency."
    )
    allow_sensitive: bool = Field(False, description="Whether items marked sensitive may be pushed.")
    max_items_per_category: int = Field(2, ge=1, description="Items of one category in a push.")
    recently_bought_fraction: float = Field(
        0.3, ge=0, description="An item rests for this share of its usual repurchase interval."
    )
    exploration_share: float = Field(
        0.0, ge=0, le=0.5, description="Share of slots and first items chosen by chance, with propensities."
    )
    global_holdout: float = Field(
        0.0, ge=0, le=0.5, description="Share of users planned for and never pushed, to know what pushes do."
    )
    max_plan_growth: float = Field(
        0.5, ge=0, description="A plan larger than usual by more than this share stops and asks."
    )
    kept_batches: int = Field(3, ge=1, le=100, description="Replaced plans kept per date for rollback.")
    gateway: str | None = Field(
        None,
        description="Who sends the pushes: https://HOST/PATH, or file:PATH.",
        repr=False,
    )
    gateway_secret: SecretStr | None = Field(None, description="Signs what goes to a web gateway.")
    dispatch_per_second: float = Field(
        100.0, gt=0, description="Pushes handed to the gateway a second, by all dispatchers together."
    )
    dispatch_lease_seconds: float = Field(
        60.0, ge=1, description="After so long a dispatcher's pushes are taken over: it was killed."
    )
    dispatch_attempts: int = Field(6, ge=1, description="Attempts before a push counts as failed.")
    alert_routes: Annotated[SecretStr | None, AfterValidator(known_routes)] = Field(
        None,
        description="Who is told of alerts: SEVERITIES[@OWNERS]=ADDRESS ..., pagerduty://KEY, file:PATH or "
        "any Apprise address.",
    )
    promotion_stages: Annotated[str, AfterValidator(known_stages)] = Field(
        "",
        description="What a challenger goes through after the gate, such as shadow=1d,canary=3d@0.1 (days or "
        "hours, share of users); empty: it plans for all at once.",
    )
    users_per_shard: int = Field(
        5_000, ge=1, description="Users scored and planned at a time; bounds memory, changes no plan."
    )
    shard_processes: int = Field(
        2,
        ge=1,
        description="Processes that make shards side by side; each takes memory of its own.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then secrets' files, then `kairos.toml`; no .env file."""
        from pydantic_settings import TomlConfigSettingsSource

        files = SecretFiles(settings_cls, ENV_PREFIX)
        return init_settings, env_settings, files, TomlConfigSettingsSource(settings_cls, toml_file=TOML_FILE)

    @field_serializer("source")
    def _masked_source(self, source: str) -> str:
        return _shown("source", source)

    @field_serializer("gateway")
    def _masked_gateway(self, gateway: str | None) -> str:
        return _shown("gateway", gateway)

    @property
    def mapping(self) -> SourceMapping:
        """How the source's tables become the contract's."""
        return SourceMapping(self.tables, self.columns, self.constants, self.event_types)

    @property
    def ingest_overlap(self) -> timedelta | None:
        """How long before the newest event an ingest begins to read; None: at the first."""
        return None if self.ingest_overlap_hours is None else timedelta(hours=self.ingest_overlap_hours)

    @property
    def zones_by_place(self) -> dict[str, str]:
        """Zone of users who have none, by region or ISO country."""
        return pairs_by_place(self.timezone_by_region, "")

    @property
    def country_quiet(self) -> tuple[tuple[str, str, str], ...]:
        """(ISO country, start, end) of quiet hours that hold before the default ones, by country."""
        hours = quiet_hours_by_country(self.quiet_hours_by_country)
        return tuple((country, *hours[country]) for country in sorted(hours))

    @property
    def lake_dir(self) -> Path:
        """Where the event lake's Parquet lies."""
        return self.home / "lake"

    @property
    def features_dir(self) -> Path:
        """Where feature tables lie, a version a folder."""
        return self.home / "features"

    @property
    def models_dir(self) -> Path:
        """Where model versions lie, one folder each."""
        return self.home / "models"

    @property
    def reports_dir(self) -> Path:
        """Where HTML reports lie."""
        return self.home / "reports"

    @property
    def workspace_dir(self) -> Path:
        """Where the history of drift reports lies, as Evidently's UI reads it."""
        return self.home / "evidently"

    def effective(self) -> list[SettingRow]:
        """Every setting with its value and where it came from, for `kairos doctor`; secrets masked."""
        in_file = _toml_keys()
        rows = []
        for name in type(self).model_fields:
            if name not in self.model_fields_set:
                source = "default"
            elif (variable := _told_by(name)) is not None:
                source = variable
            else:
                source = TOML_FILE.name if name in in_file else "argument"
            rows.append(SettingRow(name, _shown(name, getattr(self, name)), source))
        return rows


def load_settings(**overrides: Any) -> Settings:
    """The settings in effect here and now.

    Raises:
        UsageError: A bad value or a misspelt name: one line that names the setting and where it was set.
    """
    for key in _toml_keys() - set(Settings.model_fields):
        raise UsageError(f"{TOML_FILE.name}: {key} is no setting{_nearest(key)}.")
    files = {file_variable(ENV_PREFIX, name) for name in SECRETS}
    for variable in sorted(set(os.environ) - files):
        name = variable.removeprefix(ENV_PREFIX).lower()
        if variable.startswith(ENV_PREFIX) and name not in Settings.model_fields:
            # Only a near miss is surely a typo: other tools may own other KAIROS_ variables.
            for match in difflib.get_close_matches(name, Settings.model_fields, n=1, cutoff=0.8):
                raise UsageError(f"{variable} is no setting; did you mean {_env_name(match)}?")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{name} is no setting{_nearest(name)}.") from None
        problem = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{_origin(name, overrides)} {problem[:1].lower()}{problem[1:]}.") from None


def _env_name(name: str) -> str:
    return f"{ENV_PREFIX}{name.upper()}"


def _origin(name: str, overrides: dict[str, Any]) -> str:
    """Where the bad value was written: what a person must edit."""
    if name in overrides:
        return f"{name}:"
    return f"{_told_by(name) or f'{TOML_FILE.name}: {name}'}:"


def _told_by(name: str) -> str | None:
    """The variable that tells the setting, its value or its file; None when none does."""
    candidates = [_env_name(name), *([file_variable(ENV_PREFIX, name)] if name in SECRETS else [])]
    return next((variable for variable in candidates if os.environ.get(variable)), None)


def _nearest(name: str) -> str:
    matches = difflib.get_close_matches(name, Settings.model_fields, n=1, cutoff=0.0)
    return f"; did you mean {matches[0]}?" if matches else ""


def _toml_keys() -> set[str]:
    """The keys of `kairos.toml`, none when there is no such file."""
    try:
        return set(tomllib.loads(TOML_FILE.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return set()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{TOML_FILE.name} is not valid TOML: {error}; write lines such as name = value."
        ) from None


def _shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return MASK
    if name == "gateway" and "://" in str(value):
        # Its path or query may be a token.
        where = urlsplit(str(value))
        return f"{where.scheme}://{where.hostname}/{MASK}"
    if name == "source" and "://" in str(value):
        # `sql:URL` may carry a password as well.
        return f"{str(value).partition('://')[0]}://{MASK}"
    return str(value)
