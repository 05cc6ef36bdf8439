"""What clients send to query."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from api.bodies.reading import RequestBody, storable

MOST_QUERY_LENGTH = 100_000
DEFAULT_ROWS = 1000
MOST_JSON_ROWS = 100_000


class QueryRequest(RequestBody):
    query: Annotated[str, Field(min_length=1, max_length=MOST_QUERY_LENGTH), storable] = Field(
        description="one SELECT statement, in DuckDB's SQL, over the project's tables by their `table.name`"
    )
    limit: Annotated[int, Field(ge=1)] = Field(
        default=DEFAULT_ROWS, description=f"the most rows to answer; {MOST_JSON_ROWS} at the most in JSON"
    )


class ResultColumn(BaseModel):
    name: str
    type: str = Field(description="the engine's name of the type")


class QueryResult(BaseModel):
    """Whole numbers are numbers, decimals text, times ISO 8601, bytes base64; NaN and infinities are text."""

    columns: list[ResultColumn]
    results: list[list[Any]]
    row_count: int
    truncated: bool = Field(description="there are more rows than the limit")
    duration_ms: int
