"""What clients get to see of the log of runs."""

import uuid
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from metadata.models import LogLevel


class LogLineBody(BaseModel):
    """A line that a run wrote."""

    id: int
    timestamp: datetime
    level: LogLevel
    message: str
    job_id: uuid.UUID
    fields: dict[str, Any] = Field(description="the event, and the figures of the message for machines")
