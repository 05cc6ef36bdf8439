"""What each kind of error means for a run."""

import pytest
from temporalio.exceptions import ApplicationError

from activities.errors import (
    ChildDiedError,
    Failure,
    OutOfMemoryError,
    StillRunningError,
    WorkerShutdownError,
    classify,
)
from connectors import errors as source
from lake import errors as lake
from metadata.errors import EraseUnfinishedError, NotFoundError

SECRET = "host=db.internal password=hunter2"


@pytest.mark.parametrize(
    ("error", "type", "retryable", "own"),
    [
        (source.ConfigurationError("m"), "invalid_config", False, False),
        (source.CredentialsError("m"), "invalid_credentials", False, False),
        (source.AccessError("m"), "insufficient_privilege", False, False),
        (source.SchemaChangedError("m"), "schema_changed", False, False),
        (source.UnreachableError("m"), "unreachable", True, False),
        (source.BusyError("m", retry_after_seconds=7), "busy", True, False),
        (lake.LakeError("m"), "lake", True, True),
        (lake.FencedError("m"), "fenced", False, True),
        (lake.StalePositionError("m"), "stale_position", False, True),
        (lake.DuplicateKeyError("m"), "key_violation", False, False),
        (lake.IncompatibleSchemaError("m"), "schema_changed", False, False),
        (lake.UnsafeStoreError("m"), "unsafe_store", False, True),
        (OutOfMemoryError("m"), "out_of_memory", False, True),
        (ChildDiedError("m"), "reader_died", True, True),
        (WorkerShutdownError(), "worker_shutdown", True, True),
        (EraseUnfinishedError("m"), "erase_pending", True, True),
        (StillRunningError(), "still_running", True, True),
        (NotFoundError("m"), "gone", False, True),
        (RuntimeError("m"), "internal", True, True),
    ],
)
def test_each_error_has_its_meaning(error: Exception, type: str, retryable: bool, own: bool) -> None:
    failure = classify(error)
    assert (failure.type, failure.retryable, failure.own) == (type, retryable, own)
    assert failure.message


def test_a_throttled_source_decides_its_own_delay() -> None:
    assert classify(source.BusyError("later", retry_after_seconds=7)) == Failure("busy", "later", True, False, 7)


@pytest.mark.parametrize("error", [RuntimeError(SECRET), lake.LakeError(SECRET), ApplicationError(SECRET)])
def test_words_that_were_not_written_for_users_do_not_reach_them(error: Exception) -> None:
    assert "hunter2" not in classify(error).message
