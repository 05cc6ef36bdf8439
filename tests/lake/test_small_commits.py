"""A table that gets many small commits stays compact, and right for every reader."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COMMITS = 80


@pytest.mark.long
def test_many_small_commits() -> None:
    command = [sys.executable, "-m", "bench.small_commits", "--commits", str(COMMITS)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" right") == 10
