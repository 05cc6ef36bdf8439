"""Taps of the tests, as an operator would have them installed."""

import sys
from pathlib import Path

from connectors.outbound import OPEN
from connectors.surroundings import Surroundings
from connectors.taps import AllowedTap

PRINTING = Path(__file__).with_name("printing_tap.py")


def printing_tap(folder: Path) -> AllowedTap:
    """``tests/connectors/singer/printing_tap.py`` as a program."""
    program = folder / "tap-printing"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {PRINTING} "$@"\n')
    program.chmod(0o755)
    return AllowedTap("tap-printing", str(program))


def allowing(*taps: AllowedTap) -> Surroundings:
    return Surroundings(OPEN, taps=taps)


def setting(*taps: AllowedTap) -> str:
    """The value of ``SYNCLINE_SINGER_TAPS``."""
    return ", ".join(f"{each.name}={each.program}" for each in taps)
