"""``syncline demo`` as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.kit.platform import SYNCLINE
from tests.kit.servers import server_folder


def test_the_demo_ends_well_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SYNCLINE_")}
    with server_folder() as temporary:
        ran = subprocess.run(
            [SYNCLINE, "demo"],
            env={**environment, "TMPDIR": str(temporary)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        sys.stdout.write(ran.stdout)
        left = [argv for argv in map(_argv, psutil.process_iter()) if str(temporary) in " ".join(argv)]
        assert left == []
        assert not list(temporary.glob("syncline-demo-*"))
    assert ran.returncode == 0
    assert ran.stdout.count("equal\n") == 16
    assert "different" not in ran.stdout


def _argv(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
