"""The image, judged by its Dockerfile: no engine runs here."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"
ROOT = DEPLOY.parent
DOCKERFILE = DEPLOY / "Dockerfile"

Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """Each stage's instructions with their arguments, comments gone and continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[list[Instruction]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, arguments = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, " ".join(arguments.split())))
    return found


def arguments(stage: list[Instruction], word: str) -> list[str]:
    return [given for instruction, given in stage if instruction == word]


def test_the_linter_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    result = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_every_stage_starts_from_the_same_pinned_slim_image() -> None:
    bases = {arguments(stage, "FROM")[0].partition(" ")[0] for stage in stages()}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases.pop())


def test_every_installation_is_locked_by_hash() -> None:
    installations = [
        command
        for stage in stages()
        for run in arguments(stage, "RUN")
        for command in run.split("&&")
        if " install " in command and "pip" in command
    ]
    assert len(installations) == 3
    for command in installations:
        assert "--no-deps" in command
        assert "--require-hashes" in command or "--no-index" in command, command


def test_the_build_backend_is_found_in_the_lock_file() -> None:
    """The very ``sed`` of the Dockerfile gives one requirement with its hashes."""
    expression = re.search(r"sed -n '(.*?)'", DOCKERFILE.read_text())
    assert expression
    command = ["sed", "-n", expression[1], str(ROOT / "requirements" / "dev.txt")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert re.fullmatch(r"setuptools==[\d.]+ \\", lines[0])
    assert len(lines) > 1
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines[1:])


def test_the_last_stage_runs_unprivileged_and_cannot_install() -> None:
    last = stages()[-1]
    assert arguments(last, "USER") == ["10001:10001"]
    runs = " ".join(arguments(last, "RUN"))
    assert "pip uninstall --yes pip" in runs
    assert not re.search(r"apt|gcc|pip install|build-essential|curl", runs)
    assert arguments(last, "COPY") == [
        "--from=build /opt/syncline /opt/syncline",
        "deploy/health.py /opt/syncline/health.py",
    ]


def test_the_image_says_how_to_run_and_to_check_it() -> None:
    last = stages()[-1]
    assert arguments(last, "ENTRYPOINT") == ['["syncline"]']
    assert arguments(last, "CMD") == ['["api"]']
    assert "health.py" in arguments(last, "HEALTHCHECK")[0]
    assert arguments(last, "STOPSIGNAL") == ["SIGTERM"]


def test_no_secret_is_baked_in() -> None:
    given = " ".join(line for stage in stages() for word in ("ARG", "ENV") for line in arguments(stage, word))
    assert not re.search(r"KEY|SECRET|PASSWORD|TOKEN", given)


def test_the_build_sees_the_product_and_nothing_else() -> None:
    """Packages and modules as pyproject.toml declares them, so that no state or key of a checkout gets in."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = {name.rstrip("*") for name in declared["packages"]["find"]["include"]}
    modules = {f"{name}.py" for name in declared["py-modules"]}
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    needed = {"pyproject.toml", "README.md", "LICENSE", "requirements", "deploy/health.py"}
    assert allowed == packages | modules | needed
