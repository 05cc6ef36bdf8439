"""What can go wrong with a query. Each message is a sentence for whoever wrote it."""

from typing import ClassVar


class QueryError(Exception):
    """The query has no answer. ``code`` says why to a program."""

    code: ClassVar[str] = "query_failed"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidQueryError(QueryError):
    """It is not SQL, not allowed, or wrong about the tables' columns and types."""

    code = "invalid_query"


class UnknownTableError(QueryError):
    """It names a table that the project does not have."""

    code = "unknown_table"


class QueryTimeoutError(QueryError):
    """It ran into its limit of time and was killed."""

    code = "query_timeout"


class QueryMemoryError(QueryError):
    """It needs more memory than a query may use."""

    code = "query_memory"


class ResultTooLargeError(QueryError):
    """Its answer has more bytes than an answer may have."""

    code = "result_too_large"


class SourceQueryError(QueryError):
    """A source that it reads live cannot be read."""

    code = "source_error"


class TableUnreadableError(QueryError):
    """A table in the lake cannot be read now."""

    code = "table_unreadable"


class QueriesBusyError(Exception):
    """As many queries run as may run at once."""


class QueryAbandonedError(Exception):
    """Nobody waits for the answer any more, so the query was killed."""


BY_CODE: dict[str, type[QueryError]] = {
    each.code: each
    for each in (
        QueryError,
        InvalidQueryError,
        UnknownTableError,
        QueryTimeoutError,
        QueryMemoryError,
        ResultTooLargeError,
        SourceQueryError,
        TableUnreadableError,
    )
}
