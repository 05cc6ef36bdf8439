"""The connection's fields: the form, their check, and the frozen configuration that comes out."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.base import FormField, SourceForm
from connectors.errors import ConfigurationError
from connectors.fields import text_of
from connectors.inference.objects import NoObjectError, parsed_object
from connectors.inference.texts import json_text
from connectors.surroundings import Surroundings

FORM = SourceForm(
    name="Singer",
    label="Singer tap",
    caption="Name one of the taps that this installation allows, and give its configuration as the tap's own "
    "documentation describes it.",
    docs_url="https://hub.meltano.com/extractors/",
    fields=(
        FormField("tap", "Tap", required=True, placeholder="tap-postgres", decides_host=True),
        FormField(
            "config",
            "Configuration (JSON)",
            type="textarea",
            required=True,
            secret=True,
            placeholder='{"host": "db.example.com", …}',
        ),
    ),
)

_PASSWORD = re.compile(r"pass(word|wd|phrase|code)?$|pwd$|private_?key|key_?pem", re.IGNORECASE)
"""What changes without the account being another one, where the account has a name beside it."""
_IN_ADDRESS = re.compile(r"(://[^/@:\s]+):[^/@\s]*@")
_SECRET = re.compile(r"pass|pwd|secret|token|key|credential|auth|cert|signature|cookie|session", re.IGNORECASE)
_ACCOUNT = re.compile(r"user|login|email|account|client_?id", re.IGNORECASE)


@dataclass(frozen=True)
class SingerConfig:
    """``config``: the tap's own configuration, as JSON."""

    tap: str
    program: str
    config: str = field(repr=False)

    @property
    def account(self) -> str:
        """The same for as long as the tap reads the same things of the same account.

        A new password does not change it. A token or an API key that changes does, as nothing else may tell whose it
        is; of such values it tells too little for anybody to find them.
        """
        shown: list[str] = []
        hidden: list[str] = []
        for place, name, value, beside in _leaves(parsed_object(self.config.encode())):
            if _PASSWORD.search(name) and any(_ACCOUNT.search(each) for each in beside):
                continue
            text = _IN_ADDRESS.sub(r"\1@", value)
            (hidden if _SECRET.search(name) else shown).append(f"{place}={text}")
        told = repr((self.tap, sorted(shown), hashlib.sha256(repr(sorted(hidden)).encode()).digest()[:4]))
        return hashlib.sha256(told.encode()).hexdigest()


def parse_config(inputs: Mapping[str, Any], surroundings: Surroundings) -> SingerConfig:
    """The configuration of these fields. The tap must be one of those that the installation allows."""
    name = text_of(inputs, "tap")
    programs = {each.name: each.program for each in surroundings.taps}
    if not programs:
        raise ConfigurationError(
            "This installation runs no Singer taps: its operator can allow some with SYNCLINE_SINGER_TAPS.", attr="tap"
        )
    if not name:
        raise ConfigurationError("The field tap is missing.", attr="tap")
    if name not in programs:
        raise ConfigurationError(
            f"The tap {name[:100]!r} is none of those that this installation allows: {', '.join(sorted(programs))}.",
            attr="tap",
        )
    return SingerConfig(name, programs[name], _config_text(inputs.get("config")))


def _config_text(given: Any) -> str:
    if given in (None, ""):
        raise ConfigurationError("The field config is missing: a tap without options takes {}.", attr="config")
    text = json.dumps(given) if isinstance(given, Mapping) else given
    if not isinstance(text, str):
        raise ConfigurationError("The field config must be a JSON object.", attr="config")
    try:
        return json_text(parsed_object(text.encode()))
    except NoObjectError as error:
        raise ConfigurationError(
            f"The field config must be a JSON object, but holds {error}.", attr="config"
        ) from error
    except UnicodeEncodeError as error:
        raise ConfigurationError("The field config holds half of a character.", attr="config") from error


def _leaves(value: Any, place: str = "", name: str = "", beside: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Each value with its place, the name that it has, and the names beside that one."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{place}/{key}", key, tuple(value))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _leaves(each, f"{place}/{number}", name, beside)
    else:
        yield place, name, json_text(value), beside
