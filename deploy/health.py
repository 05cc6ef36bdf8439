"""Is this container well? ``python health.py api`` asks the API; ``python health.py worker`` asks Temporal whether it
still sees a poller of this host on the task queue. Exits 0 for yes, 1 for no, with one line that says why.

It runs every few seconds: each check imports no more than it needs.
"""

import asyncio
import os
import socket
import sys
import urllib.request
from datetime import UTC, datetime, timedelta

POLLS_WITHIN = timedelta(minutes=3)
"""A poll is held open for a minute: a worker that has not been seen for three of them is stuck or gone."""


def check_api() -> str:
    url = f"http://127.0.0.1:{os.environ['SYNCLINE_API_PORT']}/healthz"
    with urllib.request.urlopen(url, timeout=4) as answer:
        return f"{url} answers {answer.status}"


async def check_worker() -> str:
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    from scheduling.connection import TemporalAddress, connect
    from settings import Settings

    settings = Settings()
    key = settings.temporal_api_key
    client = await connect(
        TemporalAddress(
            address=settings.temporal_address or "",
            namespace=settings.temporal_namespace,
            api_key=key.get_secret_value() if key else None,
            tls=settings.temporal_tls,
            tls_cert=settings.temporal_tls_cert,
            tls_key=settings.temporal_tls_key,
            tls_ca=settings.temporal_tls_ca,
        )
    )
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=settings.temporal_namespace,
            task_queue=TaskQueue(name=settings.task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        ),
        timeout=timedelta(seconds=5),
    )
    host = f"@{socket.gethostname()}"
    since = datetime.now(UTC) - POLLS_WITHIN
    for poller in described.pollers:
        if poller.identity.endswith(host) and poller.last_access_time.ToDatetime(UTC) > since:
            return f"{poller.identity} polls {settings.task_queue}"
    raise RuntimeError(f"no worker of this host polls {settings.task_queue}")


def main(part: str) -> int:
    try:
        print(check_api() if part == "api" else asyncio.run(check_worker()))  # noqa: T201
    except (OSError, RuntimeError) as error:
        print(f"{part} is not well: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1])
    sys.stdout.flush()
    # The threads of Temporal's SDK may still be busy, and abort a process that is taken down around them.
    os._exit(status)
