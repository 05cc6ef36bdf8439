"""dlt copies lists of an API into Delta tables on S3, as its documentation says to do it fast.

``python -m bench.peers.dlt_rest`` with a ``Task`` as JSON on standard input, in the peers' environment. Nested objects
stay JSON, as ours do. Buffers and files are larger than by default, so that both processes have some to normalise;
objects of parents are asked for by several threads.
"""

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
os.environ["DATA_WRITER__BUFFER_MAX_ITEMS"] = "20000"
os.environ["EXTRACT__DATA_WRITER__FILE_MAX_ITEMS"] = "100000"
os.environ["NORMALIZE__WORKERS"] = "2"

import dlt
from dlt.destinations import filesystem
from dlt.sources.rest_api import rest_api_source

from bench.peers.spent import report_spent


@dataclass(frozen=True)
class Task:
    url: str
    table: str
    children: str | None
    """Where the objects of each customer are, if they are of customers."""
    bucket_url: str
    store: dict[str, str]
    folder: str
    threads: int
    """Of parents' objects, as many as ours."""


def main() -> None:
    task = Task(**json.load(sys.stdin))
    os.environ["EXTRACT__WORKERS"] = str(task.threads)
    os.environ["EXTRACT__MAX_PARALLEL_ITEMS"] = str(task.threads)
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
        pipeline.run(_source(task), table_format="delta", write_disposition="replace")


def _source(task: Task) -> Any:
    if task.children is None:
        resources: list[Any] = [task.table]
    else:
        resources = [
            {"name": "customers", "selected": False},
            {
                "name": task.table,
                "parallelized": True,
                "endpoint": {"path": task.children, "paginator": "single_page", "data_selector": "data"},
                "include_from_parent": ["number"],
            },
        ]
    return rest_api_source(
        {
            "client": {
                "base_url": f"{task.url}/",
                "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "after"},
            },
            "resource_defaults": {"endpoint": {"data_selector": "data"}},
            "resources": resources,
        },
        max_table_nesting=0,
    )


if __name__ == "__main__":
    main()
