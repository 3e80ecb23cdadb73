"""Feature views as the point-in-time join sees them, and what entity rows must hold for them."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from duckdb import DuckDBPyConnection
from feast.errors import FeastEntityDFMissingColumnsError, RequestDataNotFoundInEntityDfException
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig

from features.errors import KairosError
from infra.asof_sql import AsofSource
from infra.offline_entities import Entities
from infra.offline_sources import open_source

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "U", "FLOAT", "DOUBLE", "DECIMAL")


def view_source(
    con: DuckDBPyConnection,
    config: RepoConfig,
    view: FeatureView,
    feature_refs: Sequence[str],
    full_feature_names: bool,
    only_created: bool,
) -> tuple[AsofSource, dict[str, str]]:
    """The view as the join sees it, with the features that `feature_refs` ask of it, and its column types.

    Raises:
        KairosError: The view has no source, or the source lacks a column.
    """
    source = view.batch_source
    if source is None:
        raise KairosError(f"feature view {view.name!r} has no batch source; declare one to read its history.")
    stored_as = {feature: column for column, feature in source.field_mapping.items()}
    times = (source.timestamp_field, source.created_timestamp_column)
    relation = open_source(con, source, config.repo_path, *times, *(stored_as.get(name) for name in times))

    def column(name: str) -> str:
        found = stored_as.get(name, name)
        found = found if found in relation.types else name
        if found not in relation.types:
            raise KairosError(
                f"feature view {view.name!r} reads column {found!r}, its source {source.name!r} has "
                f"{', '.join(sorted(relation.types))}; write the column or correct the view."
            )
        return found

    prefix = f"{view.projection.name_to_use()}:"
    asked = [ref.removeprefix(prefix) for ref in feature_refs if ref.startswith(prefix)]
    shown = f"{view.projection.name_alias or view.name}__" if full_feature_names else ""
    renamed = view.projection.join_key_map
    created = column(source.created_timestamp_column) if source.created_timestamp_column else None
    keys = [key.name for key in view.entity_columns if key.name != DUMMY_ENTITY_ID]
    join = AsofSource(
        view=view.name,
        relation=relation.sql,
        keys=tuple((renamed.get(key, key), column(key)) for key in keys),
        timestamp=column(source.timestamp_field),
        created=created,
        features=tuple((column(name), shown + name) for name in asked),
        ttl=view.ttl or None,
        only_created=only_created and created is not None,
    )
    return join, relation.types


def check_entities(
    entities: Entities,
    opened: Sequence[tuple[AsofSource, dict[str, str]]],
    on_demand: Sequence[OnDemandFeatureView],
) -> None:
    """Nothing, where the entity rows have all that views and on-demand views ask for.

    Raises:
        FeastEntityDFMissingColumnsError: They lack join keys.
        RequestDataNotFoundInEntityDfException: They lack a field that an on-demand view asks for.
        KairosError: A key is text in one and a number in the other.
    """
    columns = set(entities.schema.names)
    expected = {entities.timestamp} | {name for source, _ in opened for name, _ in source.keys}
    if expected - columns:
        raise FeastEntityDFMissingColumnsError(expected, expected - columns)
    for view in on_demand:
        for field in view.get_request_data_schema():
            if field not in columns:
                raise RequestDataNotFoundInEntityDfException(feature_name=field, feature_view_name=view.name)
    for source, types in opened:
        for name, raw in source.keys:
            asked, stored = entities.schema.field(name).type, types[raw]
            if pa.types.is_dictionary(asked):
                asked = asked.value_type
            number = pa.types.is_integer(asked) or pa.types.is_floating(asked) or pa.types.is_decimal(asked)
            text = pa.types.is_string(asked) or pa.types.is_large_string(asked)
            if (number and stored == "VARCHAR") or (text and _is_number(stored)):
                raise KairosError(
                    f"join key {name!r} is {asked} in the entity frame, {stored} in the source of view "
                    f"{source.view!r}; convert one to the other's type."
                )


def _is_number(kind: str) -> bool:
    return kind.startswith(_NUMBERS) and kind != "UUID" and not kind.endswith("]")
