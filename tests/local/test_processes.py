"""Child processes: readiness, death, restart, and nothing left behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.accounts import provide_folder, server_account
from local.binaries import server_environment
from local.errors import StartError
from local.ports import LOOPBACK, TWIN_OFFSET, choose_ports, is_free
from local.process import ChildProcess, Command
from local.supervisor import Supervisor

SLEEP = "import time; time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(r'{{flag}}', 'w').close(); {SLEEP}"
PARENT = (
    "import subprocess, sys; "
    f"child = subprocess.Popen([sys.executable, '-c', '{SLEEP}']); "
    "open(r'{flag}', 'w').write(str(child.pid)); child.wait()"
)


def command(folder: Path, code: str, **options: object) -> Command:
    """A Python program that is ready when it has written ``folder/flag``."""
    flag = folder / "flag"
    values: dict[str, object] = {"is_ready": lambda: flag.exists() and flag.read_text() != "", **options}
    return Command(
        name="the child",
        argv=(sys.executable, "-c", code.replace("{flag}", str(flag))),
        env=server_environment(),
        log_path=folder / "child.log",
        **values,  # type: ignore[arg-type]
    )


@pytest.fixture
def children() -> Iterator[list[ChildProcess]]:
    started: list[ChildProcess] = []
    yield started
    for child in started:
        child.kill()


def test_a_child_that_ends_before_it_is_ready_is_quoted(tmp_path: Path) -> None:
    child = ChildProcess(command(tmp_path, "raise SystemExit('no such disk')"))
    child.start()
    with pytest.raises(StartError, match=r"the child ended with exit status 1.*child\.log:\n  no such disk"):
        child.wait_ready()


def test_a_child_that_is_never_ready_is_killed(tmp_path: Path) -> None:
    child = ChildProcess(command(tmp_path, SLEEP, is_ready=lambda: False, ready_seconds=0.2))
    child.start()
    with pytest.raises(StartError, match="the child was not ready after"):
        child.wait_ready()
    assert not child.is_running()


def test_a_stop_takes_the_grandchildren_along(tmp_path: Path, children: list[ChildProcess]) -> None:
    child = ChildProcess(command(tmp_path, PARENT))
    children.append(child)
    child.start()
    child.wait_ready()
    grandchild = psutil.Process(int((tmp_path / "flag").read_text()))
    child.stop()
    assert child.exit_code == -signal.SIGTERM
    assert gone(grandchild)


def test_a_child_deaf_to_sigterm_is_killed(tmp_path: Path, children: list[ChildProcess]) -> None:
    flag = tmp_path / "flag"
    child = ChildProcess(command(tmp_path, DEAF, is_ready=flag.exists, stop_seconds=0.2))
    children.append(child)
    child.start()
    child.wait_ready()
    child.stop()
    assert child.exit_code == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child's life to its parent's")
def test_a_child_dies_with_its_killed_parent(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from local.process import ChildProcess, Command\n"
        f"command = Command('c', (sys.executable, '-c', '{SLEEP}'), {{}}, Path('log').resolve(), lambda: True)\n"
        "child = ChildProcess(command)\n"
        "child.start(); print(child.pid, flush=True); child._process.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        grandchild = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert gone(grandchild)


def test_the_supervisor_names_who_died_and_starts_it_again(tmp_path: Path) -> None:
    said: list[str] = []
    stop, back = threading.Event(), threading.Event()
    pids = tmp_path / "pids"
    code = (
        f"import os; print(os.getpid(), file=open(r'{pids}', 'a'), flush=True); "
        f"open(r'{{flag}}', 'w').write('x'); {SLEEP}"
    )

    def say(line: str) -> None:
        said.append(line)
        if line.endswith("ready again"):
            back.set()
            stop.set()

    supervisor = Supervisor(say, stop, threading.Event())
    supervisor.start(command(tmp_path, code), stage=0)
    supervisor.wait_ready()
    os.kill(int(pids.read_text()), signal.SIGKILL)
    deadline = threading.Timer(30, stop.set)
    deadline.start()
    supervisor.watch()
    deadline.cancel()
    first, second = (int(line) for line in pids.read_text().split())
    assert back.is_set()
    assert said[0].startswith("the child ended by SIGKILL; starting it again in 0.5 s")
    assert first != second
    supervisor.stop_all()
    assert not psutil.pid_exists(second)


def test_later_stages_are_stopped_first_and_each_is_asked_once(tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = (
        "import signal, sys, time\n"
        # Long enough for a second signal to be heard, if there were one.
        f"def end(*_): print('NAME', file=open(r'{order}', 'a'), flush=True); time.sleep(0.3); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); open(r'{flag}', 'w').write('x')\ntime.sleep(600)"
    )
    supervisor = Supervisor(lambda _: None, threading.Event(), threading.Event())
    for stage, name in enumerate(("server", "api", "worker")):
        folder = tmp_path / name
        folder.mkdir()
        supervisor.start(command(folder, code.replace("NAME", name)), stage=stage)
    supervisor.wait_ready()
    supervisor.stop_all()
    assert order.read_text().split() == ["worker", "api", "server"]


def test_ports_are_distinct_free_and_remembered() -> None:
    first = choose_ports(["a", "b", "c"])
    assert len(set(first.values())) == 3
    assert all(is_free(port) and is_free(port + TWIN_OFFSET) for port in first.values())
    assert choose_ports(["a", "b", "c"], preferred=first) == first


def test_a_taken_port_is_replaced_alone() -> None:
    wanted = choose_ports(["a", "b"])
    with socket.socket() as other:
        other.bind((LOOPBACK, wanted["a"]))
        other.listen()
        chosen = choose_ports(["a", "b"], preferred=wanted)
    assert chosen["a"] != wanted["a"]
    assert chosen["b"] == wanted["b"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives servers away")
def test_a_folder_that_the_account_cannot_reach_is_replaced(tmp_path: Path) -> None:
    """pytest's own folders are closed to others."""
    account = server_account()
    provided = provide_folder(tmp_path / "data", account)
    try:
        assert account is not None
        assert provided != tmp_path / "data"
        assert provided.stat().st_uid == account.uid
        assert provide_folder(tmp_path / "data", account) == provided
    finally:
        provided.rmdir()


def gone(process: psutil.Process) -> bool:
    """Waits for it. An orphan may stay a zombie until somebody reaps it."""
    try:
        for _ in range(1000):
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
            try:
                process.wait(0.01)
                return True
            except psutil.TimeoutExpired:
                continue
    except psutil.NoSuchProcess:
        return True
    return False
