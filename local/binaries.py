"""Where the servers' programs lie, and the environment that they get."""

import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path

from local.errors import MissingProgramError


def find_program(name: str, package: str) -> Path:
    """A program that a Python package brought into this environment, or one on the path."""
    installed = Path(sysconfig.get_path("scripts")) / name
    if installed.exists():
        return installed
    found = shutil.which(name)
    if found is None:
        raise MissingProgramError(_how_to_install(name, package))
    return Path(found)


def find_package_folder(module: str, package: str) -> Path:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingProgramError(_how_to_install(module, package))
    return Path(spec.submodule_search_locations[0])


def server_environment(**extra: str) -> dict[str, str]:
    """A small environment: nothing of the user's own settings reaches an embedded server by accident."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TZ", "LANG") if name in os.environ}
    return {**kept, **extra}


def _how_to_install(name: str, package: str) -> str:
    return (
        f"The program {name} of the Python package {package} is not installed. "
        "Install it with: pip install 'syncline[local]'"
    )
