"""Reads of a subject, here and in a process of its own (``python -m tests.connectors.conformance.reading``)."""

import pickle
import subprocess
import sys
from dataclasses import replace
from typing import Any

from connectors.base import ReadRequest
from connectors.registry import connector
from tests.connectors.conformance.subject import Subject
from tests.connectors.reading import ReadResult, read_all


def read(subject: Subject, table: str, **request: Any) -> ReadResult:
    found = read_by(subject.source_type, subject.config(), ReadRequest(table, "conformance-read", **request))
    return replace(found, table=subject.neutral(found.table))


def read_by(source_type: str, config: Any, request: ReadRequest) -> ReadResult:
    return read_all(connector(source_type), config, request)


def read_elsewhere(subject: Subject, request: ReadRequest) -> ReadResult:
    """The same in another process, which gets everything as a pickle."""
    order = pickle.dumps((subject.source_type, subject.config(), request))
    command = [sys.executable, "-m", "tests.connectors.conformance.reading"]
    done = subprocess.run(command, input=order, stdout=subprocess.PIPE, check=True)
    found = pickle.loads(done.stdout)  # noqa: S301
    assert isinstance(found, ReadResult)
    return replace(found, table=subject.neutral(found.table))


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps(read_by(*pickle.loads(sys.stdin.buffer.read()))))  # noqa: S301
