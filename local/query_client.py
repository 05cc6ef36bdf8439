"""Asking a running API a question from the command line."""

import csv
import io
import sys
from enum import StrEnum

import httpx2

from local.errors import LocalError

TIMEOUT_SECONDS = 300
TABLE_CELL_WIDTH = 60


class Output(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def ask(api_url: str, api_key: str, project: int, sql: str, limit: int, output: Output) -> str:
    """The answer as text; ``LocalError`` with the API's own sentence where there is none."""
    accept = "application/json" if output is Output.JSON else "text/csv"
    try:
        answer = httpx2.post(
            f"{api_url.rstrip('/')}/api/projects/{project}/query/",
            json={"query": sql, "limit": limit},
            headers={"Authorization": f"Bearer {api_key}", "Accept": accept},
            timeout=TIMEOUT_SECONDS,
        )
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise LocalError(f"The API at {api_url} does not answer: {error}") from error
    if answer.status_code != 200:
        raise LocalError(_detail(answer))
    if answer.headers.get("X-Syncline-Truncated") == "true" and output is not Output.JSON:
        sys.stderr.write(f"There are more rows than the {limit} shown: raise --limit.\n")
    return _aligned(answer.text) if output is Output.TABLE else answer.text


def _detail(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The API answered with status {answer.status_code}."


def _aligned(text: str) -> str:
    rows = [[_shortened(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def _shortened(cell: str) -> str:
    line = cell.replace("\r", " ").replace("\n", " ")
    return line if len(line) <= TABLE_CELL_WIDTH else line[: TABLE_CELL_WIDTH - 1] + "…"
