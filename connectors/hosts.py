"""Hosts and ports as users write them into a form. Whether one may be connected to, ``connectors.outbound`` says."""

import re

from connectors.errors import ConfigurationError

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.\-]*[A-Za-z0-9_.])?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")


def checked_host(text: str, *, attr: str = "host", what: str = "host") -> str:
    """The host, which is the name or the address of a single one."""
    if not _HOST.fullmatch(text) or len(text) > 253:
        raise ConfigurationError(f"The {what} must be one host name or IP address.", attr=attr)
    return text


def checked_port(text: str, default: int, *, attr: str = "port", what: str = "port") -> int:
    """The port as a number; the default where there is none."""
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ConfigurationError(f"The {what} must be a number from 1 to 65535.", attr=attr)
    return int(text)
