"""What a peer's script says of itself when it is done, as the last line of its output.

Only the standard library: the peers run in an environment of their own.
"""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def report_spent() -> Iterator[None]:
    """Print the wall and CPU time of the block, with its child processes. Start-up and imports come before it."""
    started, before = time.monotonic(), _cpu_seconds()
    yield
    spent = {"wall_seconds": time.monotonic() - started, "cpu_seconds": _cpu_seconds() - before}
    print(json.dumps(spent), flush=True)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
