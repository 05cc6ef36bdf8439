"""How a worker shares its memory out."""

import pytest

from worker import CHILD_MB, IDLE_MB, shared_memory


@pytest.mark.parametrize(
    ("memory_mb", "most_children", "expected"),
    [
        (1024, 2, (2, 384)),
        (1024, 1, (1, 768)),
        (448, 2, (1, 192)),
        (639, 4, (1, 383)),
        (640, 4, (2, 192)),
        (4096, 64, (20, 192)),
    ],
)
def test_no_more_children_than_the_memory_is_enough_for(
    memory_mb: int, most_children: int, expected: tuple[int, int]
) -> None:
    children, child_mb = shared_memory(memory_mb, most_children)
    assert (children, child_mb) == expected
    assert child_mb >= CHILD_MB
    assert IDLE_MB + children * child_mb <= memory_mb
