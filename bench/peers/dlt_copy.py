"""dlt copies tables from PostgreSQL or MariaDB into Delta tables on S3, as its documentation says to.

``python -m bench.peers.dlt_copy`` with a ``Task`` as JSON on standard input, in the peers' environment.
"""

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"

import dlt
from dlt.destinations import filesystem
from dlt.sources.sql_database import sql_database

from bench.peers.spent import report_spent

_DRIVERS = {"postgresql": "postgresql+psycopg2", "mysql": "mysql+pymysql"}


@dataclass(frozen=True)
class Task:
    url: str
    schema: str
    tables: list[str]
    backend: str
    """``pyarrow``, ``connectorx`` or ``sqlalchemy``."""
    bucket_url: str
    """The Delta tables lie below it, in a folder ``copy``."""
    store: dict[str, str]
    folder: str
    """Of the pipeline's state and its files under way; the same one for runs that follow one another."""
    disposition: str = "replace"
    """``replace``, ``append`` or ``merge``."""
    cursor: str | None = None
    key: list[str] | None = None


def main() -> None:
    task = Task(**json.load(sys.stdin))
    destination = filesystem(
        bucket_url=task.bucket_url,
        credentials={
            "aws_access_key_id": task.store["access_key_id"],
            "aws_secret_access_key": task.store["secret_access_key"],
            "endpoint_url": task.store["endpoint"],
            "region_name": task.store["region"],
        },
    )
    with report_spent():
        pipeline = dlt.pipeline("bench", destination=destination, dataset_name="copy", pipelines_dir=task.folder)
        pipeline.run(_source(task), table_format="delta", write_disposition=_disposition(task))


def _source(task: Task) -> Any:
    scheme, _, rest = task.url.partition("://")
    source = sql_database(
        credentials=f"{_DRIVERS[scheme]}://{rest}",
        schema=task.schema,
        table_names=task.tables,
        backend=task.backend,  # type: ignore[arg-type]
        chunk_size=100_000,
        reflection_level="full_with_precision",
        backend_kwargs={"return_type": "arrow_stream"} if task.backend == "connectorx" else {},
    )
    for name, resource in source.resources.items():
        if task.cursor:
            resource.apply_hints(incremental=dlt.sources.incremental(task.cursor), primary_key=task.key)
        assert name in task.tables
    return source


def _disposition(task: Task) -> Any:
    return {"disposition": "merge", "strategy": "upsert"} if task.disposition == "merge" else task.disposition


if __name__ == "__main__":
    main()
