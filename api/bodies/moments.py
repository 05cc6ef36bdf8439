"""Points in time, as clients write them."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator


def _written_out(value: Any) -> Any:
    """A bare number would be taken for seconds since 1970, ``20260131`` too."""
    if isinstance(value, str) and "-" not in value.strip()[1:]:
        raise ValueError("This is not a time: one looks like 2030-01-01T00:00:00Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    """A time without a zone is meant in UTC."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("This time lies outside of the calendar") from error


Moment = Annotated[datetime, AfterValidator(_in_utc)]

MomentParameter = Annotated[Moment, BeforeValidator(_written_out, json_schema_input_type=datetime)]
"""In a query, where every value is a text."""
