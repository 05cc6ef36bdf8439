"""How a worker shares its memory out."""

import pytest

from worker import CAPTURE_MB, CHILD_MB, IDLE_MB, shared_memory


@pytest.mark.parametrize(
    ("memory_mb", "most_children", "expected"),
    [
        (1280, 2, (2, 416)),
        (1280, 1, (1, 832)),
        (640, 2, (1, 192)),
        (831, 4, (1, 383)),
        (832, 4, (2, 192)),
        (4096, 64, (19, 192)),
    ],
)
def test_no_more_children_than_the_memory_is_enough_for(
    memory_mb: int, most_children: int, expected: tuple[int, int]
) -> None:
    children, child_mb = shared_memory(memory_mb, most_children)
    assert (children, child_mb) == expected
    assert child_mb >= CHILD_MB
    assert IDLE_MB + CAPTURE_MB + children * child_mb <= memory_mb
