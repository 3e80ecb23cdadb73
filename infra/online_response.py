"""Feast's online response over columns: protobufs are made only for those who ask for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from feast.online_response import TIMESTAMP_POSTFIX, OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value
from feast.utils import Timestamp
from feast.value_type import ValueType


@dataclass(frozen=True)
class AnswerColumn:
    """One column of an answer, a value a request row.

    Attributes:
        values: As Feast's `to_dict` shows them.
        to_values: Makes Feast's values.
        event_micros: The event time of the row each value was read from, UTC microseconds, -1 where no row
            was found; None for what was not read: keys, request data and computed features.
    """

    values: Sequence[Any]
    to_values: Callable[[], Sequence[Value]]
    event_micros: np.ndarray | None = None


class ColumnarOnlineResponse(OnlineResponse):
    """The same answer as Feast's own response, in a fraction of the time."""

    def __init__(
        self,
        columns: dict[str, AnswerColumn],
        feature_types: dict[str, ValueType],
        view_versions: dict[str, int] | None = None,
    ) -> None:
        """
        Args:
            columns: In the response's order.
            feature_types: Of the features read, by name.
            view_versions: Version of each view read, where they were asked for.
        """
        self.columns = columns
        self._feature_types = feature_types
        self._view_versions = view_versions or {}

    @cached_property
    def proto(self) -> GetOnlineFeaturesResponse:
        """The response as a protobuf message."""
        message = GetOnlineFeaturesResponse()
        message.metadata.feature_names.val.extend(self.columns)
        for name, version in self._view_versions.items():
            message.metadata.feature_view_metadata.add(name=name, version=version)
        nothing = Timestamp()
        for column in self.columns.values():
            statuses = [FieldStatus.PRESENT] * len(column.values)
            times = [nothing] * len(column.values)
            if column.event_micros is not None:
                statuses = np.where(
                    column.event_micros < 0, FieldStatus.NOT_FOUND, FieldStatus.PRESENT
                ).tolist()
                known = {int(micros): _timestamp(int(micros)) for micros in np.unique(column.event_micros)}
                times = [known[int(micros)] for micros in column.event_micros]
            message.results.append(
                GetOnlineFeaturesResponse.FeatureVector(
                    values=column.to_values(), statuses=statuses, event_timestamps=times
                )
            )
        return message

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, Any]:
        """Name to list of values; with `name__ts`, the event time in whole seconds, where asked."""
        shown: dict[str, Any] = {}
        for name, column in self.columns.items():
            shown[name] = list(column.values)
            if include_event_timestamps:
                micros = column.event_micros
                seconds = np.zeros(len(column.values), int) if micros is None else np.maximum(micros, 0)
                shown[name + TIMESTAMP_POSTFIX] = (seconds // 1_000_000).tolist()
        return shown


def _timestamp(micros: int) -> Timestamp:
    moment = Timestamp()
    if micros >= 0:
        moment.FromMicroseconds(micros)
    return moment
