"""Each test on one version of Postgres, in turns, and on the other ones among the long proofs."""

import zlib
from collections.abc import Iterable

import pytest

VERSIONS = ("postgres16", "postgres18")


def take_turns(items: Iterable[pytest.Item]) -> None:
    """Of tests that run on each version: mark those as long whose turn it is not. The same ones every time."""
    for item in items:
        parameters = getattr(item, "callspec", None)
        version = parameters.params.get("postgres") if parameters else None
        if version is None:
            continue
        name = item.name.replace(version, "")
        if VERSIONS[zlib.crc32(name.encode()) % len(VERSIONS)] != version:
            item.add_marker(pytest.mark.long)
