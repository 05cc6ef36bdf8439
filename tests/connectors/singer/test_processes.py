"""A tap as a process: what it gets of our own, and that nothing of it is left, whoever is killed and when."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from connectors.base import ReadRequest
from connectors.deadline import patience
from connectors.errors import ConfigurationError, UnreachableError
from connectors.singer import process
from connectors.singer.config import SingerConfig
from connectors.taps import AllowedTap, allowed_taps
from tests.connectors.conformance import reading
from tests.connectors.singer.bench import NUMBERED, SINGER, Bench, record, schema
from tests.connectors.singer.programs import allowing

BEGIN = schema("t", NUMBERED)
FAMILY = """
import os, subprocess, sys, time
def pids(*found):
    with open(config["tell"], "w") as file:
        file.write(" ".join(map(str, found)))
    os.rename(config["tell"], config["tell"] + ".whole")
child = subprocess.Popen(["sleep", "600"])
script = "sleep 600 & echo $!; exec sleep 600"
away = subprocess.Popen(["setsid", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
pids(os.getpid(), child.pid, away.pid, away.stdout.readline().strip())
"""
"""Starts processes, one of them in a session of its own with a child that it will leave behind."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders of taps are made."""
    found = tmp_path / "tmp"
    found.mkdir()
    monkeypatch.setenv("TMPDIR", str(found))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def family_of(path: Path) -> list[int]:
    whole = path.with_name(f"{path.name}.whole")
    wait_for(whole.exists)
    return [int(each) for each in whole.read_text().split()]


def test_what_a_tap_is_given(bench: Bench, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_ENCRYPTION_KEYS", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    bench.put("t", BEGIN)
    act = """
import json, os, sys
told = {
    "env": dict(os.environ),
    "cwd": os.getcwd(),
    "files": {name: oct(os.stat(name).st_mode & 0o777) for name in os.listdir(".")},
    "mode": oct(os.stat(".").st_mode & 0o777),
    "open": sorted(map(int, os.listdir("/proc/self/fd"))),
    "input": sys.stdin.read(),
    "session": os.getsid(0) == os.getpid(),
    "arguments": open("/proc/self/cmdline").read().split("\\0"),
}
with open(config["tell"], "w") as file:
    json.dump(told, file)
print('{"type": "SCHEMA", "stream": "t", "schema": {}}')
"""
    tell = bench.folder.parent / "told.json"
    bench.read("t", bench.config(act=act, tell=str(tell), password="right"))
    told = json.loads(tell.read_text())
    home = told["cwd"]
    assert Path(home).parent == place
    assert told["env"].pop("PATH") == os.environ["PATH"]
    for name in ("PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        told["env"].pop(name, None)
    assert told["env"] == {"HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONUTF8": "1"}
    assert told["files"] == {"lock": "0o600", "config.json": "0o600", "catalog.json": "0o600"}
    assert told["mode"] == "0o700"
    assert [each for each in told["open"] if each > 2][1:] == [], "beside the listing itself"
    assert (told["input"], told["session"]) == ("", True)
    assert not any("right" in each for each in told["arguments"])
    assert list(place.iterdir()) == []


def test_nothing_is_left_of_a_tap_that_ends(bench: Bench, place: Path) -> None:
    bench.put("t", BEGIN, record("t", id=1))
    tell = bench.folder.parent / "pids"
    act = FAMILY + "print(open(config['folder'] + '/t.singer').read())"
    assert bench.read("t", bench.config(act=act, tell=str(tell))).column("id") == [1]
    assert all(map(is_gone, family_of(tell)))
    assert list(place.iterdir()) == []


def test_nothing_is_left_when_the_reader_gives_up(bench: Bench, place: Path) -> None:
    bench.put("t", BEGIN)
    tell = bench.folder.parent / "pids"
    with patience(1.5), pytest.raises(UnreachableError, match="in time"):
        bench.discover(discover=FAMILY + "time.sleep(600)", tell=str(tell))
    assert all(map(is_gone, family_of(tell)))
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("victim", ["reader", "keeper"])
def test_nothing_is_left_when_somebody_is_killed(bench: Bench, place: Path, victim: str) -> None:
    """Nor of the configuration; of a keeper that was killed what the tap had started itself may remain."""
    bench.put("t", BEGIN)
    tell = bench.folder.parent / "pids"
    config = bench.config(act=FAMILY + "time.sleep(600)", tell=str(tell))
    with elsewhere(config) as reader:
        family = family_of(tell)
        keeper = psutil.Process(family[0]).ppid()
        (folder,) = place.glob("syncline-tap-*")
        if victim == "reader":
            os.kill(reader.pid, signal.SIGKILL)
            wait_for(lambda: all(map(is_gone, [*family, keeper])))
            wait_for(lambda: not folder.exists())
        else:
            os.kill(keeper, signal.SIGKILL)
            wait_for(lambda: is_gone(family[0]))
            for pid in family[1:]:
                os.kill(pid, signal.SIGKILL)
            assert reader.wait(10) != 0
            assert not folder.exists()


def test_a_temporary_folder_without_room(bench: Bench, place: Path) -> None:
    """A process that may write files of 1 MB only."""
    noise = "".join(random.Random(7).choices("0123456789abcdef", k=4_000_000))  # noqa: S311
    bench.put("t", BEGIN, *(record("t", id=n, text=noise[n * 1000 : n * 1000 + 1000]) for n in range(4000)))
    script = (
        "import pickle, resource, sys\n"
        "from tests.connectors.conformance.reading import read_by\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n"
        "try:\n"
        "    read_by(*pickle.loads(sys.stdin.buffer.read()))\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    order = pickle.dumps(("Singer", bench.config(), ReadRequest("t", "test-read")))
    done = subprocess.run([sys.executable, "-c", script], input=order, stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode().startswith("SourceError The server's temporary folder has no room for the rows of t:")
    assert list(place.iterdir()) == []


def elsewhere(config: SingerConfig) -> "subprocess.Popen[bytes]":
    """A read in a process of its own."""
    order = pickle.dumps(("Singer", config, ReadRequest("t", "test-read")))
    command = [sys.executable, "-m", reading.__name__]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert started.stdin
    started.stdin.write(order)
    started.stdin.close()
    return started


def test_what_a_machine_that_went_down_has_left_goes_with_the_next_tap(bench: Bench, place: Path) -> None:
    bench.put("t", BEGIN)
    old, fresh, other = (place / name for name in ("syncline-tap-old", "syncline-tap-fresh", "another-old"))
    for folder in (old, fresh, other):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        if folder != fresh:
            os.utime(folder, (0, 0))
    bench.discover()
    assert sorted(each.name for each in place.iterdir()) == ["another-old", "syncline-tap-fresh"]
    with process.running(bench.config(act="import time; time.sleep(600)"), (), {"catalog": "{}"}):
        (used,) = {*place.glob("syncline-tap-*")} - {fresh}
        os.utime(used, (0, 0))
        bench.discover()
        assert (used / "config.json").exists()


def test_a_program_that_is_not_there(bench: Bench, tmp_path: Path) -> None:
    nowhere = allowing(AllowedTap("tap-gone", str(tmp_path / "gone")), AllowedTap("tap-folder", str(tmp_path)))
    for name in ("tap-gone", "tap-folder"):
        config = SINGER.parse_config({"tap": name, "config": "{}"}, nowhere)
        with pytest.raises(ConfigurationError, match=f"The tap {name} is not installed") as caught:
            SINGER.validate(config)
        assert caught.value.attr == "tap"


def test_a_program_on_the_path(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.put("t", BEGIN)
    monkeypatch.setenv("PATH", f"{bench.folder.parent}:{os.environ['PATH']}")
    config = SINGER.parse_config(
        {"tap": "tap-printing", "config": {"folder": str(bench.folder)}}, allowing(*allowed_taps("tap-printing"))
    )
    assert [table.name for table in SINGER.discover(config)] == ["t"]


def test_a_list_of_taps() -> None:
    assert allowed_taps(" tap-csv, tap-x = /opt/x/bin/tap ,") == (
        AllowedTap("tap-csv", "tap-csv"),
        AllowedTap("tap-x", "/opt/x/bin/tap"),
    )
    assert allowed_taps("") == ()
    for wrong in ("a b", "/bin/sh", "tap=bin/tap", "tap=", "tap, tap", "=/bin/sh"):
        with pytest.raises(ValueError, match=r"tap|name|path"):
            allowed_taps(wrong)
