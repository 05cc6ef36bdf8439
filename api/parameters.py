"""Query parameters that several calls take."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator


def _in_utc(moment: datetime) -> datetime:
    """A time without a zone is meant in UTC."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("This time lies outside of the calendar") from error


Moment = Annotated[datetime, AfterValidator(_in_utc)]
