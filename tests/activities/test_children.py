"""Child processes that crash, grow, fail and are stopped; real ones, attended as in an activity."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from temporalio import activity
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.child import Progress
from activities.children import KEPT_BYTES, MOST_JOBS, Children
from activities.errors import ChildDiedError, OutOfMemoryError, WorkerShutdownError
from connectors.errors import BusyError
from tests.activities import child_jobs as jobs
from tests.kit.platform import eventually

LIMIT_MIB = 400


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with pytest.MonkeyPatch.context() as patch:
        # A child imports the job's module by its name, as a worker's child does.
        patch.syspath_prepend(str(Path(__file__).parents[2]))
        started = Children(LIMIT_MIB * 2**20)
        started.warm_up()
        yield started
        started.close()
    eventually(lambda: not [each for each in psutil.Process().children(True) if _is_child(each)], "children to be gone")


@pytest.fixture
def environment() -> ActivityEnvironment:
    return ActivityEnvironment()


@activity.defn(no_thread_cancel_exception=True)
def attend(children: Children, job: Callable[..., Any], *arguments: Any, **callbacks: Any) -> Any:
    return children.run(job, *arguments, **callbacks)


def test_a_result_comes_back(children: Children, environment: ActivityEnvironment) -> None:
    assert environment.run(attend, children, jobs.add, 2, 3) == 5


def test_many_at_once_get_their_own_results(children: Children) -> None:
    def add(number: int) -> Any:
        return ActivityEnvironment().run(attend, children, jobs.add, number, 1)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(add, range(8))) == list(range(1, 9))


def test_a_child_that_did_well_does_the_next_job_too(children: Children, environment: ActivityEnvironment) -> None:
    children.close()
    first = environment.run(attend, children, jobs.whoami)
    assert [environment.run(attend, children, jobs.whoami) for _ in range(3)] == [first] * 3


def test_a_child_does_so_many_jobs_and_no_more(children: Children, environment: ActivityEnvironment) -> None:
    children.close()
    pids = [environment.run(attend, children, jobs.whoami) for _ in range(2 * MOST_JOBS)]
    assert list(Counter(pids).values()) == [MOST_JOBS, MOST_JOBS]
    eventually(lambda: not psutil.pid_exists(pids[0]), "the first child to be gone")


def test_a_child_that_failed_or_grew_does_no_other(children: Children, environment: ActivityEnvironment) -> None:
    children.close()
    failed = environment.run(attend, children, jobs.whoami)
    with pytest.raises(BusyError):
        environment.run(attend, children, jobs.be_refused)
    grown = environment.run(attend, children, jobs.leak, KEPT_BYTES // 2**20 + 1)
    kept = environment.run(attend, children, jobs.leak, 1)
    assert len({failed, grown, kept}) == 3
    assert environment.run(attend, children, jobs.whoami) == kept
    for gone in (failed, grown):
        assert not psutil.pid_exists(gone)


def test_one_that_was_killed_while_it_waited_is_not_asked(children: Children, environment: ActivityEnvironment) -> None:
    waiting = environment.run(attend, children, jobs.whoami)
    psutil.Process(waiting).kill()
    eventually(lambda: not psutil.pid_exists(waiting), "the child to be gone")
    assert environment.run(attend, children, jobs.add, 1, 1) == 2


@pytest.mark.parametrize(
    ("job", "epitaph"),
    [
        (jobs.kill_itself, "ended by SIGKILL"),
        (jobs.abort, "ended by SIGABRT"),
        (jobs.exit_without_a_word, "ended unexpectedly"),
        (jobs.fail_with_what_does_not_travel, "ended unexpectedly"),
    ],
)
def test_a_crash_is_an_error_of_its_own(
    children: Children, environment: ActivityEnvironment, job: Callable[..., Any], epitaph: str
) -> None:
    with pytest.raises(ChildDiedError, match=epitaph):
        environment.run(attend, children, job)
    assert environment.run(attend, children, jobs.add, 1, 1) == 2


def test_one_that_grows_past_its_limit_is_ended(children: Children, environment: ActivityEnvironment) -> None:
    with pytest.raises(OutOfMemoryError, match=f"the {LIMIT_MIB} MB a reader may use"):
        environment.run(attend, children, jobs.grow, 2 * LIMIT_MIB)


def test_an_error_keeps_its_type_its_words_its_cause_and_its_traceback(
    children: Children, environment: ActivityEnvironment
) -> None:
    with pytest.raises(BusyError, match="asks to wait") as caught:
        environment.run(attend, children, jobs.be_refused)
    assert caught.value.retry_after_seconds == 7
    assert "be_refused" in "".join(caught.value.__notes__)
    assert str(caught.value.__cause__) == "OSError: the driver's own words"


def test_progress_arrives_and_travels_on_heartbeats(children: Children, environment: ActivityEnvironment) -> None:
    seen: list[tuple[int, int]] = []
    beats: list[Any] = []
    environment.on_heartbeat = beats.append
    counted = environment.run(
        attend, children, jobs.count, 10, on_progress=lambda done: seen.append((done.rows, done.size_bytes))
    )
    assert counted == "counted"
    assert seen == [(number, number * 10) for number in range(1, 11)]
    assert beats
    assert all(0 < beat["rows"] <= 10 for beat in beats)


@pytest.mark.parametrize(
    ("stop", "error"),
    [(ActivityEnvironment.cancel, CancelledError), (ActivityEnvironment.worker_shutdown, WorkerShutdownError)],
    ids=["cancelled", "worker stops"],
)
def test_a_child_that_is_stopped_is_gone(
    children: Children,
    environment: ActivityEnvironment,
    stop: Callable[[ActivityEnvironment], None],
    error: type[Exception],
) -> None:
    told: list[str] = []
    pids: list[int] = []

    def started(done: Progress) -> None:
        pids.append(done.rows)
        stop(environment)

    with pytest.raises(error):
        environment.run(
            attend, children, jobs.sleep, on_progress=started, on_stop=lambda: told.append("the source is told")
        )
    assert told == ["the source is told"]
    eventually(lambda: not psutil.pid_exists(pids[0]), "the child to be gone")


def refuse() -> None:
    raise BusyError("The source does not answer.")


def hang() -> None:
    time.sleep(30)


@pytest.mark.parametrize("on_stop", [refuse, hang])
def test_a_source_that_cannot_be_told_does_not_keep_the_child(
    children: Children, environment: ActivityEnvironment, on_stop: Callable[[], None]
) -> None:
    pids: list[int] = []

    def started(done: Progress) -> None:
        pids.append(done.rows)
        environment.cancel()

    begun = time.monotonic()
    with pytest.raises(CancelledError):
        environment.run(attend, children, jobs.sleep, on_progress=started, on_stop=on_stop)
    assert time.monotonic() - begun < 5
    eventually(lambda: not psutil.pid_exists(pids[0]), "the child to be gone")


def _is_child(process: psutil.Process) -> bool:
    """A child job: what the fork server began. This process may have others, such as another module's database."""
    try:
        parent = process.parent()
        return parent is not None and any("forkserver" in word for word in parent.cmdline())
    except psutil.NoSuchProcess:
        return False
