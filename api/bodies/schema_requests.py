"""What clients send about schemas."""

import math
import re
import uuid
from datetime import time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from api.bodies.reading import RequestBody, Text, storable
from connectors.filters import WITHOUT_VALUE
from connectors.overrides import canonical
from metadata.models import CursorFieldType, SyncFrequency, SyncType

TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ?")
LONGEST_LOOKBACK_SECONDS = 10 * 366 * 24 * 3600
MOST_COLUMNS = 2000
MOST_FILTERS = 100
MOST_SCHEMAS = 10_000


def _time_of_day(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str) or not TIME_OF_DAY.fullmatch(value):
        raise ValueError("A time of day looks like 14:15:22, in UTC")
    return time.fromisoformat(value.removesuffix("Z"))


TimeOfDay = Annotated[time | None, BeforeValidator(_time_of_day, json_schema_input_type=str | None)]
Columns = Annotated[list[Annotated[str, Field(min_length=1), storable]], Field(max_length=MOST_COLUMNS)]

TypeName = Annotated[str, Field(min_length=1, max_length=100), storable]
TypeOverrides = Annotated[
    dict[Annotated[str, Field(min_length=1), storable], TypeName],
    Field(max_length=MOST_COLUMNS, description="string, long, double, decimal(p,s), timestamp, …, by column"),
]


def _filter_value(value: Any) -> Any:
    for part in value if isinstance(value, list) else [value]:
        if part is not None and not isinstance(part, bool | int | float | str):
            raise ValueError("A value is a text, a number, true or false")
        if isinstance(part, float) and not math.isfinite(part):
            raise ValueError("A number must be finite")
        if isinstance(part, str) and "\0" in part:
            raise ValueError("Null characters are not allowed")
    return value


class RowFilterBody(RequestBody):
    """One condition on the rows that are read; all of them must hold."""

    column: Annotated[str, Field(min_length=1), storable]
    op: Literal["=", "!=", "<", "<=", ">", ">=", "in", "is_null", "is_not_null", "like"]
    value: Annotated[Any, AfterValidator(_filter_value)] = Field(default=None, validate_default=True)

    @field_validator("value")
    @classmethod
    def _fits_op(cls, value: Any, info: ValidationInfo) -> Any:
        op = info.data.get("op")
        if op is None:
            return value
        if op in WITHOUT_VALUE:
            if value is not None:
                raise ValueError(f"The operator {op} takes no value")
        elif op == "in":
            if not isinstance(value, list) or not value or None in value:
                raise ValueError("The operator in needs a list of values, without null")
        elif value is None or isinstance(value, list):
            raise ValueError(f"The operator {op} needs one value")
        elif op == "like" and not isinstance(value, str):
            raise ValueError("The operator like needs a text")
        return value


class SchemaChanges(RequestBody):
    """The settings of a schema. What is absent stays as it is; ``null`` brings back the default."""

    should_sync: bool = False
    sync_type: SyncType | None = None
    incremental_field: Text | None = None
    incremental_field_type: CursorFieldType | None = None
    incremental_lookback_seconds: Annotated[int, Field(ge=0, le=LONGEST_LOOKBACK_SECONDS)] | None = None
    sync_frequency: SyncFrequency | None = None
    sync_time_of_day: TimeOfDay = None
    primary_key_columns: Columns | None = None
    cdc_table_mode: Literal["consolidated", "cdc_only", "both"] | None = None
    cdc_delete_mode: Literal["hard", "soft"] | None = Field(default=None, description="null: as the source has it")
    enabled_columns: Columns | None = None
    row_filter: Annotated[list[RowFilterBody], Field(max_length=MOST_FILTERS)] | None = None
    type_overrides: TypeOverrides | None = None

    @field_validator("enabled_columns")
    @classmethod
    def _named_once(cls, columns: list[str] | None) -> list[str] | None:
        return columns if columns is None else list(dict.fromkeys(columns))

    @field_validator("type_overrides")
    @classmethod
    def _spelled_one_way(cls, overrides: dict[str, str] | None) -> dict[str, str] | None:
        return {name: canonical(kind) for name, kind in (overrides or {}).items()} or None

    def settings(self) -> dict[str, Any]:
        """The settings that were given, as the metadata keeps them."""
        given = {name: getattr(self, name) for name in SchemaChanges.model_fields if name in self.model_fields_set}
        if self.row_filter is not None and "row_filter" in given:
            given["row_filter"] = [part.model_dump(include={"column", "op", "value"}) for part in self.row_filter]
        return given


class SchemaChangesById(SchemaChanges):
    """The settings of one of several schemas."""

    id: uuid.UUID


class BulkChanges(RequestBody):
    """Changes of several schemas of one source: all are made, or none."""

    schemas: Annotated[list[SchemaChangesById], Field(min_length=1, max_length=MOST_SCHEMAS)]

    @field_validator("schemas")
    @classmethod
    def _each_once(cls, schemas: list[SchemaChangesById]) -> list[SchemaChangesById]:
        if len({part.id for part in schemas}) < len(schemas):
            raise ValueError("A schema is named twice")
        return schemas
