"""What a tap says on its standard error: into the log, within limits, and without what its configuration holds."""

import json
import re
import time
from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import structlog

from connectors.inference.objects import parsed_object
from connectors.singer.config import SingerConfig

log = structlog.get_logger()

MOST_CHARACTERS = 500
"""Of a line."""
MOST_LINES = 200
"""Of a minute."""
QUOTED_LINES = 4
QUOTED_CHARACTERS = 500
KEPT_LINES = 20
"""For the log of the run."""
_MOST_HELD = 2**14
_SHORT = 3
"""Values of no more characters are found everywhere."""


class Said:
    """Lines, as they come."""

    def __init__(self, config: SingerConfig, stream: str | None) -> None:
        self._tap = config.tap
        self._stream = stream
        self._secrets = _pattern(config)
        self._rest = b""
        self._is_cut = False
        self._last: deque[str] = deque(maxlen=KEPT_LINES)
        self._minute = 0
        self._lines = 0

    def add(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._add(line)
            self._is_cut = False
        if len(self._rest) > _MOST_HELD:
            # Of what follows up to the line's end nothing is shown: it may begin in the middle of a secret.
            self._add(self._rest)
            self._rest, self._is_cut = b"", True

    def end(self) -> None:
        self._add(self._rest)
        self._rest = b""

    @property
    def kept(self) -> tuple[str, ...]:
        """The last lines."""
        return tuple(self._last)

    def quoted(self) -> str:
        """A few of them in one, for an error; empty where there are none."""
        told = " | ".join(self.kept[-QUOTED_LINES:])
        return told if len(told) <= QUOTED_CHARACTERS else f"… {told[-QUOTED_CHARACTERS:]}"

    def _add(self, line: bytes) -> None:
        if self._is_cut:
            return
        text = " ".join(line.decode(errors="replace").split())
        if self._secrets is not None:
            text = self._secrets.sub("***", text)
        text = "".join(each if each.isprintable() else "?" for each in text[:MOST_CHARACTERS])
        if not text:
            return
        if any(each.isalnum() for each in text):
            self._last.append(text)
        minute = int(time.monotonic() / 60)
        self._lines = self._lines + 1 if minute == self._minute else 1
        self._minute = minute
        if self._lines <= MOST_LINES:
            log.info("a tap says", tap=self._tap, stream=self._stream, said=text)
        elif self._lines == MOST_LINES + 1:
            log.info("a tap says more than is kept", tap=self._tap, stream=self._stream)


def _pattern(config: SingerConfig) -> re.Pattern[str] | None:
    """Whatever the configuration holds, in each form in which a program may show it."""
    found: set[str] = set()
    for value in _values(parsed_object(config.config.encode())):
        for text in (value, *value.splitlines()):
            plain = " ".join(text.split())
            found |= {plain, quote(text, safe=""), quote(text), quote_plus(text), json.dumps(text)[1:-1]}
            found.add(" ".join(json.dumps(text, ensure_ascii=False)[1:-1].split()))
    long = sorted((each for each in found if len(each) > _SHORT), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, long))) if long else None


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _values(each)
    elif isinstance(value, str):
        yield value
