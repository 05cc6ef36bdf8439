"""Looking at what may not answer, within an activity."""

import threading
from typing import Any

import pytest
from temporalio import activity
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.heartbeat import attended


@activity.defn(no_thread_cancel_exception=True)
def look(at: Any) -> Any:
    return attended(at)


def refuse() -> None:
    raise TimeoutError("nobody answers")


def test_what_is_found_comes_back() -> None:
    assert ActivityEnvironment().run(look, lambda: 7) == 7


def test_what_goes_wrong_comes_out_as_it_is() -> None:
    with pytest.raises(TimeoutError, match="nobody answers"):
        ActivityEnvironment().run(look, refuse)


def test_a_stop_does_not_wait_for_an_answer() -> None:
    environment, answer = ActivityEnvironment(), threading.Event()

    def wait_for_it() -> None:
        environment.cancel()
        answer.wait(30)

    with pytest.raises(CancelledError):
        environment.run(look, wait_for_it)
    assert not answer.is_set()
    answer.set()
