"""What the workflows of change data capture and their activities say to each other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Captured:
    """What one round of capturing has written into the change log."""

    sequence: int = 0
    """Of the newest entry."""
    position: int = 0
    entries: int = 0
    changes: int = 0
    continuous: bool = False
    """The next round is to follow at once."""
    gone: bool = False
    """There is nothing to capture any more."""
