"""Web addresses as users write them into a form. Whether one may be connected to, ``connectors.outbound`` says."""

from urllib.parse import urlsplit

from connectors.errors import ConfigurationError
from connectors.surroundings import Surroundings


def check_address(address: str, attr: str, surroundings: Surroundings) -> None:
    """``ConfigurationError`` where it is none. http is for installations that trust all that they reach."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError("An address is malformed: write https://host/path.", attr=attr) from error
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise ConfigurationError("An address is malformed: write https://host/path.", attr=attr)
    if parts.scheme == "http" and surroundings.outbound.guarded:
        raise ConfigurationError("This installation connects by https only.", attr=attr)
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("An address must have no login in it: there are fields for that.", attr=attr)
